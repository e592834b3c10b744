"""The timeline as geometry: moments to places in a drawing. Pure; the template makes SVG of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

WIDTH: Final = 1000
"""Of the whole drawing, in its own units."""
LEFT: Final = 190
"""Where the first day is; before it stand the names."""
ROW: Final = 26
TOP: Final = 34

BarKind = Literal["past", "wanted", "window", "renewal", "safe"]


@dataclass(frozen=True, slots=True)
class Bar:
    """Something of a certificate that lasts; `starts` equals `ends` for a moment."""

    certificate: str
    kind: BarKind
    starts: datetime
    ends: datetime
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A bar in the drawing. `cut`: it goes on beyond the edge."""

    bar: Bar
    x: float
    y: float
    width: float
    cut: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """The first of a month."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Rows by name from the top, marks, months, and where now is."""

    rows: tuple[tuple[str, float], ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    now: float
    width: int
    height: int


def chart(names: Sequence[str], bars: Sequence[Bar], now: datetime, span: timedelta) -> Chart:
    """From `span` before `now` to `span` after. What lies wholly outside is left out, what reaches outside is cut."""
    first, last = now - span, now + span
    rows = {name: TOP + number * ROW for number, name in enumerate(names)}

    def place(moment: datetime) -> float:
        return round(LEFT + (moment - first) / (last - first) * (WIDTH - LEFT), 1)

    marks = []
    for bar in bars:
        if bar.certificate not in rows or bar.ends < first or bar.starts > last:
            continue
        x, end = place(max(bar.starts, first)), place(min(bar.ends, last))
        cut = bar.starts < first or bar.ends > last
        marks.append(Mark(bar, x, rows[bar.certificate], round(max(end - x, 2.0), 1), cut))
    order = ("past", "wanted", "window", "safe", "renewal")
    marks.sort(key=lambda mark: order.index(mark.bar.kind))
    return Chart(
        rows=tuple(rows.items()),
        marks=tuple(marks),
        ticks=tuple(Tick(place(month), f"{month:%b}") for month in _months(first, last)),
        now=place(now),
        width=WIDTH,
        height=TOP + max(len(names), 1) * ROW + 8,
    )


def _months(first: datetime, last: datetime) -> list[datetime]:
    found = []
    month = first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while month <= last:
        if month >= first:
            found.append(month)
        month = (month + timedelta(days=32)).replace(day=1)
    return found
