"""Turns of a token bucket: never faster than its rate, never slower than it must be, and nobody waits past a deadline."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.issuer.conversation import IN_FLIGHT
from certbroker.limits import RATES_BY_NAME
from certbroker.pacing import Pacer, Rate, Turns
from tests.clock import TestClock

RATES = st.builds(Rate, st.floats(0.01, 1000), st.integers(1, 50))
PAUSES = st.lists(st.floats(0, 20) | st.just(0.0), min_size=1, max_size=120)

ALMOST = 1e-6
"""Of a call: what adding up fractions may lose."""


@given(RATES, PAUSES)
def test_in_no_stretch_of_time_more_calls_go_out_than_the_bucket_holds_and_gets(
    rate: Rate, pauses: list[float]
) -> None:
    turns, now = Turns(rate), 0.0
    sent = []
    for pause in pauses:
        now += pause
        now = max(now, turns.take(now))
        sent.append(now)
    for first, start in enumerate(sent):
        for last in range(first, len(sent)):
            allowed = rate.burst + (sent[last] - start) * rate.per_second
            assert last - first + 1 <= allowed + ALMOST * (1 + allowed)


@given(RATES, PAUSES)
def test_nobody_waits_for_a_token_that_is_there(rate: Rate, pauses: list[float]) -> None:
    """Against a bucket that is counted out, token by token."""
    turns, now, tokens = Turns(rate), 0.0, float(rate.burst)
    for pause in pauses:
        now += pause
        tokens = min(rate.burst, tokens + pause * rate.per_second)
        wait = turns.take(now) - now
        assert wait == pytest.approx(max(0.0, (1 - tokens) / rate.per_second), abs=ALMOST)
        now += wait
        tokens = min(rate.burst, tokens + wait * rate.per_second) - 1


@given(RATES, st.floats(0, 100))
def test_to_look_takes_nothing(rate: Rate, now: float) -> None:
    turns = Turns(rate)
    for _ in range(rate.burst + 3):
        assert turns.following(now) == turns.following(now) == turns.take(now)


def test_threads_wait_on_the_clock_that_they_are_given() -> None:
    clock = TestClock()
    pacer = Pacer(clock, Rate(2.0, 3))
    began = clock.monotonic()
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: pacer.wait(began + 1000), range(13)))
    assert clock.monotonic() - began >= 5  # ten waited, half a second each


def test_a_turn_that_comes_at_the_deadline_is_not_waited_for() -> None:
    clock = TestClock()
    pacer = Pacer(clock, Rate(0.1, 1))
    deadline = clock.monotonic() + 15
    assert pacer.wait(deadline)
    assert pacer.wait(deadline)
    before = clock.monotonic()
    assert not pacer.wait(deadline)
    assert clock.monotonic() == before
    assert pacer.wait(deadline + 10), "the turn that nobody took is still there"


@pytest.mark.parametrize("name", RATES_BY_NAME)
def test_threads_that_wake_late_and_send_together_fit_into_every_burst(name: str) -> None:
    rates = RATES_BY_NAME[name]
    assert min(getattr(rates, each.name).burst for each in fields(rates)) >= IN_FLIGHT
