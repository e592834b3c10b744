"""What is told to people: a condition, whom it concerns and when, in words, and the ways it goes.

Pure but for `sending`, which is imported by whoever sends. The broker's alerts and the watcher tell by the same rules; neither
the store nor the file is known here.
"""

from __future__ import annotations

from certbroker.notices.condition import Condition, Kind, Severity, cause
from certbroker.notices.deciding import AGAIN, SEVERITIES, Telling, Way, covers, decide, told_now, ways
from certbroker.notices.phrases import day, minute, several
from certbroker.notices.route import Route, Routes
from certbroker.notices.told import AlertRow, MuteRow
from certbroker.notices.words import Message, message

__all__ = [
    "AGAIN",
    "SEVERITIES",
    "AlertRow",
    "Condition",
    "Kind",
    "Message",
    "MuteRow",
    "Route",
    "Routes",
    "Severity",
    "Telling",
    "Way",
    "cause",
    "covers",
    "day",
    "decide",
    "message",
    "minute",
    "several",
    "told_now",
    "ways",
]
