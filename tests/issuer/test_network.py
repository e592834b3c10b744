"""The line to a CA: nonces, refusals, time."""

from __future__ import annotations

import json
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import format_datetime

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC
from requests.adapters import BaseAdapter

from certbroker.errors import IssuanceError, IssuerUnavailable, RateLimited
from certbroker.issuer.messages import EmptyAnswer
from certbroker.issuer.network import TRIES, CaNetwork
from certbroker.session import LONGEST_WAIT
from certbroker.testkit.simulator import Fault, Request, Response, Simulator, SimulatorTransport
from tests.clock import START, TestClock

BASE = "http://ca.test"
KEY = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))


class Desk(Simulator):
    """Hands out nonces, takes each once, and refuses the first `refuse` good ones."""

    def __init__(self, refuse: int = 0) -> None:
        super().__init__()
        self.refuse = refuse
        self.good: set[str] = set()
        self.count = 0
        self.payloads: list[bytes] = []
        self.slow = 0.0

    def nonce(self) -> str:
        self.count += 1
        value = urlsafe_b64encode(f"nonce-{self.count:04}".encode()).rstrip(b"=").decode()
        self.good.add(value)
        return value

    def answer(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(200, headers={"Replay-Nonce": self.nonce()})
        if request.method == "GET":
            return Response.of(200, {"hello": "world"})
        signed = request.json()
        protected = json.loads(urlsafe_b64decode(signed["protected"] + "=="))
        if protected["nonce"] not in self.good:
            return self.bad_nonce()
        self.good.remove(protected["nonce"])
        if self.refuse:
            self.refuse -= 1
            return self.bad_nonce()
        self.payloads.append(urlsafe_b64decode(signed["payload"] + "=="))
        return Response.of(200, {"kid": protected.get("kid")}, **{"Replay-Nonce": self.nonce()})

    def bad_nonce(self) -> Response:
        problem = {"type": "urn:ietf:params:acme:error:badNonce", "detail": "stale"}
        return Response.of(400, problem, kind="application/problem+json", **{"Replay-Nonce": self.nonce()})

    @property
    def heads(self) -> int:
        return sum(request.method == "HEAD" for request in self.requests)


def line(
    desk: Simulator, clock: TestClock | None = None, transport: BaseAdapter | None = None, *, plain: bool = True
) -> CaNetwork:
    clock = clock or TestClock()
    network = CaNetwork(
        "ca",
        clock=clock,
        transport=transport or SimulatorTransport(desk),
        verify=True,
        plain=plain,
        deadline=clock.monotonic() + 60,
    )
    network.new_nonce = f"{BASE}/nonce"
    network.identify(KEY, f"{BASE}/account/1")
    return network


def test_one_nonce_is_asked_for_and_then_every_reply_brings_the_next() -> None:
    desk = Desk()
    network = line(desk)
    for _ in range(5):
        assert network.ask(f"{BASE}/thing", "the thing").object() == {"kid": f"{BASE}/account/1"}
    assert desk.heads == 1
    assert len(desk.requests) == 6


def test_refused_nonces_are_replaced_by_the_one_in_the_refusal() -> None:
    desk = Desk(refuse=TRIES - 1)
    line(desk).ask(f"{BASE}/thing", "the thing")
    assert desk.heads == 1
    assert len(desk.writes) == TRIES


def test_a_ca_that_refuses_every_nonce_is_left_alone_after_ten_tries() -> None:
    desk = Desk(refuse=1000)
    with pytest.raises(IssuanceError, match="stale") as caught:
        line(desk).ask(f"{BASE}/thing", "the thing")
    assert caught.value.problem_type == "urn:ietf:params:acme:error:badNonce"
    assert len(desk.writes) == TRIES


def test_an_error_reply_brings_a_nonce_too() -> None:
    desk = Desk()
    network = line(desk)
    network.ask(f"{BASE}/thing", "the thing")
    nonce = desk.nonce()
    desk.faults = [Fault(Response.of(403, {"type": "x", "detail": "no"}, **{"Replay-Nonce": nonce}))]
    with pytest.raises(IssuanceError, match='ca refused the thing \\(403\\): "no"'):
        network.ask(f"{BASE}/thing", "the thing")
    network.ask(f"{BASE}/thing", "the thing")
    assert desk.heads == 1


def test_many_threads_share_the_nonces_and_ask_for_no_more_than_are_stocked() -> None:
    desk = Desk()
    network = line(desk, transport=SlowTransport(desk))
    with ThreadPoolExecutor(8) as pool:
        network.stock(3, pool)
        replies = list(pool.map(lambda i: network.ask(f"{BASE}/{i}", "the thing"), range(40)))
    assert len(replies) == 40
    assert desk.heads == 3
    assert len(desk.writes) == 40


class SlowTransport(SimulatorTransport):
    """Lets other threads in between."""

    def send(self, *args: object, **kwargs: object) -> requests.Response:
        time.sleep(0.001)
        return super().send(*args, **kwargs)  # type: ignore[arg-type]


def test_threads_that_wait_for_a_nonce_go_on_when_the_reply_had_none() -> None:
    desk = Desk()
    desk.faults = [Fault(Response.html(503, "<h1>busy</h1>"), matches=lambda r: r.write, times=5)]
    network = line(desk)
    failures = 0
    lock = threading.Lock()

    def ask(i: int) -> None:
        nonlocal failures
        try:
            network.ask(f"{BASE}/{i}", "the thing")
        except IssuerUnavailable:
            with lock:
                failures += 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(20)))
    assert failures == 5


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_rate_limit_says_when_to_come_back_in_any_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        desk = Desk()
        network = line(desk)
        problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many orders"}
        at = format_datetime(START + timedelta(minutes=7), usegmt=True)
        for value in ("420", at):
            desk.faults = [Fault(Response.of(429, problem, **{"Retry-After": value}), matches=lambda r: r.write)]
            with pytest.raises(RateLimited, match="too many orders") as caught:
                network.ask(f"{BASE}/thing", "the order")
            assert caught.value.retry_after == 420
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_conflict_keeps_its_problem_document() -> None:
    desk = Desk()
    problem = {"type": "urn:ietf:params:acme:error:alreadyReplaced", "detail": "done before"}
    desk.faults = [Fault(Response.of(409, problem), matches=lambda r: r.write)]
    with pytest.raises(IssuanceError, match="done before") as caught:
        line(desk).ask(f"{BASE}/thing", "the order")
    assert caught.value.status == 409
    assert caught.value.problem_type == problem["type"]


def test_subproblems_are_all_told() -> None:
    desk = Desk()
    below = [
        {"type": "x:caa", "detail": "CAA forbids", "identifier": {"type": "dns", "value": "a.test"}},
        {"type": "x:dns", "detail": "NXDOMAIN", "identifier": {"type": "dns", "value": "b.test"}},
    ]
    desk.faults = [Fault(Response.of(403, {"detail": "two names", "subproblems": below}), matches=lambda r: r.write)]
    with pytest.raises(IssuanceError, match=r"two names; a\.test: CAA forbids; b\.test: NXDOMAIN"):
        line(desk).ask(f"{BASE}/thing", "the order")


def test_a_page_of_a_load_balancer_means_come_back_later() -> None:
    desk = Desk()
    busy = Response(503, b"<h1>Busy</h1>", {"Content-Type": "text/html", "Retry-After": "30"})
    desk.faults = [Fault(busy, matches=lambda r: r.write)]
    with pytest.raises(IssuerUnavailable, match=r"503 .* text/html") as caught:
        line(desk).ask(f"{BASE}/thing", "the order")
    assert caught.value.retry_after == 30


def test_a_dead_line_is_no_crash() -> None:
    desk = Desk()
    desk.faults = [Fault("reset", matches=lambda r: r.write)]
    with pytest.raises(IssuerUnavailable, match=r"cannot be reached at http://ca\.test \(ConnectionError\)"):
        line(desk).ask(f"{BASE}/thing", "the order")


def test_nothing_is_sent_after_the_deadline() -> None:
    desk, clock = Desk(), TestClock()
    network = line(desk, clock)
    clock.advance(timedelta(seconds=61))
    with pytest.raises(IssuerUnavailable, match="no time left"):
        network.ask(f"{BASE}/thing", "the order")
    assert not desk.requests


def test_an_empty_answer_is_sent_as_an_empty_object_and_no_payload_as_nothing() -> None:
    desk = Desk()
    network = line(desk)
    network.ask(f"{BASE}/challenge", "the challenge", EmptyAnswer())
    network.ask(f"{BASE}/challenge", "the challenge")
    assert desk.payloads == [b"{}", b""]


def test_the_request_says_who_we_are() -> None:
    desk = Desk()
    line(desk).read(f"{BASE}/dir", "its directory")
    assert desk.requests[0].headers["User-Agent"].startswith("certbroker/")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"x"', b"[" * 100_000, b"\xff\xfe"])
def test_what_is_no_json_object_is_said_so(body: bytes) -> None:
    desk = Desk()
    desk.faults = [Fault(Response(200, body))]
    reply = line(desk).read(f"{BASE}/dir", "its directory")
    with pytest.raises(IssuanceError, match="ca answered its directory with"):
        reply.object()


def test_foreign_text_cannot_steer_the_terminal() -> None:
    desk = Desk()
    desk.faults = [
        Fault(Response.of(403, {"detail": "red \x1b[31m and\nmore " + "x" * 5000}), matches=lambda r: r.write)
    ]
    with pytest.raises(IssuanceError) as caught:
        line(desk).ask(f"{BASE}/thing", "the order")
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


# ---- where a CA may send us --------------------------------------------------------------------------------------------


def test_a_directory_that_moved_is_found_and_one_that_moves_forever_is_not() -> None:
    desk = Desk()
    moved = Response(301, headers={"Location": "/there/dir"})
    desk.faults = [Fault(moved)]
    assert line(desk).read(f"{BASE}/dir", "its directory").object() == {"hello": "world"}
    assert [request.path for request in desk.requests] == ["/dir", "/there/dir"]
    desk.faults = [Fault(moved, times=1000)]
    with pytest.raises(IssuanceError, match="on and on"):
        line(desk).read(f"{BASE}/dir", "its directory")
    assert len(desk.requests) < 10


@pytest.mark.parametrize("place", ["file:///etc/passwd", "http://[::1", "http://ca.t\xe9st/", "ftp://ca.test/"])
def test_a_redirect_to_what_cannot_be_asked_is_not_followed(place: str) -> None:
    desk = Desk()
    desk.faults = [Fault(Response(302, headers={"Location": place}))]
    with pytest.raises(IssuanceError, match="ca has no address for its directory that can be asked"):
        line(desk).read(f"{BASE}/dir", "its directory")
    assert len(desk.requests) == 1


def test_a_signed_request_is_never_sent_on() -> None:
    desk = Desk()
    network = line(desk)
    desk.faults = [Fault(Response(307, headers={"Location": "http://elsewhere.test/"}), matches=lambda r: r.write)]
    with pytest.raises(IssuanceError, match="307"):
        network.ask(f"{BASE}/thing", "the order")
    assert len(desk.writes) == 1


def test_a_ca_that_is_asked_by_https_cannot_send_us_anywhere_else() -> None:
    """RFC 8555 section 6.1. By an address in its answers, nor by a redirect."""
    desk = Desk()
    network = line(desk, plain=False)
    network.new_nonce = "https://ca.test/nonce"
    with pytest.raises(IssuanceError, match=r"names an address without it for the order: http://ca\.test"):
        network.ask("http://ca.test/order", "the order")
    desk.faults = [
        Fault(Response(302, headers={"Location": "http://ca.test/dir"}), matches=lambda r: r.method == "GET")
    ]
    with pytest.raises(IssuanceError, match="is asked by HTTPS"):
        network.read("https://ca.test/dir", "its directory")
    assert not desk.writes


@pytest.mark.parametrize("value", ["9" * 400, "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_nobody_is_made_to_wait_beyond_the_calendar(value: str) -> None:
    desk = Desk()
    desk.faults = [Fault(Response(503, b"", {"Retry-After": value}), matches=lambda r: r.write)]
    with pytest.raises(IssuerUnavailable) as caught:
        line(desk).ask(f"{BASE}/thing", "the order")
    assert caught.value.retry_after == LONGEST_WAIT


@pytest.mark.parametrize(
    "body", [b'{"detail": ' + b"[" * 500 + b"]" * 500 + b"}", b'{"detail": 1e999}', b'{"detail": NaN}']
)
def test_a_problem_that_cannot_be_walked_or_kept_is_none(body: bytes) -> None:
    desk = Desk()
    desk.faults = [Fault(Response(403, body), matches=lambda r: r.write)]
    with pytest.raises(IssuanceError, match=r"refused the order \(403\) with no content type where JSON belongs"):
        line(desk).ask(f"{BASE}/thing", "the order")
