"""Every way to prove control of a name, through the command line."""

from __future__ import annotations

from tests.scenarios.town import Town


def test_dns_account_01_proves_a_name_whose_plain_label_another_platform_holds(place: Town) -> None:
    """The very case it exists for: `_acme-challenge` stays a CNAME to Fly, and nobody minds."""
    place.house.dns.set("_acme-challenge.example.com", "CNAME", "example.com.d6lmmxg.flydns.net.")
    place.configure(certificates=place.certificate(targets=("folder",), challenge='"dns-account-01"'))
    assert "known once there is an account" in place.run("check", "main").out
    place.run("renew")
    assert place.orders == 1
    with place.store() as store:
        account = store.account("sandbox", f"{place.house.urls['ca']}/dir")
        assert store.unremoved() == []
    assert account is not None
    written = [r for r in place.house.dnsimple.requests if r.write and "records" in r.path and r.method == "POST"]
    assert written
    assert all("._acme-challenge" in r.json()["name"] for r in written)
    assert "proven in example.com by dnsimple" in place.run("check", "main").out


def test_an_unknown_challenge_is_told_with_the_nearest(place: Town) -> None:
    place.configure(certificates=place.certificate(targets=("folder",), challenge='"dns-acount-01"'))
    ran = place.run("plan", ends=2)
    assert "certificate.main.challenge: must be dns-01" in ran.err
    assert "did you mean dns-account-01?" in ran.err
