"""Telling several listeners the same event."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from certbroker.events import Emit, Event

log = logging.getLogger("certbroker")


def fan_out(listeners: Sequence[Emit]) -> Emit:
    """One `Emit` for all of them, one event at a time. What a listener raises is logged and forgotten."""
    lock = threading.Lock()

    def emit(event: Event) -> None:
        with lock:
            for listener in listeners:
                try:
                    listener(event)
                except Exception:
                    log.exception("a listener failed on %s", event.kind)

    return emit
