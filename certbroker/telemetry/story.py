"""The story on stderr: one line an event, and the libraries' own logs when everything is asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from certbroker.events import Event

SILENT: Final = ("apprise", "urllib3")
"""Libraries that would tell addresses which are secrets."""


class Story:
    """Writes each event as one line: time, what it is about, what happened."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        place = " ".join(part for part in (event.certificate, event.target, event.name) if part)
        said = ", ".join(f"{key}={value}" for key, value in event.data().items() if value not in (None, ""))
        self._stream.write(f"{event.at:%H:%M:%S} {event.kind} {place} {said}".rstrip() + "\n")


@contextmanager
def debug_logging(stream: TextIO) -> Iterator[None]:
    """Everything the libraries have to say (`-vv`), until the block ends.

    `certbroker.issuer.network` tells every message to and from a CA, `sqlalchemy.engine` every statement without its values.
    urllib3 and apprise stay silent: their lines name whole addresses, and that of a web hook is a secret as a whole.
    Bodies that hold a key or a token are never logged by any of them; tests/scenarios/test_canary.py keeps watch.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    levels = {"": logging.DEBUG, "sqlalchemy.engine": logging.INFO, **dict.fromkeys(SILENT, logging.WARNING)}
    loggers = [logging.getLogger(name) for name in levels]
    before = [logger.level for logger in loggers]
    loggers[0].addHandler(handler)
    for logger, level in zip(loggers, levels.values(), strict=True):
        logger.setLevel(level)
    try:
        yield
    finally:
        loggers[0].removeHandler(handler)
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
