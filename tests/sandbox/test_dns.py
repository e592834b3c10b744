"""The sandbox's DNS server, asked over real sockets by dnspython."""

from __future__ import annotations

import base64
import socket
import sys
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import dns.tsig
import dns.tsigkeyring
import dns.update
import pytest
from dns.message import Message
from dns.rcode import Rcode

from certbroker.sandbox.dns import DnsServer
from tests.clock import TestClock

KEYS = {"broker.": base64.b64encode(b"k" * 32).decode()}


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with DnsServer() as server:
        server.add_zone("example.com")
        yield server


def ask(server: DnsServer, name: str, kind: str = "TXT", *, tcp: bool = False, recursion: bool = False) -> Message:
    query = dns.message.make_query(name, kind, use_edns=False)
    if not recursion:
        query.flags &= ~dns.flags.RD
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, server.host, timeout=5, port=server.port)


def texts(answer: Message) -> list[str]:
    return sorted(b"".join(rdata.strings).decode() for rrset in answer.answer for rdata in rrset)


@pytest.mark.parametrize("tcp", [False, True])
def test_it_answers_with_authority_over_udp_and_tcp_on_one_port(server: DnsServer, tcp: bool) -> None:
    server.add("_acme-challenge.example.com", "TXT", "one")
    server.add("_acme-challenge.example.com", "TXT", "two")
    answer = ask(server, "_acme-challenge.example.com", tcp=tcp)
    assert texts(answer) == ["one", "two"]
    assert answer.flags & dns.flags.AA
    assert not answer.flags & dns.flags.RA
    assert server.questions[-1].tcp is tcp


def test_a_txt_value_is_kept_as_it_is_however_long_and_quoted(server: DnsServer) -> None:
    value = 'it says "x\\y" ' + "z" * 300
    server.add("long.example.com", "TXT", value)
    assert texts(ask(server, "long.example.com")) == [value]
    assert server.txt("long.example.com") == [value]


def test_one_value_is_removed_and_the_other_stays(server: DnsServer) -> None:
    server.set("a.example.com", "TXT", "one", "two")
    server.remove("a.example.com", "TXT", "one")
    assert texts(ask(server, "a.example.com")) == ["two"]
    server.remove("a.example.com", "TXT")
    assert ask(server, "a.example.com").rcode() == Rcode.NXDOMAIN


def test_absent_names_and_absent_types_come_with_the_soa(server: DnsServer) -> None:
    server.add("deep.under.example.com", "A", "192.0.2.1")
    missing = ask(server, "nobody.example.com")
    assert missing.rcode() == Rcode.NXDOMAIN
    assert missing.authority[0].name.to_text() == "example.com."
    for name in ("deep.under.example.com", "under.example.com"):
        nothing = ask(server, name)
        assert nothing.rcode() == Rcode.NOERROR
        assert not nothing.answer
        assert nothing.authority[0].rdtype.name == "SOA"


def test_the_apex_has_soa_and_ns_and_the_nameserver_an_address(server: DnsServer) -> None:
    assert ask(server, "example.com", "SOA").answer[0][0].to_text().startswith("ns1.example.com. ")
    assert ask(server, "example.com", "NS").answer[0][0].to_text() == "ns1.example.com."
    assert ask(server, "ns1.example.com", "A").answer[0][0].to_text() == "127.0.0.1"


def test_a_change_moves_the_serial(server: DnsServer) -> None:
    before = ask(server, "example.com", "SOA").answer[0][0].serial
    server.add("x.example.com", "TXT", "v")
    assert ask(server, "example.com", "SOA").answer[0][0].serial > before


def test_a_wildcard_answers_for_names_that_do_not_exist_and_only_for_them(server: DnsServer) -> None:
    server.add("*.example.com", "A", "192.0.2.7")
    server.add("there.example.com", "TXT", "v")
    answer = ask(server, "any.thing.example.com", "A")
    assert answer.answer[0].name.to_text() == "any.thing.example.com."
    assert not ask(server, "there.example.com", "A").answer
    assert ask(server, "below.there.example.com", "A").rcode() == Rcode.NXDOMAIN


def test_a_cname_is_followed_inside_its_zone_and_beyond_it_by_a_recursor_only(server: DnsServer) -> None:
    server.add_zone("other.example")
    server.set("_acme-challenge.www.example.com", "CNAME", "in.example.com")
    server.set("in.example.com", "CNAME", "target.other.example")
    server.add("target.other.example", "TXT", "v")
    plain = ask(server, "_acme-challenge.www.example.com", recursion=True)
    assert [rrset.rdtype.name for rrset in plain.answer] == ["CNAME", "CNAME"]
    server.recursive = True
    full = ask(server, "_acme-challenge.www.example.com", recursion=True)
    assert [rrset.rdtype.name for rrset in full.answer] == ["CNAME", "CNAME", "TXT"]
    assert full.flags & dns.flags.RA
    assert server.lookup_txt("_acme-challenge.www.example.com") == ["v"]


def test_cnames_in_a_circle_end(server: DnsServer) -> None:
    server.set("a.example.com", "CNAME", "b.example.com")
    server.set("b.example.com", "CNAME", "a.example.com")
    assert ask(server, "a.example.com").rcode() == Rcode.SERVFAIL


def test_a_cname_stands_alone(server: DnsServer) -> None:
    server.set("a.example.com", "TXT", "v")
    with pytest.raises(ValueError, match="CNAME"):
        server.add("a.example.com", "CNAME", "b.example.com")


def test_a_child_zone_elsewhere_is_a_referral_with_glue(server: DnsServer) -> None:
    server.add("corp.example.com", "NS", "ns.corp.example.com")
    server.add("ns.corp.example.com", "A", "127.0.0.9")
    answer = ask(server, "x.corp.example.com")
    assert not answer.flags & dns.flags.AA
    assert answer.authority[0].name.to_text() == "corp.example.com."
    assert answer.additional[0][0].to_text() == "127.0.0.9"


def test_a_recursor_asks_the_server_that_was_named_for_a_zone(server: DnsServer) -> None:
    server.add("x.example.com", "TXT", "v")
    with DnsServer(recursive=True) as recursor:
        recursor.forward("example.com", server.address)
        assert texts(ask(recursor, "x.example.com", recursion=True)) == ["v"]
        assert recursor.lookup_txt("x.example.com") == ["v"]
        assert ask(recursor, "elsewhere.example", recursion=True).rcode() == Rcode.SERVFAIL
        server.servfail.add("x.example.com")
        assert ask(recursor, "x.example.com", recursion=True).rcode() == Rcode.SERVFAIL


def test_stub_resolvers_use_it_as_it_is(server: DnsServer) -> None:
    server.recursive = True
    server.add("example.com", "CAA", '0 issue "letsencrypt.org"')
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [server.host]
    resolver.port = server.port
    assert resolver.resolve("example.com", "CAA")[0].to_text() == '0 issue "letsencrypt.org"'
    assert dns.resolver.zone_for_name("_acme-challenge.www.example.com", resolver=resolver).to_text() == "example.com."


def test_a_set_too_large_for_udp_is_cut_and_whole_over_tcp(server: DnsServer) -> None:
    for number in range(30):
        server.add("many.example.com", "TXT", f"value-{number:02}-" + "x" * 40)
    cut = ask(server, "many.example.com")
    assert cut.flags & dns.flags.TC
    assert len(texts(ask(server, "many.example.com", tcp=True))) == 30


def test_unknown_zones_are_refused(server: DnsServer) -> None:
    assert ask(server, "example.net").rcode() == Rcode.REFUSED


def test_it_can_refuse_and_fail(server: DnsServer) -> None:
    server.servfail.add("bad.example.com")
    assert ask(server, "bad.example.com", "CAA").rcode() == Rcode.SERVFAIL
    server.refuse = True
    assert ask(server, "example.com", "SOA").rcode() == Rcode.REFUSED


@pytest.mark.parametrize("tcp", [False, True])
def test_it_can_say_nothing(server: DnsServer, tcp: bool) -> None:
    server.silent = True
    query = dns.message.make_query("example.com", "SOA")
    send = dns.query.tcp if tcp else dns.query.udp
    with pytest.raises(dns.exception.Timeout):
        send(query, server.host, timeout=0.2, port=server.port)


def test_garbage_does_not_stop_it(server: DnsServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.sendto(b"\x00\x01garbage", (server.host, server.port))
        line.sendto(b"", (server.host, server.port))
    assert ask(server, "example.com", "SOA").rcode() == Rcode.NOERROR


def test_new_values_can_show_themselves_late_by_questions(server: DnsServer) -> None:
    server.add("x.example.com", "TXT", "old")
    server.lag_queries = 2
    server.add("x.example.com", "TXT", "new")
    assert server.txt("x.example.com") == ["old", "new"]
    assert [texts(ask(server, "x.example.com")) for _ in range(3)] == [["old"], ["old"], ["new", "old"]]


def test_new_values_can_show_themselves_late_by_the_clock() -> None:
    clock = TestClock()
    with DnsServer(clock=clock) as server:
        server.add_zone("example.com")
        server.lag_seconds = 30
        server.add("x.example.com", "TXT", "new")
        assert ask(server, "x.example.com").rcode() == Rcode.NXDOMAIN
        clock.sleep(30)
        assert texts(ask(server, "x.example.com")) == ["new"]


@pytest.fixture
def signed() -> Iterator[DnsServer]:
    with DnsServer(keys=KEYS) as server:
        server.add_zone("example.com")
        yield server


def update(keys: dict[str, str] | None = KEYS) -> dns.update.UpdateMessage:
    ring = dns.tsigkeyring.from_text(keys) if keys else None
    return dns.update.UpdateMessage("example.com", keyring=ring)


def send(server: DnsServer, message: Message) -> Rcode:
    return Rcode(dns.query.tcp(message, server.host, timeout=5, port=server.port).rcode())


def test_a_signed_update_adds_and_deletes_single_values(signed: DnsServer) -> None:
    for value in ("one", "two"):
        message = update()
        message.add("_acme-challenge", 60, "TXT", value)
        assert send(signed, message) == Rcode.NOERROR
    assert texts(ask(signed, "_acme-challenge.example.com")) == ["one", "two"]
    message = update()
    message.delete("_acme-challenge", "TXT", "one")
    assert send(signed, message) == Rcode.NOERROR
    assert texts(ask(signed, "_acme-challenge.example.com")) == ["two"]
    message = update()
    message.delete("_acme-challenge")
    assert send(signed, message) == Rcode.NOERROR
    assert ask(signed, "_acme-challenge.example.com").rcode() == Rcode.NXDOMAIN
    assert signed.updates == 4


def test_a_cname_update_against_a_txt_is_ignored_without_a_word(signed: DnsServer) -> None:
    signed.add("x.example.com", "TXT", "v")
    message = update()
    message.add("x", 60, "CNAME", "y.example.com.")
    assert send(signed, message) == Rcode.NOERROR
    assert signed.values("x.example.com", "CNAME") == []


def test_prerequisites_are_kept(signed: DnsServer) -> None:
    signed.add("x.example.com", "TXT", "v")
    absent, present, named, exact, wrong = (update() for _ in range(5))
    absent.absent("x", "TXT")
    present.present("y")
    named.absent("x")
    exact.present("x", "TXT", "v")
    wrong.present("x", "TXT", "w")
    results = [send(signed, message) for message in (absent, present, named, exact, wrong)]
    assert results == [Rcode.YXRRSET, Rcode.NXDOMAIN, Rcode.YXDOMAIN, Rcode.NOERROR, Rcode.NXRRSET]


def test_unsigned_and_wrongly_signed_updates_change_nothing(signed: DnsServer) -> None:
    unsigned = update(None)
    unsigned.add("x", 60, "TXT", "v")
    assert send(signed, unsigned) == Rcode.REFUSED
    forged = update({"broker.": base64.b64encode(b"w" * 32).decode()})
    forged.add("x", 60, "TXT", "v")
    with pytest.raises(dns.tsig.PeerBadSignature):
        send(signed, forged)
    stranger = update({"stranger.": base64.b64encode(b"w" * 32).decode()})
    stranger.add("x", 60, "TXT", "v")
    with pytest.raises(dns.tsig.PeerBadKey):
        send(signed, stranger)
    assert ask(signed, "x.example.com").rcode() == Rcode.NXDOMAIN


def test_updates_of_other_zones_are_turned_away(signed: DnsServer) -> None:
    ring = dns.tsigkeyring.from_text(KEYS)
    foreign = dns.update.UpdateMessage("example.net", keyring=ring)
    foreign.add("x", 60, "TXT", "v")
    assert send(signed, foreign) == Rcode.NOTAUTH
    outside = update()
    outside.add("x.example.net.", 60, "TXT", "v")
    assert send(signed, outside) == Rcode.NOTZONE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
def test_two_servers_can_share_a_port_number_on_two_addresses() -> None:
    with DnsServer(host="127.0.0.2") as first, DnsServer(host="127.0.0.3", port=first.port) as second:
        first.add_zone("example.com")
        second.add_zone("example.com")
        second.add("x.example.com", "TXT", "v")
        assert ask(first, "x.example.com").rcode() == Rcode.NXDOMAIN
        assert texts(ask(second, "x.example.com")) == ["v"]


def test_setting_a_set_again_leaves_what_was_seen_as_seen(server: DnsServer) -> None:
    server.set("x.example.com", "TXT", "old", "gone")
    server.lag_queries = 1
    server.set("x.example.com", "TXT", "old", "new")
    assert [texts(ask(server, "x.example.com")) for _ in range(2)] == [["old"], ["new", "old"]]
    assert server.values("elsewhere.example", "TXT") == []
