"""The last safe moment: never after the end, never so early that a renewal in time would be late, and what the defaults say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker import policy
from certbroker.model import Lifetime
from certbroker.safe import DEFAULT, SHARE, Allowance, last_safe_moment, of_life, soon

END = datetime(2027, 2, 6, 3, 0, tzinfo=UTC)
_spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400))
_lengths = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=400))
_allowances = st.builds(Allowance, people=_spans, ca=_spans)


@given(_lengths, _spans | st.none(), _allowances)
def test_it_lies_between_three_quarters_of_the_life_and_its_end(
    length: timedelta, took: timedelta | None, allowance: Allowance
) -> None:
    moment = last_safe_moment(END, length, took=took, allowance=allowance)
    assert END - length * 2 * SHARE - timedelta(microseconds=2) <= moment <= END
    assert moment > END - length * (1 - policy.BACKSTOP)


@given(_lengths, _spans, _spans, _allowances)
def test_what_takes_longer_is_begun_earlier(
    length: timedelta, took: timedelta, more: timedelta, allowance: Allowance
) -> None:
    first = last_safe_moment(END, length, took=took, allowance=allowance)
    assert last_safe_moment(END, length, took=took + more, allowance=allowance) <= first
    wider = Allowance(allowance.people + more, allowance.ca)
    assert last_safe_moment(END, length, took=took, allowance=wider) <= first


@given(_lengths, _spans, _allowances, _spans)
def test_it_moves_with_the_end(length: timedelta, took: timedelta, allowance: Allowance, later: timedelta) -> None:
    moment = last_safe_moment(END, length, took=took, allowance=allowance)
    assert last_safe_moment(END + later, length, took=took, allowance=allowance) == moment + later


@pytest.mark.parametrize(
    ("days", "before"),
    [
        (90, timedelta(hours=48, minutes=15)),
        (45, timedelta(hours=48, minutes=15)),
        (160 / 24, timedelta(hours=20, minutes=15)),  # Let's Encrypt's shortlived: 160 hours
    ],
)
def test_the_defaults_fit_every_length_and_come_after_the_latest_renewal(days: float, before: timedelta) -> None:
    life = Lifetime(END - timedelta(days=days), END)
    moment = of_life(life)
    assert moment == END - before
    assert moment > life.at(policy.LATEST)
    assert moment > policy.planned(life, END - timedelta(minutes=1))


def test_what_was_measured_counts() -> None:
    assert last_safe_moment(END, timedelta(days=90), took=timedelta(hours=3), allowance=DEFAULT) == END - timedelta(
        hours=51
    )


@given(_lengths)
def test_nobody_is_woken_for_more_than_an_eighth_of_a_life(length: timedelta) -> None:
    assert soon(length) <= timedelta(hours=24)
    assert soon(length) <= length * SHARE
