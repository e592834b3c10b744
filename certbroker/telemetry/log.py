"""The log as JSON, one object a line: events with the fields that the history has, and what libraries log."""

from __future__ import annotations

import logging
from collections.abc import Callable

from certbroker.events import Event
from certbroker.saying import Aside
from certbroker.standing.told import of_event


class JsonLog:
    """Puts each event on `stream`. `run` tells the id of the run that is under way."""

    def __init__(self, stream: Aside, run: Callable[[], str | None]) -> None:
        self._stream = stream
        self._run = run

    def __call__(self, event: Event) -> None:
        self._stream.put(of_event(event, self._run()))


class JsonHandler(logging.Handler):
    """The same for what is logged by way of `logging`."""

    def __init__(self, stream: Aside) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        number = record.levelno
        level = "error" if number >= logging.ERROR else "warning" if number >= logging.WARNING else "info"
        trouble = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        self._stream.say(
            "debug" if number < logging.INFO else level,
            "log",
            record.getMessage(),
            logger=record.name,
            exception=trouble,
        )
