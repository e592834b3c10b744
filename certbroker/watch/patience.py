"""Waiting that somebody can end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from certbroker.world import Clock

Stopped = Callable[[], bool]
"""Whether somebody wants us to end."""

BREATH: Final = 0.5
"""Seconds between two looks at that."""


def rest(clock: Clock, seconds: float, stopped: Stopped) -> bool:
    """False if it was ended before its time."""
    end = clock.monotonic() + seconds
    while (left := end - clock.monotonic()) > 0:
        if stopped():
            return False
        clock.sleep(min(BREATH, left))
    return not stopped()
