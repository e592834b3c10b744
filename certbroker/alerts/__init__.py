"""Telling people: what needs somebody goes to whom the file names, once, daily while it lasts, and when it is over."""

from __future__ import annotations

from certbroker.alerts.announcing import announced
from certbroker.alerts.deciding import AGAIN, Telling, Way, covers, decide, ways
from certbroker.alerts.telling import Herald, Outcome
from certbroker.alerts.words import Message, message

__all__ = [
    "AGAIN",
    "Herald",
    "Message",
    "Outcome",
    "Telling",
    "Way",
    "announced",
    "covers",
    "decide",
    "message",
    "ways",
]
