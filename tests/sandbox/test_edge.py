"""The sandbox's edge, looked at by the standard library's TLS client."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Iterator
from datetime import timedelta

import pytest

from certbroker.keys import fingerprint, read_chain
from certbroker.sandbox.edge import TlsEdge, Trouble
from tests.clock import TestClock
from tests.sandbox.material import authority, pair

CLOCK = TestClock()
CA = authority(CLOCK)
FIRST = pair(CA, "example.com", "*.example.com")
SECOND = pair(CA, "example.com", "*.example.com")
OTHER = pair(CA, "other.example")


@pytest.fixture
def edge() -> Iterator[TlsEdge]:
    with TlsEdge(TestClock()) as edge:
        yield edge


def shown(port: int, name: str | None) -> str:
    """The fingerprint of what is served."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as line,
        context.wrap_socket(line, server_hostname=name) as secure,
    ):
        return hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()


def print_of(chain: str) -> str:
    return fingerprint(read_chain(chain)[0])


def test_sni_chooses_the_exact_name_and_then_the_wildcard(edge: TlsEdge) -> None:
    edge.serve("example.com", *FIRST)
    edge.serve("*.example.com", *SECOND)
    edge.serve("www.example.com", *OTHER)
    assert shown(edge.port, "example.com") == print_of(FIRST[0])
    assert shown(edge.port, "any.example.com") == print_of(SECOND[0])
    assert shown(edge.port, "WWW.example.com") == print_of(OTHER[0])
    assert edge.asked[0] == (edge.address, "example.com")


@pytest.mark.parametrize("name", ["nobody.example", "a.b.example.com"])
def test_an_unknown_name_ends_in_an_alert(edge: TlsEdge, name: str) -> None:
    edge.serve("*.example.com", *FIRST)
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        shown(edge.port, name)


def test_no_name_ends_in_an_alert_too(edge: TlsEdge) -> None:
    edge.serve("example.com", *FIRST)
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        shown(edge.port, None)


def test_the_next_handshake_sees_a_change(edge: TlsEdge) -> None:
    edge.serve("example.com", *FIRST)
    edge.serve("example.com", *SECOND)
    assert shown(edge.port, "example.com") == print_of(SECOND[0])
    edge.withdraw("example.com")
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        shown(edge.port, "example.com")


def test_a_key_that_does_not_belong_to_the_chain_is_refused(edge: TlsEdge) -> None:
    with pytest.raises(ValueError, match=r"(?i)mismatch"):
        edge.serve("example.com", FIRST[0], SECOND[1])


def test_each_address_learns_of_a_change_in_its_own_time() -> None:
    clock = TestClock()
    with TlsEdge(clock) as edge:
        slow = edge.listen(delay=timedelta(minutes=5))
        edge.serve("example.com", *FIRST)
        clock.sleep(600)
        edge.serve("example.com", *SECOND)
        assert shown(edge.port, "example.com") == print_of(SECOND[0])
        assert shown(slow.port, "example.com") == print_of(FIRST[0])
        clock.sleep(300)
        assert shown(slow.port, "example.com") == print_of(SECOND[0])


def test_a_stuck_address_stays_behind_until_it_is_freed() -> None:
    clock = TestClock()
    with TlsEdge(clock) as edge:
        stuck = edge.listen()
        edge.serve("example.com", *FIRST)
        stuck.stuck = True
        clock.sleep(1)
        edge.serve("example.com", *SECOND)
        assert shown(stuck.port, "example.com") == print_of(FIRST[0])
        stuck.stuck = False
        assert shown(stuck.port, "example.com") == print_of(SECOND[0])


def test_an_address_can_show_another_certificate(edge: TlsEdge) -> None:
    edge.serve("example.com", *FIRST)
    edge.listeners[0].show(*OTHER)
    assert shown(edge.port, "example.com") == print_of(OTHER[0])
    edge.listeners[0].show_what_is_served()
    assert shown(edge.port, "example.com") == print_of(FIRST[0])


@pytest.mark.parametrize("trouble", [Trouble.CLOSED, Trouble.RESET, Trouble.PLAINTEXT, Trouble.GARBAGE])
def test_a_broken_address_shakes_no_hands(edge: TlsEdge, trouble: Trouble) -> None:
    edge.serve("example.com", *FIRST)
    edge.listeners[0].trouble = trouble
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the moment
        shown(edge.port, "example.com")


def test_browsers_and_curl_get_a_page_that_says_what_this_is(edge: TlsEdge) -> None:
    edge.serve("example.com", *FIRST)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", edge.port), timeout=5) as line,
        context.wrap_socket(line, server_hostname="example.com") as secure,
    ):
        secure.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert b"NOT TRUSTED" in secure.recv(4096)


def test_the_same_pair_again_is_no_change(edge: TlsEdge) -> None:
    edge.serve("example.com", *FIRST)
    edge.serve("EXAMPLE.com", *FIRST)
    assert edge.names == {"example.com"}
    edge.withdraw("example.com")
    assert edge.names == set()
