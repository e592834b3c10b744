"""Once, daily while it lasts, and when it is over; to whom, and not what is muted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.config import AlertSettings
from certbroker.notices import AlertRow, Condition, Kind, MuteRow, Route, covers, decide
from certbroker.secret import SecretRef

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
PAGER = Route("webhook", SecretRef(env="PAGER"))
CHAT = Route("slack", SecretRef(env="CHAT"))
BOTH = AlertSettings(page=(PAGER,), tell=(CHAT,))


def condition(**more: object) -> Condition:
    made = Condition(
        key="push/fastly/1",
        kind=Kind.PUSH,
        severity="tell",
        state="fail",
        subject="main → fastly",
        certificates=("main",),
        target="fastly",
        since=NOW - 2 * HOUR,
        what="400",
        now="v1 is served, until Thu 7 Jan 2027",
        hint="certbroker push main",
        act_by=NOW + timedelta(days=9),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def told(each: Condition, way: str, at: datetime) -> AlertRow:
    return AlertRow(
        key=each.key,
        way=way,
        kind=each.kind.value,
        severity=each.severity,
        subject=each.subject,
        what=each.what,
        since=each.since,
        first=at,
        told=at,
    )


def heard(conditions: list[Condition], rows: list[AlertRow], *, now: datetime = NOW, mutes: tuple[MuteRow, ...] = ()):  # type: ignore[no-untyped-def]
    return [(each.change, each.way.label) for each in decide(conditions, rows, mutes, BOTH, now)]


def test_it_is_told_once_to_whom_its_severity_concerns() -> None:
    assert heard([condition()], []) == [("begun", "tell.0.slack")]
    assert heard([condition(severity="page")], []) == [("begun", "page.0.webhook")]
    assert heard([condition()], [told(condition(), "tell.0.slack", NOW - HOUR)]) == []


def test_it_is_told_again_after_a_day_and_when_it_is_over() -> None:
    row = told(condition(), "tell.0.slack", NOW - timedelta(hours=24))
    assert heard([condition()], [row]) == [("lasts", "tell.0.slack")]
    assert heard([], [row]) == [("over", "tell.0.slack")]
    assert heard([], [told(condition(), "tell.7.webhook", NOW)]) == [], "that way left the file"


def test_what_becomes_urgent_wakes_somebody_and_is_not_over() -> None:
    row = told(condition(), "tell.0.slack", NOW - HOUR)
    assert heard([condition(severity="page")], [row]) == [("begun", "page.0.webhook")]


def test_what_the_next_run_may_mend_is_not_told_but_not_over_either() -> None:
    assert heard([condition(ripe=False)], []) == []
    assert heard([condition(ripe=False)], [told(condition(), "tell.0.slack", NOW - HOUR)]) == []


def test_without_a_way_to_wake_it_is_told_like_the_rest() -> None:
    (only,) = decide([condition(severity="page")], [], [], AlertSettings(tell=(CHAT,)), NOW)
    assert only.way.label == "tell.0.slack"
    assert decide([condition()], [], [], AlertSettings(page=(PAGER,)), NOW) == []


@pytest.mark.parametrize("what", ["main", "fastly", "push/fastly/1", "main → fastly"])
def test_a_mute_covers_what_it_names_until_the_last_safe_moment(what: str) -> None:
    mute = MuteRow(what, NOW + timedelta(days=30), "known", "anna", NOW)
    assert heard([condition()], [], mutes=(mute,)) == []
    assert covers(mute, condition(), NOW + timedelta(days=9) - HOUR)
    assert not covers(mute, condition(), NOW + timedelta(days=9)), "the last safe moment is over"
    assert not covers(replace(mute, until=NOW), condition(), NOW)
    assert not covers(replace(mute, what="mai"), condition(), NOW)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["tell", "page"])), min_size=1, max_size=72))
def test_over_many_hours_nobody_hears_more_than_once_a_day_and_the_end_once(hours: list[tuple[bool, str]]) -> None:
    """However it comes, goes and changes its weight: whoever was told of a beginning is told of the end, once."""
    rows: dict[str, AlertRow] = {}
    last: dict[str, datetime] = {}
    for number, (there, severity) in enumerate([*hours, (False, "tell")]):
        now = NOW + number * HOUR
        conditions = [condition(severity=severity)] if there else []
        for each in decide(conditions, rows.values(), [], BOTH, now):
            way = each.way.label
            if each.change == "over":
                del rows[way]
                last.pop(way)
                continue
            assert each.change == ("lasts" if way in rows else "begun")
            assert way not in last or now - last[way] >= timedelta(hours=23)
            rows[way] = told(condition(severity=severity), way, now)
            last[way] = now
    assert rows == {}
