"""`caa NAME`: the records that let us alone have certificates signed, beside what stands and whom they would keep from renewing."""

from __future__ import annotations

from tests.golden import golden
from tests.scenarios.test_words import told
from tests.scenarios.town import Town


def zone_lines(out: str) -> list[str]:
    """What may be pasted into a zone: all but the comments."""
    return [line for line in out.splitlines() if not line.startswith(";")]


def paste(place: Town, out: str) -> None:
    by_name: dict[str, list[str]] = {}
    for line in zone_lines(out):
        name, kind, value = line.split("  ", 2)
        assert kind == "CAA"
        by_name.setdefault(name.rstrip("."), []).append(value)
    for name, values in by_name.items():
        place.house.dns.set(name, "CAA", *values)


def test_what_it_prints_is_pasted_and_then_nobody_else_may(place: Town) -> None:
    place.run("renew")
    ran = place.run("caa", "main")
    uri = place.run("account", "show", "--json").json["accounts"][0]["uri"]
    assert zone_lines(ran.out) == [
        f'example.com.  CAA  0 {tag} "sandbox.certbroker.test; accounturi={uri}; validationmethods=dns-01"'
        for tag in ("issue", "issuewild")
    ]
    assert "no CAA restricts example.com now: every CA may sign for it" in ran.out
    assert ran.err == ""
    assert {each["record"] for each in place.run("challenges", "main", "--json").json["records"]} >= set(
        zone_lines(ran.out)
    )
    paste(place, ran.out)
    again = place.run("caa", "*.example.com", "--json").json
    assert {line["state"] for line in again["lines"]} == {"ok"}
    assert (again["certificate"], again["others"], again["losers"], again["exit_code"]) == ("main", [], [], 0)
    place.run("issue", "main")
    place.house.dns.set("example.com", "CAA", '0 issue "digicert.com"')
    ran = place.run("caa", "main", ends=1)
    assert "only digicert.com may issue" in ran.out
    assert '; to have ours alone, remove  example.com.  CAA  0 issue "digicert.com"' in ran.out


def test_other_certificates_below_the_same_name_count_too(place: Town) -> None:
    more = place.certificate("www", names=("www.example.com",), targets=("folder",), challenge='"dns-account-01"')
    place.configure(
        certificates=place.certificate(targets=("folder",)) + more, extra='\n[caa]\niodef = "mailto:ca@example.com"\n'
    )
    out = place.run("caa", "main").out
    assert 'validationmethods=dns-01,dns-account-01"' in out
    assert '0 issuewild "sandbox.certbroker.test; validationmethods=dns-01"' in out
    assert 'example.com.  CAA  0 iodef "mailto:ca@example.com"' in out
    assert "certbroker account make sandbox" in out
    place.house.dns.set("www.example.com", "CNAME", "t.sni.global.fastly.example.")
    assert {line.split(".  ")[0] for line in zone_lines(place.run("caa", "www.example.com").out)} == {"example.com"}
    assert "there is main" in place.run("caa", "nobody", ends=2).err


def test_the_words_where_platforms_renew_by_themselves(place: Town) -> None:
    fly, fastly = place.platform("fly"), place.platform("fastly")
    place.configure(certificates=place.certificate(targets=("fastly", "fly-blue")))
    fly.manage("site-blue", "example.com")
    fastly.manage("example.com")
    words = told(place, "caa", "main")
    place.house.dns.set("example.com", "CAA", '0 issue "letsencrypt.org"', '0 issuewild ";"')
    words += "\n" + told(place, "caa", "main", ends=1)
    golden("words/caa.txt", words)
    place.house.dns.set("_acme-challenge.example.com", "CNAME", "example.com.dcv.cloudflare.com.")
    fly.revoke(place.environ["FLY_TOKEN_BLUE"])
    ran = place.run("caa", "main", ends=1)
    assert "what Fly manages by itself (fly-blue) is not known" in ran.out
    assert "warn: Cloudflare holds _acme-challenge.example.com" in ran.err
