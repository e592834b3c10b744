"""Who is told what now: from what stands and from what was told before. Pure.

Alerts derive from state. One a condition and way; again after a day while it lasts; and once when it is over, to whoever was told.
A way that could not be reached has no row, so the next run tries it again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from certbroker.notices.condition import Condition, Severity
from certbroker.notices.route import Route, Routes
from certbroker.notices.told import AlertRow, MuteRow

AGAIN: Final = timedelta(hours=24)
"""After so long what still lasts is told once more."""

EARLY: Final = timedelta(minutes=30)
"""Runs do not come to the minute: the daily word may come so much earlier rather than an hour late each day."""

SEVERITIES: Final[tuple[Severity, ...]] = ("page", "tell")

Change = Literal["begun", "lasts", "over"]


@dataclass(frozen=True, slots=True)
class Way:
    """One route. `label` is its name wherever it is remembered: `page.0.webhook`."""

    label: str
    route: Route


@dataclass(frozen=True, slots=True)
class Telling:
    """One message on one way. `condition` is what it is about now; None where it is over, and `row` has its words."""

    way: Way
    change: Change
    condition: Condition | None
    row: AlertRow | None


def ways(routes: Routes, severity: Severity) -> list[Way]:
    """Where that goes. What would wake somebody is told like all the rest where no way to wake is named."""
    named = routes.page if severity == "page" else routes.tell
    if not named and severity == "page":
        return ways(routes, "tell")
    return [Way(f"{severity}.{number}.{route.way}", route) for number, route in enumerate(named)]


def decide(
    conditions: Sequence[Condition],
    told: Iterable[AlertRow],
    mutes: Collection[MuteRow],
    routes: Routes,
    now: datetime,
) -> list[Telling]:
    """The messages of this moment, what is new before what is over."""
    before = {(row.key, row.way): row for row in told}
    found: list[Telling] = []
    for condition in conditions:
        if not condition.ripe or any(covers(mute, condition, now) for mute in mutes):
            continue
        for way in ways(routes, condition.severity):
            row = before.get((condition.key, way.label))
            if row is None:
                found.append(Telling(way, "begun", condition, None))
            elif now - row.told >= AGAIN - EARLY:
                found.append(Telling(way, "lasts", condition, row))
    standing = {condition.key for condition in conditions}
    known = {way.label: way for severity in SEVERITIES for way in ways(routes, severity)}
    over = [row for row in before.values() if row.key not in standing and row.way in known]
    return found + [Telling(known[row.way], "over", None, row) for row in over]


def told_now(telling: Telling, now: datetime) -> AlertRow | None:
    """The row to remember once it has arrived; None: it is over, and its row goes."""
    each, before = telling.condition, telling.row
    if each is None:
        return None
    return AlertRow(
        key=each.key,
        way=telling.way.label,
        kind=each.kind.value,
        severity=each.severity,
        subject=each.subject,
        what=each.what,
        since=each.since,
        first=before.first if before else now,
        told=now,
    )


def covers(mute: MuteRow, condition: Condition, now: datetime) -> bool:
    """Whether a person asked not to hear of it. Void when its time is over, and at the last safe moment."""
    if mute.until <= now or (condition.act_by is not None and condition.act_by <= now):
        return False
    about = {condition.key, condition.subject, condition.target, *condition.subject.split(" ")}
    return mute.what in about or (condition.certificates == (mute.what,))
