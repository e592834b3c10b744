"""How fast somebody may be asked: the turns of a token bucket, and one row for all threads that wait for theirs."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from certbroker.world import Clock


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` calls in the long run, `burst` at once: a bucket of so many tokens that is filled so fast."""

    per_second: float
    burst: int


class Turns:
    """When each call of a row may go out. Reads no clock; moments are seconds on any clock that never goes back."""

    def __init__(self, rate: Rate) -> None:
        self._gap: Final = 1.0 / rate.per_second
        self._ahead: Final = self._gap * (max(rate.burst, 1) - 1)
        self._even = float("-inf")
        """When the next call would go out if the calls came evenly; `burst - 1` of them may be ahead of that."""

    def following(self, now: float) -> float:
        """The moment of the next turn, `now` or later; it stays free."""
        return max(now, self._even - self._ahead)

    def take(self, now: float) -> float:
        """The same, and it is taken."""
        moment = self.following(now)
        self._even = max(self._even, now) + self._gap
        return moment


class Pacer:
    """Turns for the threads of one run, waited for on the world's clock."""

    def __init__(self, clock: Clock, rate: Rate) -> None:
        self._clock = clock
        self._turns = Turns(rate)
        self._lock = threading.Lock()

    def wait(self, deadline: float) -> bool:
        """Sleep until our turn has come. False, at once and without one, if it comes only at `deadline` (monotonic seconds)."""
        with self._lock:
            now = self._clock.monotonic()
            if self._turns.following(now) >= deadline:
                return False
            moment = self._turns.take(now)
        if moment > now:
            self._clock.sleep(moment - now)
        return True
