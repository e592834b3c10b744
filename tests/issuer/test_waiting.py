"""How often a CA is looked at."""

from __future__ import annotations

import math

import pytest

from certbroker.issuer.waiting import FIRST_SECONDS, SOONEST_SECONDS, UNIT_SECONDS, Pace


@pytest.mark.parametrize("wait", [0.25, 0.26, 0.51, 1, 1.01, 3, 10, 30, 60, 120, 300])
def test_a_wait_costs_few_looks(wait: float) -> None:
    pace, at, looks = Pace(), 0.0, 0
    while at < wait:
        at += pace.step()
        looks += 1
    assert looks <= 2 + math.log2(wait / 0.25)


def test_the_first_look_comes_soon_and_the_second_after_half_a_second() -> None:
    pace = Pace()
    assert pace.step() == 0.05
    assert pace.step() == 0.45


def test_a_ca_can_make_the_next_look_later_but_not_earlier() -> None:
    pace = Pace()
    assert pace.step(3) == 3
    assert pace.step(0) == 0.45
    assert pace.step(None) == 0.5


def test_the_first_look_comes_sooner_where_the_way_is_long() -> None:
    """Counted at the CA: there the first look comes no sooner than over a short way."""
    for way, first in ((0.0, FIRST_SECONDS), (0.03, FIRST_SECONDS - 0.03), (3.0, SOONEST_SECONDS)):
        pace = Pace(way)
        assert pace.step() == pytest.approx(first)
        assert first + pace.step() == pytest.approx(2 * UNIT_SECONDS)
