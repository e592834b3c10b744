"""Where a TXT has to be written: CNAMEs, DNAMEs, wildcards, zones, holders, and which solver serves them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.challenges import Challenges
from certbroker.errors import CredentialsRejected, NothingDone, Unavailable
from certbroker.sandbox.dns import DnsServer
from tests.challenges.rig import challenges, lookup, rfc2136, small_world, solver, town


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with town("example.com", "example.net") as server:
        yield server


def room(tmp_path: Path, dns: DnsServer) -> Challenges:
    return challenges(small_world(tmp_path), rfc2136(dns), recursor=dns.address)


def hook(name: str = "hook", **more: tuple[str, ...]) -> object:
    return solver(name, "exec", {"program": "/bin/true"}, **more)


def test_a_name_without_cname_lands_on_itself_in_the_zone_that_holds_it(tmp_path: Path, dns: DnsServer) -> None:
    landing = room(tmp_path, dns).locate("www.example.com")
    assert (landing.name, landing.zone, landing.solver) == ("_acme-challenge.www.example.com", "example.com", "own")


def test_a_wildcard_is_proven_at_its_base(tmp_path: Path, dns: DnsServer) -> None:
    assert room(tmp_path, dns).locate("*.example.com").asked == "_acme-challenge.example.com"


def test_the_solver_is_chosen_by_the_zone_in_which_the_txt_lands(tmp_path: Path, dns: DnsServer) -> None:
    dns.add("_acme-challenge.example.com", "CNAME", "example-com.example.net")
    first = rfc2136(dns, name="com", zones=("example.com",))
    second = rfc2136(dns, name="net", zones=("example.net",))
    landing = challenges(small_world(tmp_path), first, second, recursor=dns.address).locate("example.com")
    assert (landing.name, landing.zone, landing.solver) == ("example-com.example.net", "example.net", "net")


def test_a_cname_in_a_child_zone_that_leads_to_the_parent_lands_in_the_parent(tmp_path: Path, dns: DnsServer) -> None:
    dns.add_zone("sub.example.com")
    dns.add("_acme-challenge.app.sub.example.com", "CNAME", "pt.example.com")
    dns.add("pt.example.com", "TXT", "here")
    landing = room(tmp_path, dns).locate("app.sub.example.com")
    assert (landing.name, landing.zone) == ("pt.example.com", "example.com")


def test_the_zone_of_a_cname_is_its_own_and_not_that_of_its_target(tmp_path: Path, dns: DnsServer) -> None:
    dns.add_zone("sub.example.com")
    dns.add("_acme-challenge.app.sub.example.com", "CNAME", "pt.example.com")
    dns.add("pt.example.com", "TXT", "here")
    found = lookup(small_world(tmp_path), dns.address)
    assert found.zone_of("_acme-challenge.app.sub.example.com") == "sub.example.com"


def test_a_cname_to_a_missing_name_lands_there_all_the_same(tmp_path: Path, dns: DnsServer) -> None:
    dns.add("_acme-challenge.example.com", "CNAME", "nobody-yet.example.net")
    assert room(tmp_path, dns).locate("example.com").name == "nobody-yet.example.net"


def test_a_chain_of_cnames_is_followed_to_its_end(tmp_path: Path, dns: DnsServer) -> None:
    dns.add("_acme-challenge.example.com", "CNAME", "one.example.net")
    dns.add("one.example.net", "CNAME", "two.example.com")
    assert room(tmp_path, dns).locate("example.com").name == "two.example.com"


def test_cnames_in_a_circle_are_told_as_such(tmp_path: Path, dns: DnsServer) -> None:
    dns.add("_acme-challenge.example.com", "CNAME", "one.example.net")
    dns.add("one.example.net", "CNAME", "_acme-challenge.example.com")
    with pytest.raises(NothingDone, match=r"run in a circle: _acme-challenge.example.com -> one.example.net"):
        room(tmp_path, dns).locate("example.com")


@pytest.mark.parametrize(
    ("target", "holder"),
    [
        ("example.com.d6lmmxg.flydns.net", "Fly"),
        ("abc.fastly-validations.com", "Fastly"),
        ("example.com.0123.dcv.cloudflare.com", "Cloudflare"),
        ("ac.1.example.com.validate-akdv.net", "Akamai"),
    ],
)
def test_a_cname_that_a_platform_holds_stops_before_the_order_and_names_it(
    tmp_path: Path, dns: DnsServer, target: str, holder: str
) -> None:
    dns.add_zone(target.split(".", 1)[1])
    dns.add("_acme-challenge.example.com", "CNAME", target)
    with pytest.raises(NothingDone, match=f"is a CNAME to {target}: held by {holder};") as caught:
        room(tmp_path, dns).locate("example.com")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("delete the CNAME _acme-challenge.example.com")


def test_a_cname_to_a_zone_that_no_solver_serves_says_where_it_lands(tmp_path: Path, dns: DnsServer) -> None:
    dns.add_zone("elsewhere.test")
    dns.add("_acme-challenge.example.com", "CNAME", "x.elsewhere.test")
    settings = rfc2136(dns, zones=("example.com",))
    with pytest.raises(NothingDone, match=r"x.elsewhere.test, in the zone elsewhere.test, and no configured solver"):
        challenges(small_world(tmp_path), settings, recursor=dns.address).locate("example.com")


def test_a_solver_that_knows_no_zones_takes_the_one_that_dns_says(tmp_path: Path, dns: DnsServer) -> None:
    landing = challenges(small_world(tmp_path), hook(), recursor=dns.address).locate("a.b.example.com")  # type: ignore[arg-type]
    assert (landing.zone, landing.solver) == ("example.com", "hook")


def test_a_solver_that_knows_no_zones_is_not_trusted_with_a_foreign_zone_unless_named(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.add("_acme-challenge.example.com", "CNAME", "x.example.net")
    with pytest.raises(NothingDone, match="which no solver names") as caught:
        challenges(small_world(tmp_path), hook(), recursor=dns.address).locate("example.com")  # type: ignore[arg-type]
    assert 'zones = ["example.net"]' in (caught.value.hint or "")
    named = hook(zones=("example.net",))
    landing = challenges(small_world(tmp_path), named, recursor=dns.address).locate("example.com")  # type: ignore[arg-type]
    assert landing.zone == "example.net"


def test_the_longest_zone_named_in_the_file_wins(tmp_path: Path, dns: DnsServer) -> None:
    dns.add_zone("sub.example.com")
    wide = rfc2136(dns, name="wide", zones=("example.com",))
    narrow = rfc2136(dns, name="narrow", zones=("sub.example.com",))
    there = challenges(small_world(tmp_path), wide, narrow, recursor=dns.address)
    assert there.locate("a.sub.example.com").solver == "narrow"
    assert there.locate("sub.example.com.example.com").solver == "wide"


def test_a_wildcard_cname_does_not_catch_the_challenge(tmp_path: Path, dns: DnsServer) -> None:
    dns.add("*.example.com", "CNAME", "site.example.net")
    assert room(tmp_path, dns).locate("www.example.com").name == "_acme-challenge.www.example.com"


def test_a_zone_that_is_delegated_away_from_the_solver_is_told(tmp_path: Path, dns: DnsServer) -> None:
    dns.add_zone("sub.example.com")
    settings = rfc2136(dns, zones=("example.com",))
    with pytest.raises(NothingDone, match=r"in the zone sub.example.com, which example.com delegates to other servers"):
        challenges(small_world(tmp_path), settings, recursor=dns.address).locate("a.sub.example.com")


def test_a_zone_that_nobody_delegates_to_the_solver_is_told(tmp_path: Path, dns: DnsServer) -> None:
    settings = rfc2136(dns, zones=("sub.example.com",))
    with pytest.raises(NothingDone, match=r"holds the zone sub.example.com, but DNS finds .* in example.com"):
        challenges(small_world(tmp_path), settings, recursor=dns.address).locate("a.sub.example.com")


def test_named_servers_settle_which_view_counts(tmp_path: Path, dns: DnsServer) -> None:
    settings = rfc2136(dns, zones=("sub.example.com",), nameservers=(dns.address,))
    landing = challenges(small_world(tmp_path), settings, recursor=dns.address).locate("a.sub.example.com")
    assert landing.zone == "sub.example.com"


def test_a_whole_top_level_is_refused_unless_named(tmp_path: Path) -> None:
    with town("test") as dns:
        with pytest.raises(NothingDone, match="looks like a whole top level"):
            room(tmp_path, dns).locate("www.test")
        named = rfc2136(dns, zones=("test",))
        assert challenges(small_world(tmp_path), named, recursor=dns.address).locate("www.test").zone == "test"


@pytest.mark.parametrize("name", ["exa\x00mple.com", "a\nb.example.com", "../etc.example.com", "a b.example.com", ""])
def test_a_name_with_characters_that_no_host_name_has_is_refused(tmp_path: Path, dns: DnsServer, name: str) -> None:
    with pytest.raises(NothingDone, match="is not a DNS name"):
        room(tmp_path, dns).locate(name)
    assert dns.questions == []


def test_a_cname_to_a_name_with_control_characters_is_refused(tmp_path: Path, dns: DnsServer) -> None:
    dns.add("_acme-challenge.example.com", "CNAME", "a\\010b.example.net")
    with pytest.raises(NothingDone, match="which is no name that can be published at"):
        room(tmp_path, dns).locate("example.com")


def test_a_recursor_that_fails_is_no_answer(tmp_path: Path, dns: DnsServer) -> None:
    dns.servfail.add("_acme-challenge.example.com")
    with pytest.raises(Unavailable, match=r"cannot look up _acme-challenge.example.com TXT: .* says SERVFAIL"):
        room(tmp_path, dns).locate("example.com")


def test_a_solver_that_fails_does_not_hold_up_names_of_another(tmp_path: Path, dns: DnsServer) -> None:
    broken = solver("broken", "dnsimple", {"token": {"env": "NOT_SET"}})
    there = challenges(small_world(tmp_path), broken, rfc2136(dns), recursor=dns.address)
    assert there.locate("example.com").solver == "own"
    dns.add_zone("example.org")
    alone = challenges(small_world(tmp_path), broken, recursor=dns.address)
    with pytest.raises(CredentialsRejected, match=r"\$NOT_SET"):
        alone.locate("example.org")


def test_only_txt_is_asked_for_on_the_way_to_an_acme_dns_name(tmp_path: Path, dns: DnsServer) -> None:
    """Every other type is denied there, and recursors remember the denial for the TXT too."""
    dns.add_zone("auth.example.org")
    own = "11111111-1111-1111-1111-111111111111.auth.example.org"
    dns.add("_acme-challenge.example.com", "CNAME", own)
    reference = {"env": "TSIG"}
    options = {"api": "https://auth.example.org", "fulldomain": own, "subdomain": own.split(".")[0]}
    settings = solver("acme", "acme-dns", {**options, "username": reference, "password": reference})
    landing = challenges(small_world(tmp_path), settings, rfc2136(dns), recursor=dns.address).locate("example.com")
    assert (landing.name, landing.zone, landing.solver) == (own, "auth.example.org", "acme")
    assert {question.type for question in dns.questions if question.name == own and question.recursion} == {"TXT"}
