"""What a secret looks like when it leaks, in every dress that programs give it; and a watch over what a run gives away."""

from __future__ import annotations

import base64
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

PIECE: Final = 12
"""Every window of 24 signs holds one whole piece of 12 that begins at a multiple of 12."""

Traces = dict[bytes, str]
"""A piece of a secret, and which one it is."""


def traces_of_key(pem: str, what: str) -> Traces:
    """An EC private key: its number and its PEM body, raw and in the usual codings. Its public half is no secret."""
    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return traces_of_number(key.private_numbers().private_value, key.key_size // 8, what) | _pieces(
        # the body as another base64 shows it, e.g. in a manifest; its first 48 signs are the same in every key
        b"".join(_shifted(pem.split("\n", 1)[1].encode()[48:88])),
        f"{what}, as base64 of its PEM",
    )


def traces_of_number(number: int, size: int, what: str) -> Traces:
    raw = number.to_bytes(size, "big")
    dresses = {
        "as it is": raw,
        "in hex": raw.hex().encode(),
        "in capital hex": raw.hex().upper().encode(),
        "in hex with colons": raw.hex(":").encode(),
        "in decimal": str(number).encode(),
    }
    found: Traces = {}
    for name, dress in dresses.items():
        found |= _pieces(dress, f"{what}, {name}")
    for text in _shifted(raw):
        found |= _pieces(text, f"{what}, in base64")
        found |= _pieces(text.translate(bytes.maketrans(b"+/", b"-_")), f"{what}, in base64url")
    return found


def traces_of_token(text: str, what: str) -> Traces:
    """A token, without its scheme and public prefix; also as base64 shows it."""
    found: Traces = {}
    for part in re.split(r"[\s,]+", text):
        secret = part.rpartition("_")[2].encode()
        if len(secret) > PIECE:
            found |= _pieces(secret, what)
            for dress in _shifted(secret):
                found |= _pieces(dress, f"{what}, in base64")
    return found


def _shifted(raw: bytes) -> Iterator[bytes]:
    """Base64 of `raw` as it stands in a longer text: at each of three offsets, without the signs that neighbours change."""
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw)
        yield text[4 if shift else 0 : len(text) - 4]


def _pieces(dress: bytes, what: str) -> Traces:
    return {dress[at : at + PIECE]: what for at in range(0, len(dress) - PIECE + 1, PIECE)}


@dataclass
class Watch:
    """Everything that was given away, by where it was."""

    given: dict[str, list[bytes]] = field(default_factory=dict)
    children: list[str] = field(default_factory=list)
    """Command line and environment of every program that was started."""

    def add(self, where: str, text: str | bytes) -> None:
        self.given.setdefault(where, []).append(text.encode() if isinstance(text, str) else text)

    def add_files(self, folder: Path, *, but: tuple[str, ...]) -> None:
        """Every file below `folder`, `but` for these names directly in it."""
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and inside.parts[0] not in but:
                self.add(f"the file {inside}", path.read_bytes())

    def leaks(self, traces: Traces) -> list[str]:
        """Which secret is where. Empty is good."""
        places = {where: b"\n".join(texts) for where, texts in self.given.items()}
        places["a child's words and environment"] = "\n".join(self.children).encode()
        found = {
            f"{what} in {where}" for where, text in places.items() for piece, what in traces.items() if piece in text
        }
        found |= {
            f"a PEM private key in {where}" for where, text in places.items() if b"BEGIN PRIVATE KEY-----" in text
        }
        return sorted(found)


class _Records(logging.Handler):
    """Every log record with all it carries, whoever would print it."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.DEBUG)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        trouble = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self._watch.add("a log record", f"{record.name} {record.getMessage()} {record.args!r} {trouble}\n")


_watching: list[Watch] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen" and _watching:
        _, words, _, environ = arguments
        told = environ if isinstance(environ, Mapping) else {"": "everything of ours"}
        _watching[-1].children.append(f"{words!r} {dict(told)!r}")


@contextmanager
def watching() -> Iterator[Watch]:
    """A watch over logs and children until the block ends. (Audit hooks stay for good, so one serves all.)"""
    if not getattr(sys, "_certbroker_audited", False):
        sys.addaudithook(_audit)
        sys._certbroker_audited = True  # type: ignore[attr-defined]
    watch = Watch()
    records = _Records(watch)
    root = logging.getLogger()
    level = root.level
    root.addHandler(records)
    root.setLevel(logging.DEBUG)
    _watching.append(watch)
    try:
        yield watch
    finally:
        _watching.remove(watch)
        root.removeHandler(records)
        root.setLevel(level)
