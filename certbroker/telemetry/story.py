"""The story on stderr: one line an event, and the libraries' own logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from certbroker.events import Event
from certbroker.saying import Aside
from certbroker.telemetry.log import JsonHandler

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
def library_logs(stream: TextIO, *, everything: bool) -> Iterator[None]:
    """What the libraries have to say, until the block ends: everything (`-vv`), or what is wrong.

    `certbroker.issuer.network` tells every message to and from a CA, `sqlalchemy.engine` every statement without its values.
    urllib3 and apprise stay silent: their lines name whole addresses, and that of a web hook is a secret as a whole.
    Bodies that hold a key or a token are never logged by any of them; tests/scenarios/test_canary.py keeps watch.
    """
    handler: logging.Handler
    if isinstance(stream, Aside) and stream.as_json:
        handler = JsonHandler(stream)
    else:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    levels = {"": logging.WARNING, **dict.fromkeys(SILENT, logging.WARNING)}
    if everything:
        levels |= {"": logging.DEBUG, "sqlalchemy.engine": logging.INFO}
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
