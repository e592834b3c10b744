"""A type that cannot be printed, and references that are resolved late.

A `Secret` holds text that must never reach a log, an exception, a page or a store. A `SecretRef` is what the file holds
instead: `{ env = "NAME" }`, `{ file = "PATH" }` or `{ command = ["op", "read", ...] }`. Only `resolve` opens it, at first use.
"""

from __future__ import annotations

import hmac
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from certbroker.errors import UsageError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

COMMAND_SECONDS: Final = 30.0
"""How long a secret command may take."""

_KEY_BODY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END", re.DOTALL)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=]+")
_KEY_PIECE: Final = 8
"""Signs of a key that are enough to call a word a part of it: no word of a message has 48 bits in common by chance."""


class Secret:
    """Text that shows itself to nobody: repr, str, f-strings, json and pickle give nothing away."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text. Every caller is a place where it could leak: keep them few."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


class Sealed(NamedTuple):
    """A secret as it lies in the store: only the vault opens it, and the store need not know the vault.

    `box` is the secret under a data key of its own; `wrapped` is that data key under the vault key called `kid`.
    """

    kid: str
    wrapped: bytes
    box: bytes


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is to be found. Exactly one of the three is set."""

    env: str | None = None
    file: str | None = None
    command: tuple[str, ...] | None = None

    def __str__(self) -> str:
        if self.env is not None:
            return f"${self.env}"
        if self.file is not None:
            return self.file
        return f"the command {self.command[0] if self.command else '?'}"

    def resolve(self, environ: Mapping[str, str], *, where: str = "") -> Secret:
        """Read it now.

        Args:
            environ: the environment; `HOME` in it expands `~`, and a command gets it as its own.
            where: the place in the file, for the message.

        Raises:
            UsageError: it is not there, is empty, or the command fails or takes over 30 seconds.
        """
        place = f"{where} " if where else ""
        if self.env is not None:
            text = environ.get(self.env, "")
            if not text.strip():
                raise UsageError(
                    f"{place}names ${self.env}, which is not set", hint=f"export {self.env}=… , or point to a file"
                )
        elif self.file is not None:
            text = self._read(Path(expand(self.file, environ)), place)
        else:
            text = self._run(environ, place)
        text = text.strip()
        if not text:
            raise UsageError(f"{place}points to {self}, which is empty")
        return Secret(text)

    def _read(self, path: Path, place: str) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{place}points to {path}, which cannot be read: {_reason(error)}") from None

    def _run(self, environ: Mapping[str, str], place: str) -> str:
        command = list(self.command or ())
        try:
            done = subprocess.run(
                command,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UsageError(f"{place}runs {command[0]}, which took more than {COMMAND_SECONDS:.0f} seconds") from None
        except OSError as error:
            raise UsageError(f"{place}runs {command[0]}, which cannot be started: {_reason(error)}") from None
        if done.returncode:
            raise UsageError(
                f"{place}runs {command[0]}, which ended with exit code {done.returncode}",
                hint=f"try it by hand: {command[0]} …",
            )
        try:
            return done.stdout.decode()
        except UnicodeDecodeError:
            raise UsageError(f"{place}runs {command[0]}, which printed something that is not text") from None

    @classmethod
    def parse(cls, value: object) -> SecretRef:
        """From the TOML value. Raises ValueError with a message that never quotes the value (it may be a pasted secret)."""
        if isinstance(value, SecretRef):
            return value
        shape = 'must be { env = "NAME" }, { file = "PATH" } or { command = ["PROGRAM", …] }'
        if not isinstance(value, dict) or len(value) != 1:
            raise ValueError(shape + "; a secret itself does not belong into this file")
        match value:
            case {"env": str(name)} if name:
                return cls(env=name)
            case {"file": str(path)} if path:
                return cls(file=path)
            case {"command": [str(), *_] as words} if all(isinstance(word, str) for word in words):
                return cls(command=tuple(words))
        raise ValueError(shape)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(cls.parse)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        def one(key: str, value: dict[str, Any]) -> dict[str, Any]:
            return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}

        words = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"oneOf": [one("env", {"type": "string"}), one("file", {"type": "string"}), one("command", words)]}


def without_key(text: str, pem: str) -> str:
    """`text` without any piece of the private keys in `pem` (which may be inside JSON), however it is cut or quoted.

    A service that quotes what it could not read, or a program that prints what it was given, shows a key without its first line.
    """
    bodies = (body.replace("\\n", "") for body in _KEY_BODY.findall(pem))
    known = {
        whole[at : at + _KEY_PIECE]
        for whole in ("".join(_BASE64.findall(body)) for body in bodies)
        for at in range(len(whole) - _KEY_PIECE + 1)
    }

    def hide(found: re.Match[str]) -> str:
        run = found.group()
        return "…" if any(run[at : at + _KEY_PIECE] in known for at in range(len(run) - _KEY_PIECE + 1)) else run

    return _BASE64.sub(hide, text) if known else text


def expand(path: str, environ: Mapping[str, str]) -> str:
    """`~` by the given environment's HOME, never by the process's."""
    if path == "~" or path.startswith("~/"):
        return environ.get("HOME", os.sep) + path[1:]
    return path


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "it is not UTF-8 text"
