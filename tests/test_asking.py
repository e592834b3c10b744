"""One HTTP request over a shaken hand: any bytes end in a status or a reason, in time and within bounds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.model import Edge
from certbroker.probe import Roots, Seen, look
from certbroker.probe.asking import MOST, Answer, answer, request
from certbroker.sandbox.edge import Listener, TlsEdge
from certbroker.testkit.bundles import default_ca, make_bundle
from certbroker.world import SystemClock, SystemNetwork

OK = b"HTTP/1.1 200 OK\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"


def heard(*parts: bytes) -> Answer:
    left = iter(parts)
    return answer(lambda: next(left, b""))


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ((OK,), 200),
        ((b"HTTP/1.0 301\r\n",), 301),
        ((b"HTTP/1.1 301 \r\nLocation: https://elsewhere.example/\r\n\r\n",), 301),
        ((b"HT", b"TP/1.1 5", b"03 Service Unavailable\r", b"\n"), 503),
        ((EARLY, OK), 200),
        ((b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",), 204),
        ((b"HTTP/1.1 100 Continue\r\n\r\n",), None),
        ((b"HTTP/2 200\r\n",), None),
        ((b"SSH-2.0-OpenSSH_9.6\r\n",), None),
        ((), None),
    ],
)
def test_the_final_status_is_read(parts: tuple[bytes, ...], status: int | None) -> None:
    assert heard(*parts).status == status


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8))
def test_any_bytes_end_in_a_status_or_a_reason(parts: list[bytes]) -> None:
    got = heard(*parts)
    assert (got.status is None) == bool(got.detail)


@given(st.sampled_from([OK, EARLY + OK]), st.data())
def test_how_an_answer_is_cut_into_pieces_does_not_matter(said: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(said) - 1))))
    pieces = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    assert heard(*pieces).status == 200


def test_an_answer_without_end_is_left() -> None:
    taken = 0

    def more() -> bytes:
        nonlocal taken
        taken += 1024
        return EARLY if taken == 1024 else b"x" * 1024

    assert answer(more) == Answer(None, "what is answered is no HTTP")
    assert taken <= MOST + 1024


def test_the_request_is_one_that_any_server_takes() -> None:
    text = request("example.com", "/healthz?full=1").decode()
    assert text.startswith("GET /healthz?full=1 HTTP/1.1\r\nHost: example.com\r\n")
    assert text.endswith("\r\nConnection: close\r\n\r\n")
    assert "\r\nHost: [2001:db8::1]\r\n" in request("2001:db8::1", "/").decode()


@pytest.fixture
def edge() -> Iterator[Listener]:
    bundle = make_bundle(("example.com", "*.example.com"))
    with TlsEdge() as serving:
        for name in ("example.com", "*.example.com"):
            serving.serve(name, bundle.version.chain_pem, bundle.key_pem)
        yield serving.listeners[0]


def asked(edge: Listener, name: str = "example.com", *, timeout: float = 10.0) -> Seen:
    roots = Roots.of(default_ca().root_pem)
    clock, network = SystemClock(), SystemNetwork()
    there = Edge(edge.host, edge.port)
    (seen,) = look(
        there, name, roots=roots, network=network, connect_to={}, clock=clock, timeout=timeout, ask="/healthz"
    )
    return seen


def test_the_very_edge_that_showed_the_certificate_answers(edge: Listener) -> None:
    seen = asked(edge)
    assert seen.fingerprint
    assert seen.answer == Answer(200)
    assert b"\r\nHost: example.com\r\n" in edge.heard[0]


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: https://example.com/login\r\n\r\n", Answer(302)),
        (b"", Answer(None, "closed without an answer")),
        (b"\x16\x03\x01", Answer(None, "what is answered is no HTTP")),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 10_000_000, Answer(200)),
    ],
)
def test_nothing_is_followed_and_nothing_more_is_read(edge: Listener, said: bytes, answered: Answer) -> None:
    edge.answer = said
    assert asked(edge).answer == answered
    assert len(edge.heard) == 1


def test_who_says_nothing_is_left_in_time_and_its_certificate_is_seen_all_the_same(edge: Listener) -> None:
    edge.answer = None
    seen = asked(edge, timeout=1.0)
    assert seen.answer == Answer(None, "no answer in time")
    assert seen.fingerprint


def test_a_wildcard_names_no_site(edge: Listener) -> None:
    assert asked(edge, "*.example.com").answer is None
    assert edge.heard == []
