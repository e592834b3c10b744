"""What is said beside the answer: on stderr, in lines for people, or as one JSON object a line where that is asked for."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, Final, Literal, TextIO

from certbroker.world import Clock

Kind = Literal["error", "wait", "warn", "note"]

_LEVELS: Final[Mapping[Kind, str]] = {"error": "error", "wait": "warning", "warn": "warning", "note": "warning"}


class Aside(io.TextIOBase):
    """A stderr. With `as_json` each line of it is an object: whatever is written without being one becomes its `message`."""

    def __init__(self, stream: TextIO, clock: Clock, *, as_json: bool = False) -> None:
        self._stream = stream
        self._clock = clock
        self._open = ""
        self.as_json = as_json

    def put(self, record: Mapping[str, Any]) -> None:
        """One line."""
        self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")

    def say(self, level: str, kind: str, message: str, **more: Any) -> None:
        """One line, as of now. What of `more` is empty is left out."""
        at = self._clock.now().isoformat()
        given = {key: value for key, value in more.items() if value}
        self.put({"at": at, "level": level, "message": message, "kind": kind, **given})

    def write(self, text: str) -> int:
        if not self.as_json:
            return self._stream.write(text)
        *lines, self._open = (self._open + text).split("\n")
        for line in filter(None, lines):
            self.say("info", "said", line)
        return len(text)

    def flush(self) -> None:
        if not self._stream.closed:  # at the very end, when all is swept away
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty() and not self.as_json

    def writable(self) -> bool:
        return True


def say(stream: TextIO, kind: Kind, what: str, now: str = "", hint: str = "") -> None:
    """What happened; what is served now; what to type."""
    if isinstance(stream, Aside) and stream.as_json:
        stream.say(_LEVELS[kind], kind, what, now=now, hint=hint)
        return
    lines = [f"{kind}: {what}"] if what else []
    lines += [f" now   {now}"] if now else []
    lines += [f" hint: {hint}"] if hint else []
    stream.write("\n".join(lines) + "\n")
