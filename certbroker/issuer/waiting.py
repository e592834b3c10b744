"""How long to wait before the next look: soon at first, then rarer and rarer, never earlier than the CA asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from certbroker.errors import IssuerUnavailable, RateLimited
from certbroker.world import Clock

T = TypeVar("T")

FIRST_SECONDS: Final = 0.05
"""Some CAs are done at once. Counted at the CA: from when it heard of it until it hears the first look."""

SOONEST_SECONDS: Final = 0.01

UNIT_SECONDS: Final = 0.25
"""After the first the looks come at 2, 4, 8, ... of these: no wait costs more looks than 2 + log2(wait / 0.25 s)."""

LONGEST_SECONDS: Final = 128.0
"""Doubling ends here."""


PATIENCE_SECONDS: Final = 30.0
"""A CA that is busy and asks for no more than this is asked again in the same run."""

SHORTEST_SECONDS: Final = 0.25
"""It is left alone at least so long, whatever it says."""

AGAIN: Final = 3
"""How often a CA that is busy, or away, is asked again in one run."""


def soon(retry_after: float | None, left: float) -> float | None:
    """Seconds to leave a busy CA alone before it is asked again in this run, which has `left` seconds; None: not in this run."""
    if retry_after is None or retry_after > min(PATIENCE_SECONDS, left):
        return None
    return max(retry_after, SHORTEST_SECONDS)


def patiently(ask: Callable[[], T], clock: Clock, deadline: float) -> T:
    """`ask`, which may be asked twice without harm; again if the CA is busy and asks for no more than a moment.

    `deadline`: monotonic seconds. Raises what `ask` raises.
    """
    for _ in range(AGAIN):
        try:
            return ask()
        except (RateLimited, IssuerUnavailable) as error:
            pause = soon(error.retry_after, deadline - clock.monotonic())
            if pause is None:
                raise
        clock.sleep(min(pause, max(0.0, deadline - clock.monotonic())))
    return ask()


class Pace:
    """One wait for one thing. Make a new one for the next thing.

    Args:
        way: seconds that our questions are under way, there and back: so long the CA has had already when the first look comes.
    """

    def __init__(self, way: float = 0.0) -> None:
        self._at = 0.0
        self._next = max(FIRST_SECONDS - way, SOONEST_SECONDS)

    def step(self, retry_after: float | None = None) -> float:
        """Seconds until the next look. `Retry-After` can make it later, never earlier: some CAs always say the same."""
        pause = min(self._next - self._at, LONGEST_SECONDS)
        self._at, self._next = self._next, max(2 * UNIT_SECONDS, self._next * 2)
        return max(pause, retry_after or 0.0)
