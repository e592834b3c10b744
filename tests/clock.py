"""A clock that tests move."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class TestClock:
    """Sleeping costs no time of ours: it moves the clock on and lets other threads run."""

    __test__ = False

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._monotonic = 1000.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        with self._lock:
            return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.advance(timedelta(seconds=seconds))
        time.sleep(0.001)

    def advance(self, step: timedelta) -> None:
        with self._lock:
            self._now += step
            self._monotonic += step.total_seconds()
