"""How long to wait before the next look: a quarter of a second first, then doubling, never earlier than the CA asks."""

from __future__ import annotations

from typing import Final

FIRST_SECONDS: Final = 0.25
LONGEST_SECONDS: Final = 64.0
"""Doubling ends here. A wait of five minutes then costs no more looks than 2 + log2(wait / 0.25 s)."""


class Pace:
    """One wait for one thing. Make a new one for the next thing."""

    def __init__(self) -> None:
        self._next = FIRST_SECONDS

    def step(self, retry_after: float | None = None) -> float:
        """Seconds until the next look. `Retry-After` can make it later, never earlier: some CAs always say the same."""
        pause, self._next = self._next, min(self._next * 2, LONGEST_SECONDS)
        return max(pause, retry_after or 0.0)
