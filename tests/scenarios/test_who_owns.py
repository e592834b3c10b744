"""`who-owns NAME`: whose the labels are, which challenge works today, what has to change, and what that breaks for whom."""

from __future__ import annotations

from tests.golden import golden
from tests.scenarios.test_words import told
from tests.scenarios.town import Town

LABEL = "_acme-challenge.example.com"


def test_the_words_of_a_name_that_is_ours_and_of_one_that_fly_holds(place: Town) -> None:
    words = told(place, "who-owns", "main")
    fly, fastly = place.platform("fly"), place.platform("fastly")
    place.configure(certificates=place.certificate(targets=("fastly", "fly-blue", "fly-green")))
    place.house.dns.set(LABEL, "CNAME", f"example.com.{fly.apps['site-blue'].id}.flydns.net.")
    place.house.dns.set("example.com", "A", fly.apps["site-blue"].v4[0])
    fly.manage("site-blue", "example.com")
    fastly.manage("example.com")
    words += "\n" + told(place, "who-owns", "main", ends=1)
    words += "\n" + told(place, "who-owns", "deep.below.example.com")
    golden("words/who-owns.txt", words)


def test_what_it_says_to_change_is_what_has_to_change(place: Town) -> None:
    """The record it names is deleted, and the order goes through; nothing was touched until then."""
    fly = place.platform("fly")
    target = f"example.com.{fly.apps['site-blue'].id}.flydns.net."
    place.house.dns.set(LABEL, "CNAME", target)
    fly.manage("site-blue", "example.com")
    before = place.pushes()
    answer = place.run("who-owns", "*.example.com", "--json", ends=1).json
    assert place.pushes() == before
    assert answer["certificate"] == "main"
    (change,) = answer["changes"]
    assert (change["old"], change["new"]) == (f"{LABEL}.  CNAME  {target}", "")
    name, kind, _ = change["old"].split("  ")
    place.house.dns.remove(name.rstrip("."), kind)
    assert place.run("who-owns", "main", "--json").json["changes"] == []
    place.run("renew")
    assert place.orders == 1


def test_the_other_ways_are_told_with_what_they_need(place: Town) -> None:
    names = ("example.com",)
    place.configure(
        certificates=place.certificate(names=names, targets=("folder",), challenge='"dns-persist-01"'),
        extra='\n[solver.web]\ntype = "webroot"\nfolder = "www"\n',
    )
    (place.folder / "www").mkdir()
    place.run("account", "make", "sandbox")
    place.house.dns.set(
        "example.com", "CAA", '0 issue "sandbox.certbroker.test; validationmethods=http-01,dns-persist-01"'
    )
    answer = place.run("who-owns", "example.com", "--json", ends=3).json
    ways = {way["method"]: (way["state"], way["wanted"]) for way in answer["ways"]}
    assert ways == {
        "dns-01": ("fail", False),
        "dns-account-01": ("fail", False),
        "dns-persist-01": ("wait", True),
        "http-01": ("ok", False),
    }
    (change,) = answer["changes"]
    assert change["old"] == ""
    name, kind, value = change["new"].split("  ")
    place.house.dns.set(name.rstrip("."), kind, value.strip('"'))
    assert place.run("who-owns", "main", "--json").json["exit_code"] == 0


def test_without_tokens_what_only_they_tell_is_unknown_and_what_dns_tells_is_said(place: Town) -> None:
    place.house.dns.set(LABEL, "CNAME", "y.fastly-validations.com.")
    place.environ.clear()
    ran = place.run("who-owns", "main", ends=1)
    assert "held by Fastly: it leads to y.fastly-validations.com" in ran.out
    assert "what Fastly manages by itself (fastly) is not known" in ran.out
    assert "FASTLY_TOKEN" in ran.out
    assert "is neither a certificate of the file nor a DNS name" in place.run("who-owns", "mein", ends=2).err
