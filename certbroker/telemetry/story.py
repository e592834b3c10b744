"""The story on stderr: one line an event, and the libraries' own logs when everything is asked for."""

from __future__ import annotations

import logging
from typing import TextIO

from certbroker.events import Event


class Story:
    """Writes each event as one line: time, what it is about, what happened."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        place = " ".join(part for part in (event.certificate, event.target, event.name) if part)
        said = ", ".join(f"{key}={value}" for key, value in event.data().items() if value not in (None, ""))
        self._stream.write(f"{event.at:%H:%M:%S} {event.kind} {place} {said}".rstrip() + "\n")


def debug_logging(stream: TextIO) -> None:
    """Everything the libraries have to say (`-vv`). Bodies that could hold a key or a token are never logged by them."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.DEBUG)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)
