"""Several orders at once: newOrders under way together, a busy CA left alone, a death among them."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from certbroker.config import IssuerSettings
from certbroker.errors import IssuerUnavailable
from certbroker.model import Version
from certbroker.sandbox.ca import SandboxCA
from certbroker.testkit.simulator import Fault, Request, Response, SimulatorTransport
from tests.clock import TestClock
from tests.issuer.desk import Desk, desk, own_dns, wanted

BASE = "http://ca.test"
SETTINGS = IssuerSettings("sandbox", f"{BASE}/dir", agree_to_terms=True)

SIX = [wanted(f"n{number}.example.com", certificate=f"c{number}") for number in range(6)]


@contextmanager
def scene(folder: Path) -> Iterator[tuple[Desk, SandboxCA]]:
    folder.mkdir()
    clock = TestClock()
    with own_dns() as dns:
        ca = SandboxCA(clock=clock, rng=random.Random(7), lookup_txt=dns.lookup_txt, base_url=BASE)
        ca.bad.retry_after = None
        with desk(folder, SETTINGS, dns.address, clock, transport=SimulatorTransport(ca)) as at:
            yield at, ca
        assert ca.violations == []


def is_new_order(request: Request) -> bool:
    return request.path == "/new-order"


class Meeting(SimulatorTransport):
    """Answers all but the first newOrder only when `count` of them are there; one that came alone would find the line dead."""

    def __init__(self, ca: SandboxCA, count: int) -> None:
        super().__init__(ca)
        self._meeting = threading.Barrier(count)
        self._seen = itertools.count()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if request.url == f"{BASE}/new-order" and next(self._seen):
            try:
                self._meeting.wait(20)
            except threading.BrokenBarrierError:
                raise requests.exceptions.ConnectionError("nobody else came") from None
        return super().send(request, *args, **kwargs)


def test_several_new_orders_are_under_way_at_once(tmp_path: Path) -> None:
    with scene(tmp_path / "one") as (at, ca):
        at.transport = Meeting(ca, 5)
        outcomes = at.issuer().obtain(SIX)
        assert all(isinstance(outcome, Version) for outcome in outcomes)
        assert ca.new_orders == 6


def test_a_busy_ca_is_left_alone_by_all_until_it_said_to_come_back(tmp_path: Path) -> None:
    with scene(tmp_path / "one") as (at, ca):
        at.issuer().account()
        began = at.world.clock.monotonic()
        busy = Response(503, b"<h1>busy</h1>", {"Content-Type": "text/html", "Retry-After": "20"})
        ca.faults = [Fault(busy, matches=is_new_order)]
        outcomes = at.issuer().obtain(SIX)
        assert all(isinstance(outcome, Version) for outcome in outcomes)
        assert ca.new_orders == 6
        assert 20 <= at.world.clock.monotonic() - began < 30


@pytest.mark.parametrize("path", ["/dir", "/nonce", "/authz/"])
def test_a_busy_ca_is_asked_again_for_what_is_only_read(tmp_path: Path, path: str) -> None:
    with scene(tmp_path / "one") as (at, ca):
        busy = Response(503, b"<h1>busy</h1>", {"Content-Type": "text/html", "Retry-After": "5"})
        ca.faults = [Fault(busy, matches=lambda request: request.path.startswith(path), times=3)]
        began = at.world.clock.monotonic()
        assert isinstance(at.issuer().obtain(SIX[:1])[0], Version)
        assert at.world.clock.monotonic() - began >= 5
        at.world.clock.sleep(2 * 86400)  # the directory is asked for again
        asked = len(ca.requests)
        ca.faults = [Fault(busy, matches=lambda request: request.path.startswith(path), times=1000)]
        assert isinstance(at.issuer().obtain(SIX[1:2])[0], IssuerUnavailable)
        assert len(ca.requests) - asked < 30


def test_a_ca_that_stays_busy_is_asked_a_few_times_and_then_left(tmp_path: Path) -> None:
    with scene(tmp_path / "one") as (at, ca):
        at.issuer().account()
        busy = Response(503, b"<h1>busy</h1>", {"Content-Type": "text/html", "Retry-After": "20"})
        ca.faults = [Fault(busy, matches=is_new_order, times=1000)]
        outcomes = at.issuer().obtain(SIX)
        assert all(isinstance(outcome, IssuerUnavailable) for outcome in outcomes)
        assert len([r for r in ca.requests if is_new_order(r)]) <= 4 * 3


def test_a_ca_that_is_away_is_not_tried_for_each_of_many(tmp_path: Path) -> None:
    with scene(tmp_path / "one") as (at, ca):
        at.issuer().account()
        ca.faults = [Fault("reset", matches=is_new_order, times=1000)]
        many = [wanted(f"n{number}.example.com", certificate=f"c{number}") for number in range(40)]
        outcomes = at.issuer().obtain(many)
        assert all(isinstance(outcome, IssuerUnavailable) for outcome in outcomes)
        assert len([r for r in ca.requests if is_new_order(r)]) == 3


class Killed(BaseException):
    """Nothing in the product catches it."""


class Deadly(SimulatorTransport):
    """The process dies with the newOrder number `at`, when it has taken effect; nothing that comes later is answered."""

    def __init__(self, ca: SandboxCA, at: int) -> None:
        super().__init__(ca)
        self._left = at
        self._turn = threading.Lock()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        with self._turn:
            if self._left <= 0:
                raise Killed
            reply = super().send(request, *args, **kwargs)
            self._left -= request.url == f"{BASE}/new-order"
            if self._left <= 0:
                raise Killed
            return reply


@pytest.mark.parametrize("number", range(1, 7))
def test_killed_among_several_new_orders_each_certificate_still_comes_once(tmp_path: Path, number: int) -> None:
    """A second newOrder only for those whose answer was not written down yet: never more than were under way."""
    with scene(tmp_path / "one") as (at, ca):
        at.issuer().account()
        at.transport = Deadly(ca, number)
        with pytest.raises(Killed):
            at.issuer().obtain(SIX)
        assert ca.new_orders == number
        at.transport = SimulatorTransport(ca)
        outcomes = at.issuer().obtain(SIX)
        assert all(isinstance(outcome, Version) for outcome in outcomes)
        assert (len(ca.issued), ca.finalizations) == (6, 6)
        assert ca.new_orders <= 6 + number
        assert at.store.open_orders() == []
        assert at.store.unremoved() == []
