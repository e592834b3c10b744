"""Finding the way: name servers and their addresses, recursors that fail, circles, DNAMEs, and what is announced."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from certbroker.challenges.lookup import Server, joined, split
from certbroker.errors import NothingDone, Unavailable
from tests.challenges.rig import HoleyNetwork, lookup, small_world, town
from tests.world import CountingNetwork


@contextmanager
def responder(answer: Callable[[dns.message.Message, dns.message.Message], None]) -> Iterator[str]:
    """A UDP server whose every answer is made by hand; yields "host:port"."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        address = udp.getsockname()

        def serve() -> None:
            while True:
                wire, client = udp.recvfrom(4096)
                if not wire:
                    return
                query = dns.message.from_wire(wire)
                response = dns.message.make_response(query, recursion_available=True)
                answer(query, response)
                udp.sendto(response.to_wire(), client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{address[1]}"
        finally:
            with socket.socket(type=socket.SOCK_DGRAM) as bell:
                bell.sendto(b"", address)
            thread.join()


def test_the_servers_of_a_zone_are_found_with_every_address(tmp_path: Path) -> None:
    with town("example.com") as dns:
        dns.set("ns1.example.com", "A", "127.0.0.1", "127.0.0.2")
        dns.set("ns1.example.com", "AAAA", "2001:db8::1")
        found = lookup(small_world(tmp_path), dns.address).servers("example.com")
    hosts = {server.host for server in found}
    assert hosts == {"127.0.0.1", "127.0.0.2", "2001:db8::1"}
    assert str(Server("ns1.example.com", "2001:db8::1")) == "ns1.example.com (2001:db8::1)"


def test_a_zone_whose_servers_have_no_address_is_told(tmp_path: Path) -> None:
    with town() as dns:
        dns.add_zone("example.com", ns=("ns.nowhere.test",))
        with pytest.raises(Unavailable, match=r"example.com has no name server with an address"):
            lookup(small_world(tmp_path), dns.address).servers("example.com")


def test_connect_to_holds_for_dns_too(tmp_path: Path) -> None:
    with town("example.com") as dns:
        dns.add("x.example.com", "TXT", "here")
        found = lookup(small_world(tmp_path), "192.0.2.53:53", connect_to={"192.0.2.53:53": dns.address})
        assert found.zone_of("x.example.com") == "example.com"


def test_every_contact_is_announced(tmp_path: Path) -> None:
    network = CountingNetwork()
    with town("example.com") as dns:
        lookup(small_world(tmp_path, network=network), dns.address).land("_acme-challenge.example.com")
        assert set(network.contacts) == {("dns", dns.address)}


def test_a_forbidden_network_is_no_answer_and_costs_no_time(tmp_path: Path) -> None:
    network = CountingNetwork(forbidden=True)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:5353 says OSError"):
        lookup(small_world(tmp_path, network=network), "127.0.0.1:5353").zone_of("example.com")


def test_the_second_recursor_is_asked_when_the_first_fails(tmp_path: Path) -> None:
    with town("example.com") as dns:
        world = small_world(tmp_path, network=HoleyNetwork("192.0.2.1:53"))
        found = lookup(world, "192.0.2.1:53", dns.address)
        assert found.zone_of("x.example.com") == "example.com"


def test_a_recursor_that_hides_a_circle_behind_servfail_is_seen_through(tmp_path: Path) -> None:
    circle = {"_acme-challenge.example.com.": "b.example.com.", "b.example.com.": "_acme-challenge.example.com."}

    def answer(query: dns.message.Message, response: dns.message.Message) -> None:
        name = query.question[0].name.to_text()
        if query.question[0].rdtype == dns.rdatatype.CNAME:
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", circle[name]))
        else:
            response.set_rcode(dns.rcode.SERVFAIL)

    with responder(answer) as address, pytest.raises(NothingDone, match="run in a circle"):
        lookup(small_world(tmp_path), address).land("_acme-challenge.example.com")


def test_broken_dnssec_is_told_apart_from_a_failing_server(tmp_path: Path) -> None:
    def answer(query: dns.message.Message, response: dns.message.Message) -> None:
        if not query.flags & dns.flags.CD:
            response.set_rcode(dns.rcode.SERVFAIL)

    with responder(answer) as address, pytest.raises(Unavailable, match="DNSSEC is broken for _acme-challenge"):
        lookup(small_world(tmp_path), address).land("_acme-challenge.example.com")


def test_a_dname_above_the_label_moves_it(tmp_path: Path) -> None:
    def answer(query: dns.message.Message, response: dns.message.Message) -> None:
        name = query.question[0].name.to_text()
        if name.endswith(".old.example.com."):
            moved = name.replace(".old.example.com.", ".new.example.net.")
            if name.startswith("*."):
                return
            response.answer.append(dns.rrset.from_text("old.example.com.", 60, "IN", "DNAME", "new.example.net."))
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", moved))
        response.set_rcode(dns.rcode.NXDOMAIN)

    with responder(answer) as address:
        way = lookup(small_world(tmp_path), address).land("_acme-challenge.www.old.example.com")
    assert way.end == "_acme-challenge.www.new.example.net"


def test_a_child_on_lame_servers_is_found_as_the_recursor_says(tmp_path: Path) -> None:
    """Both walks end at the parent then; its own servers answer with a referral, which the wait tells."""
    with town("example.com") as dns:
        dns.recursive = False
        dns.add("sub.example.com", "NS", "ns.nowhere.test.")
        found = lookup(small_world(tmp_path), dns.address)
        assert found.zone_of("_acme-challenge.sub.example.com") == "example.com"


def test_no_time_left_is_told(tmp_path: Path) -> None:
    with town("example.com") as dns:
        found = lookup(small_world(tmp_path), dns.address, deadline=0.0)
        with pytest.raises(Unavailable, match="no time left"):
            found.zone_of("example.com")


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("ns1.example.com", ("ns1.example.com", 53)),
    ],
)
def test_addresses_are_read_in_every_form(text: str, pair: tuple[str, int]) -> None:
    assert split(text) == pair
    assert split(joined(*pair)) == pair
