"""The probe, pointed at real listeners on loopback: honest ones and every kind of broken one."""

from __future__ import annotations

import errno
import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certbroker import keys
from certbroker.errors import BadMaterial
from certbroker.model import Edge
from certbroker.probe import Roots, Seen, Verdict, judge, look
from certbroker.probe.handshake import words
from certbroker.sandbox.ca.authority import to_pem
from certbroker.sandbox.edge import TlsEdge, Trouble
from certbroker.world import SystemClock
from tests.clock import START, TestClock
from tests.sandbox.material import authority, pair
from tests.world import CountingNetwork

CA = authority(TestClock())
DEEP = authority(TestClock(), chain_length=4)
STRANGER = authority(TestClock())
ROOTS = Roots.of(CA.roots_pem)
GOOD = pair(CA, "example.com", "*.example.com", "a_b.example.com")
EDGE = Edge("edge.example.com")


@pytest.fixture
def edge() -> Iterator[TlsEdge]:
    with TlsEdge(TestClock()) as edge:
        for name in ("example.com", "*.example.com"):
            edge.serve(name, *GOOD)
        yield edge


def at(port: int, name: str = "example.com", *, roots: Roots = ROOTS, timeout: float = 5.0) -> Seen:
    (seen,) = look(
        EDGE,
        name,
        roots=roots,
        network=CountingNetwork(),
        connect_to={"edge.example.com:443": f"127.0.0.1:{port}"},
        clock=TestClock(),
        timeout=timeout,
    )
    return seen


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_is_asked_for_without_a_name_and_judged_as_an_address(edge: TlsEdge, address: str) -> None:
    """RFC 6066 section 3: SNI holds no literal address."""
    chain, key = pair(CA, "example.com", address)
    edge.listeners[0].show(chain, key)
    assert at(edge.port, address).verdict is Verdict.VALID
    assert edge.asked[-1][1] is None
    assert at(edge.port, "192.0.2.2").detail == f"wrong name: it is for example.com, {address}"


def test_it_sees_what_is_served_and_finds_it_valid(edge: TlsEdge) -> None:
    leaf = keys.read_chain(GOOD[0])[0]
    assert at(edge.port) == Seen(
        edge=EDGE,
        address="edge.example.com",
        name="example.com",
        at=START,
        verdict=Verdict.VALID,
        fingerprint=keys.fingerprint(leaf),
        issued_by="certbroker sandbox ECDSA intermediate Y1 NOT TRUSTED",
        ends=leaf.not_valid_after_utc,
        detail="",
        chain=2,
        starts=leaf.not_valid_before_utc,
    )


def test_a_wildcard_is_asked_for_by_a_name_that_nobody_uses(edge: TlsEdge) -> None:
    seen = at(edge.port, "*.example.com")
    assert (seen.verdict, seen.name) == (Verdict.VALID, "*.example.com")
    assert edge.asked[-1][1] == "certbroker-probe.example.com"


def test_a_name_with_an_underscore_is_judged_like_any_other(edge: TlsEdge) -> None:
    assert at(edge.port, "a_b.example.com").verdict is Verdict.VALID


def test_a_chain_of_four_is_counted_and_judged(edge: TlsEdge) -> None:
    edge.serve("example.com", *pair(DEEP, "example.com"))
    seen = at(edge.port, roots=Roots.of(DEEP.roots_pem))
    assert (seen.verdict, seen.chain) == (Verdict.VALID, 4)


def test_the_contact_is_announced_and_a_refusal_is_unreachable(edge: TlsEdge) -> None:
    network = CountingNetwork(forbidden=True)
    (seen,) = look(
        Edge("127.0.0.1", edge.port), "example.com", roots=ROOTS, network=network, connect_to={}, clock=TestClock()
    )
    assert network.contacts == [("tls", f"127.0.0.1:{edge.port}")]
    assert seen.verdict is Verdict.UNREACHABLE
    assert "no network" in seen.detail
    assert not edge.asked


def lone_leaf() -> tuple[str, str]:
    chain = keys.read_chain(pair(DEEP, "example.com")[0])
    return to_pem(chain[:1]), to_pem(chain[:2])


def self_signed(*names: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(START).not_valid_after(START + timedelta(days=9))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    return to_pem([builder.sign(key, hashes.SHA256())])


@pytest.mark.parametrize(
    ("chain", "name", "days", "words"),
    [
        (GOOD[0], "example.com", 0, None),
        (GOOD[0], "*.example.com", 0, None),
        (GOOD[0], "example.com", 46, "expired on 2027-01-07"),
        (GOOD[0], "example.com", -1, "not valid before 2026-11-23"),
        (GOOD[0], "example.net", 0, "wrong name: it is for example.com, *.example.com"),
        (GOOD[0], "a.b.example.com", 0, "wrong name"),
        (pair(STRANGER, "example.com")[0], "example.com", 0, "does not verify"),
        (
            lone_leaf()[0],
            "example.com",
            0,
            "incomplete chain: only the leaf is sent, and its issuer certbroker sandbox",
        ),
        (lone_leaf()[1], "example.com", 0, "untrusted chain: it ends at certbroker sandbox ECDSA intermediate Y2"),
        (self_signed("example.com"), "example.com", 0, "self-signed"),
        (self_signed(), "example.com", 0, "wrong name: it names none"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "example.com", 0, "cannot be read"),
        ("nothing", "example.com", 0, "not a PEM certificate chain"),
    ],
)
def test_the_judgement_gives_its_reason_in_words(chain: str, name: str, days: int, words: str | None) -> None:
    problem = judge(chain, name, ROOTS, START + timedelta(days=days))
    assert problem is None if words is None else words in str(problem)


def test_a_chain_of_the_sandbox_is_not_trusted_by_the_system() -> None:
    problem = judge(GOOD[0], "example.com", Roots.system(), START)
    assert problem == ("untrusted chain: it ends at certbroker sandbox root X1 NOT TRUSTED, which is no trusted root")


def test_roots_must_hold_a_certificate() -> None:
    with pytest.raises(BadMaterial, match="the roots"):
        Roots.of("nothing")


def test_a_bad_certificate_is_seen_and_described(edge: TlsEdge) -> None:
    other = pair(CA, "example.net")
    edge.listeners[0].show(*other)
    seen = at(edge.port)
    assert seen.verdict is Verdict.INVALID
    assert seen.detail == "wrong name: it is for example.net"
    assert seen.fingerprint == keys.fingerprint(keys.read_chain(other[0])[0])


def test_a_name_the_edge_does_not_know_is_refused(edge: TlsEdge) -> None:
    seen = at(edge.port, "nobody.example")
    assert (seen.verdict, seen.fingerprint) == (Verdict.REFUSED, None)
    assert "unrecognized name" in seen.detail


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Trouble.CLOSED, "closed|cut"),
        (Trouble.RESET, "cut|reset"),
        (Trouble.PLAINTEXT, "no TLS is spoken there"),
        (Trouble.GARBAGE, "."),
    ],
)
def test_a_broken_server_is_a_refusal_in_words(edge: TlsEdge, trouble: Trouble, words: str) -> None:
    edge.listeners[0].trouble = trouble
    seen = at(edge.port)
    assert seen.verdict in (Verdict.REFUSED, Verdict.UNREACHABLE)
    assert re.search(words, seen.detail)


def test_silence_ends_with_the_time_limit(edge: TlsEdge) -> None:
    edge.listeners[0].trouble = Trouble.SILENT
    seen = at(edge.port, timeout=0.1)
    assert (seen.verdict, seen.detail) == (Verdict.REFUSED, "no answer to the handshake in time")


def test_a_server_that_drips_cannot_outlast_the_time_limit() -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            line, _ = server.accept()
            with line:
                try:
                    line.sendall(b"\x16\x03\x03\x40\x00")
                    while not stop.wait(0.02):
                        line.sendall(b"\x02")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        begun = time.monotonic()
        (seen,) = look(
            Edge("127.0.0.1", server.getsockname()[1]),
            "example.com",
            roots=ROOTS,
            network=CountingNetwork(),
            connect_to={},
            clock=SystemClock(),
            timeout=0.3,
        )
        assert seen.verdict is Verdict.REFUSED
        assert time.monotonic() - begun < 5
        stop.set()
        thread.join()


def test_nobody_at_the_port_is_unreachable() -> None:
    with socket.socket() as deaf:  # bound, so that nobody else takes the number, and not listening
        deaf.bind(("127.0.0.1", 0))
        seen = at(deaf.getsockname()[1])
    assert (seen.verdict, seen.detail) == (Verdict.UNREACHABLE, "connection refused")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no route from here"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "no route from here"),
        (OSError(errno.EAFNOSUPPORT, "Address family not supported"), "this machine has no such network"),
        (TimeoutError("timed out"), "no answer in time"),
        (socket.gaierror(-2, "Name or service not known"), "its name cannot be resolved"),
        (OSError(errno.EACCES, "Permission denied"), "permission denied"),
    ],
)
def test_the_reason_why_there_is_no_way_is_said_in_words(error: OSError, said: str) -> None:
    assert words(error) == said


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_ipv6_is_looked_at_like_ipv4() -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    with TlsEdge(TestClock(), host="::1") as edge:
        edge.serve("example.com", *GOOD)
        (seen,) = look(
            Edge("::1", edge.port),
            "example.com",
            roots=ROOTS,
            network=CountingNetwork(),
            connect_to={},
            clock=TestClock(),
        )
    assert (seen.address, seen.verdict) == ("::1", Verdict.VALID)


def test_a_name_without_an_address_is_unreachable() -> None:
    (seen,) = look(
        Edge("edge.invalid..name"),
        "example.com",
        roots=ROOTS,
        network=CountingNetwork(),
        connect_to={},
        clock=TestClock(),
    )
    assert seen.verdict is Verdict.UNREACHABLE
    assert seen.detail


def test_each_address_of_a_host_is_looked_at(edge: TlsEdge) -> None:
    """`localhost` has one address or two; each is asked, and one without a listener is told apart."""
    network = CountingNetwork()
    looks = look(
        Edge("localhost", edge.port), "example.com", roots=ROOTS, network=network, connect_to={}, clock=TestClock()
    )
    verdicts = {seen.address: seen.verdict for seen in looks}
    assert verdicts.pop("127.0.0.1") is Verdict.VALID
    assert set(verdicts.values()) <= {Verdict.UNREACHABLE}
    assert network.contacts[0] == ("dns", "localhost")


def test_connect_to_leads_an_address_elsewhere_and_keeps_its_name(edge: TlsEdge) -> None:
    (seen,) = look(
        Edge("2001:db8::20"),
        "example.com",
        roots=ROOTS,
        network=CountingNetwork(),
        connect_to={"[2001:db8::20]:443": edge.address},
        clock=TestClock(),
    )
    assert (seen.address, seen.verdict) == ("2001:db8::20", Verdict.VALID)
