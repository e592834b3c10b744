"""A line to an honest CA that spoils its answers on the way: structure first, then bytes, then time.

A lie is a value: where it is told (`step`, after `skip` honest answers, `times` in a row) and what it does to the answer. So
Hypothesis can draw, print and shrink them.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Lock
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import ProtocolError

from certbroker.testkit.simulator import Handles, Request
from tests.clock import TestClock

STEPS: Final = (
    "dir",
    "nonce",
    "new-account",
    "acct",
    "new-order",
    "order",
    "authz",
    "chall",
    "finalize",
    "cert",
    "ari",
    "revoke-cert",
    "key-change",
)


def step_of(request: Request) -> str:
    """Which of `STEPS` the sandbox is asked for."""
    return "finalize" if request.path.endswith("/finalize") else request.path.split("/")[1]


@dataclass(frozen=True)
class Wire:
    """An answer on its way. `seconds` pass before it, `drip` seconds before each piece of it; `endless`: it never stops."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    seconds: float = 0.0
    drip: float = 0.0
    endless: bool = False
    trouble: Literal["reset", "tls", "cut"] | None = None


@dataclass(frozen=True)
class Lie:
    """See above."""

    step: str
    change: Callable[[Wire], Wire]
    skip: int = 0
    times: int = 1


# ---- what a lie does -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plain:
    """These parts of the answer become these."""

    status: int | None = None
    body: bytes | None = None
    seconds: float = 0.0
    drip: float = 0.0
    endless: bool = False
    trouble: Literal["reset", "tls", "cut"] | None = None

    def __call__(self, wire: Wire) -> Wire:
        return Wire(
            self.status or wire.status,
            wire.headers,
            wire.body if self.body is None else self.body,
            self.seconds,
            self.drip,
            self.endless,
            self.trouble,
        )


@dataclass(frozen=True)
class Header:
    """The header has these values: none, one, or it comes several times."""

    name: str
    values: tuple[str, ...]

    def __call__(self, wire: Wire) -> Wire:
        kept = tuple((k, v) for k, v in wire.headers if k.lower() != self.name.lower())
        return replace(wire, headers=kept + tuple((self.name, value) for value in self.values))


@dataclass(frozen=True)
class Bytes:
    """The body from `start` to `end` (shares of it) is lost, and `put` is in its place."""

    start: float
    end: float
    put: bytes = b""

    def __call__(self, wire: Wire) -> Wire:
        size = len(wire.body)
        return replace(wire, body=wire.body[: int(self.start * size)] + self.put + wire.body[int(self.end * size) :])


@dataclass(frozen=True)
class Recoded:
    """The same text in another encoding."""

    codec: str

    def __call__(self, wire: Wire) -> Wire:
        return replace(wire, body=wire.body.decode("utf-8", "replace").encode(self.codec, "replace"))


GONE: Final = "a member that is not there"


@dataclass(frozen=True)
class Member:
    """One member of the JSON answer, at any depth, is another value: `pick` chooses it."""

    pick: int
    value: Any

    def __call__(self, wire: Wire) -> Wire:
        content = _content(wire)
        places = list(_places(content))
        if not places:
            return replace(wire, body=_dump(self.value))
        holder, key = places[self.pick % len(places)]
        if self.value is GONE:
            del holder[key]
        else:
            holder[key] = self.value
        return replace(wire, body=_dump(content))


@dataclass(frozen=True)
class Named:
    """The members of this name, wherever they are in the JSON answer, have this value; without one it is added on top."""

    name: str
    value: Any

    def __call__(self, wire: Wire) -> Wire:
        content = _content(wire)
        if not isinstance(content, dict):
            content = {}
        for holder in [holder for holder, key in _places(content) if key == self.name] or [content]:
            holder[self.name] = self.value
        return replace(wire, body=_dump(content))


@dataclass(frozen=True)
class Raw:
    """JSON that Python's own writer does not write."""

    text: str


@dataclass(frozen=True)
class Repeated:
    """A list in the JSON answer holds what it held, so often."""

    pick: int
    times: int

    def __call__(self, wire: Wire) -> Wire:
        content = _content(wire)
        lists = [holder[key] for holder, key in _places(content) if isinstance(holder[key], list)]
        if lists:
            chosen = lists[self.pick % len(lists)]
            chosen[:] = [_other(item, number) for number in range(self.times) for item in chosen]
        return replace(wire, body=_dump(content))


def _content(wire: Wire) -> Any:
    """Its JSON; an empty object if there is none that an earlier lie has left readable."""
    try:
        content = json.loads(wire.body)
        _places(content)
    except (ValueError, RecursionError):
        return {}
    return content


def _other(item: Any, number: int) -> Any:
    return f"{item}{number or ''}" if isinstance(item, str) else item


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (holder, key) in it, outermost first."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    else:
        return []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


def _dump(content: Any) -> bytes:
    raw: list[str] = []

    def mark(value: Any) -> str:
        raw.append(value.text)
        return f"<raw {len(raw) - 1}>"

    text = json.dumps(content, default=mark)
    for number, piece in enumerate(raw):
        text = text.replace(f'"<raw {number}>"', piece)
    return text.encode()


_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


@dataclass(frozen=True)
class Pem:
    """The certificates of the answer in this order, by number; what stands between them is `between`."""

    order: tuple[int, ...]
    between: bytes = b""

    def __call__(self, wire: Wire) -> Wire:
        blocks = _BLOCK.findall(wire.body)
        chosen = [blocks[number % len(blocks)] for number in self.order] if blocks else []
        return replace(wire, body=self.between.join(chosen))


@dataclass(frozen=True)
class Der:
    """Bytes within one certificate are others: at these shares of its length."""

    which: int
    changes: tuple[tuple[float, int], ...]

    def __call__(self, wire: Wire) -> Wire:
        blocks = _BLOCK.findall(wire.body)
        if not blocks:
            return wire
        which = self.which % len(blocks)
        der = bytearray(b64decode(b"".join(blocks[which].split(b"\n")[1:-2])))
        for share, value in self.changes:
            der[int(share * len(der))] = value
        lines = b64encode(bytes(der))
        blocks[which] = b"-----BEGIN CERTIFICATE-----\n" + lines + b"\n-----END CERTIFICATE-----\n"
        return replace(wire, body=b"".join(blocks))


@dataclass(frozen=True)
class Both:
    """One after the other."""

    first: Callable[[Wire], Wire]
    second: Callable[[Wire], Wire]

    def __call__(self, wire: Wire) -> Wire:
        return self.second(self.first(wire))


# ---- the line ------------------------------------------------------------------------------------------------------------


@dataclass
class _Body:
    """What is read of an answer, piece by piece, as from a socket; time passes meanwhile."""

    wire: Wire
    clock: TestClock
    limit: float
    at: int = 0
    closed: bool = False

    def read1(self, amount: int = -1) -> bytes:
        if self.wire.trouble == "cut" and self.at:
            raise ProtocolError("the line was cut")
        if self.wire.drip:
            self.clock.advance(timedelta(seconds=min(self.wire.drip, self.limit)))
            if self.wire.drip > self.limit:
                raise TimeoutError
        if self.wire.endless:
            self.at += 65536
            return b" " * 65536
        size = max(1, len(self.wire.body) // 4) if self.wire.drip or self.wire.trouble else max(1, len(self.wire.body))
        piece = self.wire.body[self.at : self.at + size]
        self.at += len(piece)
        return piece

    read = read1

    def close(self) -> None:
        self.closed = True


@dataclass
class Liar(BaseAdapter):
    """Carries requests to `ca` and spoils its answers as `lies` say."""

    ca: Handles
    clock: TestClock
    lies: Sequence[Lie] = ()
    asked: int = 0
    """How many requests were sent since the lies were told."""
    passed: dict[int, int] = field(default_factory=dict)
    turn: Lock = field(default_factory=Lock)

    def tell(self, *lies: Lie) -> None:
        """From now on these."""
        self.lies, self.passed, self.asked = lies, {}, 0

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, *, timeout: tuple[float, float], **more: Any
    ) -> requests.Response:
        asked = _read(request)
        honest = self.ca.handle(asked)
        wire = Wire(honest.status, tuple(honest.headers.items()), honest.body)
        for lie in self._due(asked):
            wire = lie.change(wire)
        if wire.trouble == "reset":
            raise requests.exceptions.ConnectionError("reset")
        if wire.trouble == "tls":
            raise requests.exceptions.SSLError("a certificate of somebody else")
        self.clock.advance(timedelta(seconds=min(wire.seconds, timeout[1])))
        if wire.seconds > timeout[1]:
            raise requests.exceptions.ReadTimeout("silence")
        if asked.method == "HEAD":
            wire = replace(wire, body=b"", endless=False)
        headers = HTTPHeaderDict()
        for name, value in wire.headers:
            headers.add(name, value)
        raw = HTTPResponse(
            body=_Body(wire, self.clock, timeout[1]),  # type: ignore[arg-type]
            headers=headers,
            status=wire.status,
            request_method=asked.method,
            preload_content=False,
        )
        return HTTPAdapter().build_response(request, raw)

    def _due(self, asked: Request) -> list[Lie]:
        found = []
        with self.turn:
            self.asked += 1
            for number, lie in enumerate(self.lies):
                if lie.step == step_of(asked):
                    seen = self.passed[number] = self.passed.get(number, 0) + 1
                    if lie.skip < seen <= lie.skip + lie.times:
                        found.append(lie)
        return found

    def close(self) -> None:
        return None

    def __hash__(self) -> int:
        return id(self)


def _read(request: requests.PreparedRequest) -> Request:
    parts = urlsplit(request.url or "")
    body = request.body or b""
    return Request(
        request.method or "GET",
        parts.path,
        tuple(parse_qsl(parts.query, keep_blank_values=True)),
        CaseInsensitiveDict({name: str(value) for name, value in request.headers.items()}),
        body.encode() if isinstance(body, str) else bytes(body),
    )
