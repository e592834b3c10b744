"""What every face says alike: moments in UTC with the weekday, and lists that do not fill a page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


def day(moment: datetime) -> str:
    """`Wed 23 Dec 2026`."""
    return f"{moment:%a} {moment.day} {moment:%b %Y}"


def minute(moment: datetime) -> str:
    """`Wed 23 Dec 02:05 UTC`."""
    return f"{moment:%a} {moment.day} {moment:%b %H:%M} UTC"


def several(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    some = ", ".join(names[:most])
    return f"{some} and {len(names) - most} more" if len(names) > most else some
