"""Waiting until the world can see it: every authoritative server is asked, and the error says which one lacks what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from certbroker.challenges import propagation
from certbroker.challenges.lookup import Lookup, Server, State
from certbroker.challenges.propagation import Wanted
from certbroker.errors import ChallengeFailed, Unavailable
from certbroker.sandbox.dns import DnsServer
from certbroker.world import World
from tests.challenges.rig import OTHER, VALUE, HoleyNetwork, lookup, small_world

NAME = "_acme-challenge.example.com"


@pytest.fixture
def servers() -> Iterator[list[DnsServer]]:
    """Two name servers of example.com, each with its own address."""
    with ExitStack() as stack:
        found = [stack.enter_context(DnsServer(host=f"127.0.0.{number}")) for number in (1, 2)]
        for server in found:
            server.add_zone("example.com")
        yield found


def named(*servers: DnsServer) -> tuple[Server, ...]:
    return tuple(Server(f"ns{at}.example.com", server.host, server.port) for at, server in enumerate(servers, 1))


def wanted(servers: tuple[Server, ...], value: str = VALUE, id_: int = 1) -> Wanted:
    return Wanted(id_, NAME, value, servers)


def finder(world: World) -> Lookup:
    return lookup(world, "127.0.0.1:1")


def wait(world: World, *of: Wanted, seconds: float = 20.0) -> dict[int, Exception]:
    return dict(propagation.wait(of, seconds=seconds, lookup=finder(world), clock=world.clock))


def test_ready_when_every_server_has_it(tmp_path: Path, servers: list[DnsServer]) -> None:
    for server in servers:
        server.add(NAME, "TXT", VALUE)
    assert wait(small_world(tmp_path), wanted(named(*servers))) == {}


def test_waits_for_the_slower_server(tmp_path: Path, servers: list[DnsServer]) -> None:
    servers[0].add(NAME, "TXT", VALUE)
    servers[1].lag_queries = 3
    servers[1].add(NAME, "TXT", VALUE)
    world = small_world(tmp_path)
    before = world.clock.monotonic()
    assert wait(world, wanted(named(*servers))) == {}
    assert world.clock.monotonic() - before == pytest.approx(0.25 + 0.5 + 1.0)


def test_servers_that_disagree_are_named_with_what_they_say(tmp_path: Path, servers: list[DnsServer]) -> None:
    servers[0].add(NAME, "TXT", VALUE)
    servers[1].add(NAME, "TXT", OTHER)
    error = wait(small_world(tmp_path), wanted(named(*servers)))[1]
    assert isinstance(error, ChallengeFailed)
    assert f"{NAME} has no TXT {VALUE} yet: ns2.example.com (127.0.0.2:{servers[1].port}) says 1 other value" in str(
        error
    )
    assert "ns1" not in str(error)


def test_a_server_that_fails_stops_it_even_if_the_other_is_fine(tmp_path: Path, servers: list[DnsServer]) -> None:
    for server in servers:
        server.add(NAME, "TXT", VALUE)
    servers[1].servfail.add(NAME)
    error = wait(small_world(tmp_path), wanted(named(*servers)))[1]
    assert "ns2.example.com" in str(error)
    assert "says server failure" in str(error)


def test_a_dead_server_is_waited_for_a_while_and_then_passed_over(tmp_path: Path, servers: list[DnsServer]) -> None:
    for server in servers:
        server.add(NAME, "TXT", VALUE)
    world = small_world(tmp_path, network=HoleyNetwork(servers[1].address))
    before = world.clock.monotonic()
    assert wait(world, wanted(named(*servers)), seconds=60) == {}
    assert world.clock.monotonic() - before >= propagation.PATIENCE


def test_one_dead_server_of_three_is_not_waited_for(tmp_path: Path, servers: list[DnsServer]) -> None:
    for server in servers:
        server.add(NAME, "TXT", VALUE)
    world = small_world(tmp_path, network=HoleyNetwork("127.0.0.3:5353"))
    before = world.clock.monotonic()
    assert wait(world, wanted((*named(*servers), Server("ns3.example.com", "127.0.0.3", 5353)))) == {}
    assert world.clock.monotonic() == before


def test_a_second_address_out_of_reach_does_not_matter(tmp_path: Path, servers: list[DnsServer]) -> None:
    """A machine without IPv6 sees half of each server's addresses."""
    servers[0].add(NAME, "TXT", VALUE)
    world = small_world(tmp_path, network=HoleyNetwork("[2001:db8::1]:53"))
    both = (*named(servers[0]), Server("ns1.example.com", "2001:db8::1"))
    before = world.clock.monotonic()
    assert wait(world, wanted(both)) == {}
    assert world.clock.monotonic() == before


def test_all_servers_dead_is_unavailable_and_not_a_lack(tmp_path: Path, servers: list[DnsServer]) -> None:
    network = HoleyNetwork(*(server.address for server in servers))
    error = wait(small_world(tmp_path, network=network), wanted(named(*servers)))[1]
    assert isinstance(error, Unavailable)
    assert "ns1.example.com (127.0.0.1:" in str(error)
    assert "no answer" in str(error)


def test_lame_servers_do_not_count(tmp_path: Path, servers: list[DnsServer]) -> None:
    servers[0].add(NAME, "TXT", VALUE)
    servers[1].refuse = True
    finding = propagation.look([wanted(named(*servers))], finder(small_world(tmp_path)))[0]
    assert [said.state for said in finding.said.values()] == [State.YES, State.LAME]
    assert finding.ready(patient=True)
    assert not finding.ready(patient=False)


def test_a_referral_from_the_parent_says_broken_delegation(tmp_path: Path, servers: list[DnsServer]) -> None:
    servers[0].add("sub.example.com", "NS", "ns.nowhere.test.")
    asked = Wanted(1, "_acme-challenge.sub.example.com", VALUE, named(servers[0]))
    error = wait(small_world(tmp_path), asked, seconds=0)[1]
    assert isinstance(error, ChallengeFailed)
    assert "says delegated to other servers" in str(error)
    assert "dig +trace _acme-challenge.sub.example.com TXT" in (error.hint or "")


def test_a_cname_at_the_name_is_told(tmp_path: Path, servers: list[DnsServer]) -> None:
    servers[0].add(NAME, "CNAME", "elsewhere.test.")
    error = wait(small_world(tmp_path), wanted(named(servers[0])), seconds=0)[1]
    assert isinstance(error, ChallengeFailed)
    assert "an alias that leads elsewhere" in str(error)


def test_two_values_at_one_name_are_asked_for_once(tmp_path: Path, servers: list[DnsServer]) -> None:
    servers[0].add(NAME, "TXT", VALUE)
    servers[0].add(NAME, "TXT", OTHER)
    both = named(servers[0])
    assert wait(small_world(tmp_path), wanted(both), wanted(both, OTHER, 2)) == {}
    assert len(servers[0].questions) == 1


def test_a_value_of_several_strings_is_read_as_one(tmp_path: Path, servers: list[DnsServer]) -> None:
    long = "x" * 700
    servers[0].add(NAME, "TXT", long)
    assert wait(small_world(tmp_path), wanted(named(servers[0]), long)) == {}


def test_a_large_set_is_read_over_tcp(tmp_path: Path, servers: list[DnsServer]) -> None:
    for number in range(60):
        servers[0].add(NAME, "TXT", f"{number:043d}")
    servers[0].add(NAME, "TXT", VALUE)
    assert wait(small_world(tmp_path), wanted(named(servers[0]))) == {}
    assert servers[0].questions[-1].tcp


def test_what_was_seen_early_is_looked_at_again_before_the_ca_is_told(tmp_path: Path, servers: list[DnsServer]) -> None:
    """Another client at the same name may clear the whole set while we wait for the rest."""
    servers[0].add(NAME, "TXT", VALUE)
    world = small_world(tmp_path)
    other = "_acme-challenge.www.example.com"
    looks = 0

    def cleared() -> bool | None:
        nonlocal looks
        looks += 1
        if looks == 2:
            servers[0].remove(NAME, "TXT")
        return looks > 2

    servers[0].add(other, "TXT", OTHER)
    at = named(servers[0])
    missing = wait(world, wanted(at), Wanted(2, other, OTHER, at, cleared), seconds=30)
    assert list(missing) == [1]


def test_the_service_itself_must_have_spread_it(tmp_path: Path, servers: list[DnsServer]) -> None:
    servers[0].add(NAME, "TXT", VALUE)
    says = iter([False, False, True])
    world = small_world(tmp_path)
    assert wait(world, Wanted(1, NAME, VALUE, named(servers[0]), lambda: next(says))) == {}
    never = Wanted(1, NAME, VALUE, named(servers[0]), lambda: False)
    assert "has not distributed" in str(wait(world, never)[1])


def test_pauses_double_up_to_a_few_seconds(tmp_path: Path, servers: list[DnsServer]) -> None:
    world = small_world(tmp_path)
    wait(world, wanted(named(servers[0])), seconds=30)
    assert len(servers[0].questions) <= 14
