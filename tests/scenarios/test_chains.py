"""A chain that the CA does not have: the certificate is served, and every face tells which chains there are."""

from __future__ import annotations

from pathlib import Path

from tests.scenarios.town import town


def test_a_preferred_chain_that_does_not_exist_is_told_and_stops_nothing(tmp_path: Path) -> None:
    with town(tmp_path / "town", chain_length=3, alternates=1) as place:
        place.configure(certificates=place.certificate(targets=("folder",)))
        place.edit('roots = "roots.pem"', 'roots = "roots.pem"\npreferred_chain = "ISRG Root X2"')
        said = (
            "sandbox offers no chain to ISRG Root X2; "
            "it has certbroker sandbox root X1 NOT TRUSTED, certbroker sandbox root X2 NOT TRUSTED"
        )
        assert said in place.run("renew").out
        for face in (("plan", "--offline"), ("explain", "main"), ("history",)):
            assert said in place.run(*face).out, face
        place.edit("ISRG Root X2", "certbroker sandbox root X2 NOT TRUSTED")
        assert "becomes one to certbroker sandbox root X2 NOT TRUSTED at the next renewal" in place.run("plan").out
        place.later(days=61)
        place.run("renew")
        assert "no chain" not in place.run("plan", "--offline").out
        assert "ends at certbroker sandbox root X2" in place.run("explain", "main").out
