"""Moments as every face writes them: in UTC, with the weekday."""

from __future__ import annotations

from datetime import datetime


def day(moment: datetime) -> str:
    """`Wed 23 Dec 2026`."""
    return f"{moment:%a} {moment.day} {moment:%b %Y}"


def minute(moment: datetime) -> str:
    """`Wed 23 Dec 02:05 UTC`."""
    return f"{moment:%a} {moment.day} {moment:%b %H:%M} UTC"
