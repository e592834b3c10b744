"""Several keys for one certificate: an order, a version and a renewal for each; every target serves the first it accepts."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from certbroker.keys import key_type_of, read_chain
from certbroker.model import KeyType, Version
from tests.scenarios.town import Town, town

EVERYWHERE = ("fastly", "fly-blue", "folder")


def wanted(place: Town) -> dict[str, Version]:
    with place.store() as store:
        return {key.value: v.wanted for key, v in store.variants("main").items() if v.wanted}


def served(place: Town) -> dict[str, set[str]]:
    """By target, the kinds of keys whose version stands there as wanted."""
    with place.store() as store:
        versions = {version.id: version.key_type.value for version in store.versions("main")}
        found: dict[str, set[str]] = {}
        for row in store.deployments("main"):
            if row.phase.settled:
                found.setdefault(row.target, set()).add(versions[row.version_id])
    return found


@pytest.fixture
def two(place: Town) -> Town:
    """RSA with 3072 bits first, which Fastly does not take."""
    place.configure(certificates=place.certificate(targets=EVERYWHERE, keys='["rsa-3072", "rsa-2048"]'))
    return place


def test_two_orders_make_two_versions_and_each_target_gets_the_first_it_accepts(two: Town) -> None:
    planned = two.run("plan").out
    assert "rsa-3072       never issued" in planned
    assert "rsa-2048       never issued" in planned
    two.run("renew")
    assert two.orders == 2
    assert {key: version.label for key, version in wanted(two).items()} == {"rsa-2048": "v1", "rsa-3072": "v1"}
    assert served(two) == {"fastly": {"rsa-2048"}, "fly-blue": {"rsa-3072"}, "folder": {"rsa-3072"}}
    assert "v1" in two.run("status").out
    looks = two.run("probe", "main", "--json").json["looks"]
    prints = {target: {look["fingerprint"] for look in looks if look["target"] == target} for target in EVERYWHERE[:2]}
    both = wanted(two)
    assert prints == {"fastly": {both["rsa-2048"].fingerprint}, "fly-blue": {both["rsa-3072"].fingerprint}}
    explained = two.run("explain", "main").out
    for key, version in both.items():
        assert f"{key}: v1 {version.fingerprint[:12]}" in explained


def test_the_next_run_has_nothing_to_do(two: Town) -> None:
    two.run("renew")
    pushes = two.pushes()
    two.later(hours=1)
    assert "nothing due" in two.run("renew").out
    assert (two.orders, two.pushes()) == (2, pushes)


def test_each_is_renewed_when_its_own_window_says_and_names_its_own_predecessor(two: Town) -> None:
    two.run("renew")
    before = wanted(two)
    [mine] = [i for i in two.ca.issued if i.fingerprint == before["rsa-2048"].fingerprint]
    mine.window = (two.clock.now() - timedelta(hours=2), two.clock.now() - timedelta(hours=1))
    two.later(minutes=10)
    two.run("renew", "--refresh-ari")
    after = wanted(two)
    assert after["rsa-3072"] == before["rsa-3072"]
    assert after["rsa-2048"].number == 2
    assert [order.replaces for order in two.ca.orders][2:] == [mine.cert_id]
    assert served(two)["fastly"] == {"rsa-2048"}
    assert "v1/v2" in two.run("status").out or "v2/v1" in two.run("status").out


def test_a_key_type_that_is_added_is_ordered_alone_and_one_that_leaves_is_told(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",), keys='["ecdsa-p256"]'))
    place.run("renew")
    first = wanted(place)["ecdsa-p256"]
    place.edit('keys = ["ecdsa-p256"]', 'keys = ["ecdsa-p384", "ecdsa-p256"]')
    place.run("renew")
    assert place.orders == 2
    assert wanted(place)["ecdsa-p256"] == first
    assert served(place)["folder"] == {"ecdsa-p256", "ecdsa-p384"}
    place.edit('keys = ["ecdsa-p384", "ecdsa-p256"]', 'keys = ["ecdsa-p384"]')
    place.run("renew")
    assert place.orders == 2
    assert wanted(place)["ecdsa-p256"] == first
    for face in (("plan",), ("status",), ("explain", "main")):
        assert "ecdsa-p256 left the file: v1 is kept until" in place.run(*face).out, face


def test_export_asks_which_and_gives_all(two: Town) -> None:
    two.run("renew")
    assert "--key-type rsa-2048 or rsa-3072" in two.run("export", "main", "--output", "one.pem", ends=2).err
    two.run("export", "main", "--key-type", "rsa-3072", "--output", "one.pem")
    assert key_type_of(read_chain((two.folder / "one.pem").read_text())[0].public_key()) is KeyType.RSA3072
    two.run("export", "--all", "all")
    assert {path.parent.name for path in (two.folder / "all" / "main").glob("*/privkey.pem")} == {
        "rsa-2048",
        "rsa-3072",
    }


def test_every_key_type_goes_from_the_file_to_the_folder(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        every = json.dumps([key.value for key in KeyType])
        place.configure(certificates=place.certificate(targets=("folder",), keys=every))
        place.run("renew")
        assert place.orders == len(KeyType)
        assert sorted(wanted(place)) == sorted(key.value for key in KeyType)
