"""Asking the CA when to renew: once a window, never in vain, and never wrong because of a bad answer."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from certbroker.config import IssuerSettings
from certbroker.issuer.windows import AT_ONCE, STUMBLES
from certbroker.model import Version, Window
from certbroker.sandbox.ca import SandboxCA
from certbroker.testkit.simulator import Fault, Request, Response, SimulatorTransport
from tests.clock import TestClock
from tests.issuer.desk import ZONE, Desk, desk, own_dns, version, wanted

BASE = "http://ca.test"
SETTINGS = IssuerSettings("sandbox", f"{BASE}/dir", agree_to_terms=True)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@dataclass
class Scene:
    ca: SandboxCA
    clock: TestClock
    at: Desk
    have: Version

    def ask(self) -> Window | None:
        return self.at.issuer().windows([self.have])[0]

    def must(self) -> Window:
        found = self.ask()
        assert found is not None
        return found

    def set(self, start: datetime, end: datetime) -> None:
        self.ca.set_window(self.have.fingerprint, start, end)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = TestClock()
    with own_dns() as dns:
        ca = SandboxCA(clock=clock, rng=random.Random(7), lookup_txt=dns.lookup_txt, base_url=BASE)
        ca.bad.ari_seconds = None
        with desk(tmp_path, SETTINGS, dns.address, clock, transport=SimulatorTransport(ca)) as at:
            have = version(at.issuer().obtain([wanted()])[0])
            at.told.clear()
            yield Scene(ca, clock, at, have)


def asked(request: Request) -> bool:
    return request.path.startswith("/ari/")


def test_the_moment_is_drawn_once_and_again_only_when_the_window_moves(scene: Scene) -> None:
    start = scene.clock.now().replace(microsecond=0) + 10 * HOUR
    scene.set(start, start + 20 * HOUR)
    first = scene.must()
    assert start <= first.drawn <= start + 18 * HOUR
    for _ in range(5):
        assert scene.must().drawn == first.drawn
    assert scene.at.kinds() == ["window-moved"]
    scene.set(start, start + 30 * HOUR)
    assert scene.must().drawn != first.drawn
    assert scene.at.kinds() == ["window-moved", "window-moved"]
    assert scene.at.store.window(scene.have.id) == scene.must()


def test_a_revoked_certificate_is_asked_to_be_renewed_in_the_past(scene: Scene) -> None:
    before = scene.must()
    scene.ca.revoke(scene.have.fingerprint)
    after = scene.must()
    assert before.drawn > scene.clock.now()
    assert after.end <= scene.clock.now()


def test_the_question_is_not_signed_and_costs_one_request(scene: Scene) -> None:
    before = len(scene.ca.requests)
    scene.ask()
    assert [(r.method, r.path.split("/")[1]) for r in scene.ca.requests[before:]] == [("GET", "ari")]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"suggestedWindow": 3}', b'{"suggestedWindow": {"start": "x", "end": "y"}}'],
)
def test_a_malformed_answer_is_told_and_the_old_window_holds(scene: Scene, body: bytes) -> None:
    old = scene.must()
    scene.clock.advance(HOUR)
    scene.ca.set_renewal_info(scene.have.fingerprint, body)
    kept = scene.must()
    assert (kept.start, kept.end, kept.drawn) == (old.start, old.end, old.drawn)
    assert kept.ask_again == scene.clock.now() + 6 * HOUR
    assert scene.at.kinds()[-1] == "window-unknown"


def test_a_window_that_ends_before_it_starts_is_no_window(scene: Scene) -> None:
    now = scene.clock.now()
    scene.set(now, now - HOUR)
    assert scene.ask() is None
    assert scene.at.kinds() == ["window-unknown"]


def test_a_ca_that_is_away_is_asked_again_within_the_hour(scene: Scene) -> None:
    old = scene.must()
    scene.ca.faults = [Fault("reset", matches=asked)]
    kept = scene.must()
    assert kept.drawn == old.drawn
    assert kept.ask_again == scene.clock.now() + HOUR


@pytest.mark.parametrize(("header", "wait"), [("5", timedelta(minutes=1)), ("7200", 2 * HOUR), ("999999", 24 * HOUR)])
def test_the_ca_says_when_to_ask_again_within_reason(scene: Scene, header: str, wait: timedelta) -> None:
    scene.ca.bad.ari_seconds = int(header)
    assert scene.must().ask_again == scene.clock.now() + wait


def test_nobody_asks_about_a_certificate_that_is_over(scene: Scene) -> None:
    scene.clock.advance(timedelta(days=100))
    before = len(scene.ca.requests)
    assert scene.ask() is None
    assert len(scene.ca.requests) == before


def test_a_ca_without_renewal_information_says_nothing(scene: Scene) -> None:
    kept = scene.at.store.directory(f"{BASE}/dir")
    assert kept is not None
    scene.at.store.put_directory(f"{BASE}/dir", {k: v for k, v in kept[0].items() if k != "renewalInfo"})
    assert scene.ask() is None
    assert scene.at.told == []


def test_an_unknown_certificate_is_told(scene: Scene) -> None:
    problem = {"type": "urn:ietf:params:acme:error:malformed", "detail": "never seen"}
    scene.ca.faults = [Fault(Response.of(404, problem), matches=asked)]
    assert scene.ask() is None
    assert scene.at.kinds() == ["window-unknown"]


# ---- many together -----------------------------------------------------------------------------------------------------


def herd(scene: Scene, count: int) -> list[Version]:
    """So many certificates, of names of their own."""
    requests = [wanted(f"n{number}.{ZONE}", certificate=f"n{number}") for number in range(count)]
    have = [version(outcome) for outcome in scene.at.issuer().obtain(requests)]
    scene.at.told.clear()
    return have


def test_many_are_asked_about_together_and_one_bad_answer_is_its_own_certificates_alone(scene: Scene) -> None:
    have = herd(scene, 5)
    scene.ca.set_renewal_info(have[2].fingerprint, b"{}")
    before = len(scene.ca.requests)
    found = scene.at.issuer().windows([*have, scene.have])
    assert [window and window.version_id for window in found] == [
        *(None if each is have[2] else each.id for each in have),
        scene.have.id,
    ]
    assert len(scene.ca.requests) - before == 6
    assert sorted(scene.at.kinds()) == ["window-moved"] * 5 + ["window-unknown"]
    assert scene.at.store.windows([each.id for each in have]).keys() == {each.id for each in have} - {have[2].id}


def test_a_ca_that_asks_us_to_wait_is_not_asked_about_the_rest(scene: Scene) -> None:
    have = herd(scene, 40)
    assert all(scene.at.issuer().windows(have))
    before = len(scene.ca.requests)
    busy = Response.of(429, {"type": "urn:ietf:params:acme:error:rateLimited"}, **{"Retry-After": "7200"})
    scene.ca.faults = [Fault(busy, times=40, matches=asked)]
    found = scene.at.issuer().windows(have)
    assert len(scene.ca.requests) - before <= AT_ONCE
    assert {window and window.ask_again for window in found} == {scene.clock.now() + 2 * HOUR}


def test_a_ca_that_is_away_is_not_knocked_at_for_each(scene: Scene) -> None:
    have = herd(scene, 40)
    before = len(scene.ca.requests)
    scene.ca.faults = [Fault("reset", times=40, matches=asked)]
    assert scene.at.issuer().windows(have) == [None] * 40
    assert len(scene.ca.requests) - before <= AT_ONCE + STUMBLES
    assert scene.at.kinds() == ["window-unknown"] * 40


class Slow(SimulatorTransport):
    """Every answer comes, and late."""

    def __init__(self, ca: SandboxCA, clock: TestClock) -> None:
        super().__init__(ca)
        self._clock = clock

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self._clock.advance(6 * SECOND)
        return super().send(request, *args, **kwargs)


def test_a_ca_that_is_slow_again_and_again_is_not_asked_about_the_rest(scene: Scene) -> None:
    have = herd(scene, 40)
    before = len(scene.ca.requests)
    issuer = scene.at.issuer(transport=Slow(scene.ca, scene.clock))
    found = issuer.windows(have)
    asked_first = len(scene.ca.requests) - before
    assert sum(window is not None for window in found) == asked_first <= AT_ONCE + STUMBLES
    assert [window is None for window in issuer.windows(have)] == [window is None for window in found]
    assert len(scene.ca.requests) - before == asked_first  # nor in the next batch of the run
