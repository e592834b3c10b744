"""One HTTP request over a connection whose hands are shaken: only the status is of interest. Follows nothing, keeps nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from certbroker import __version__
from certbroker.names import is_address

MOST: Final = 16384
"""Bytes read before a status is given up on; interim answers (RFC 9110 section 15.2) may come before it."""

_STATUS: Final = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n")
_BEGIN: Final = b"HTTP/1."


@dataclass(frozen=True, slots=True)
class Answer:
    """The status that was answered, or None and in `detail` why there is none."""

    status: int | None
    detail: str = ""


def request(name: str, path: str) -> bytes:
    """A GET of `path` (from its slash on, ASCII) with `name` (a DNS name or IP address) as Host (RFC 9112 section 3)."""
    host = f"[{name}]" if is_address(name) and ":" in name else name
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        f"User-Agent: certbroker/{__version__}",
        "Accept: */*",
        "Connection: close",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


def answer(more: Callable[[], bytes]) -> Answer:
    """Read what `more` gives (empty: there is nothing more) until the final status is there, but no more than MOST bytes."""
    said = b""
    while (status := status_of(said)) is None and len(said) < MOST:
        if not said.startswith(_BEGIN[: len(said)]):
            break
        got = more()
        if not got:
            break
        said += got
    if status is not None:
        return Answer(status)
    return Answer(None, "closed without an answer" if not said else "what is answered is no HTTP")


def status_of(said: bytes) -> int | None:
    """The final status, as soon as its line is whole."""
    at = 0
    while found := _STATUS.match(said, at):
        status = int(found[1])
        if status >= 200:
            return status
        end = said.find(b"\r\n\r\n", found.end() - 2)
        if end < 0:
            return None
        at = end + 4
    return None
