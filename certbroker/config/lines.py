"""Where each key of a TOML text stands. tomllib keeps no positions, and a mistake without its line is half a message.

Reads only texts that tomllib has accepted, so it needs to know where things end, not whether they are right.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from collections.abc import Sequence
from typing import Final

Path = tuple[str | int, ...]

_GAP: Final = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?""""{0,2}' r"|'''.*?''''{0,2}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)
_OTHER: Final = re.compile(r"[^,\]}#\n]+")


class Lines:
    """Lines of keys, tables and list entries, by path: `("certificate", "main", "names", 0)`."""

    def __init__(self, text: str) -> None:
        """`text` is valid TOML with `\\n` line ends."""
        self._text = text
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.known: dict[Path, int] = {}
        """Every key, table and list entry, with its line."""
        self._lengths: dict[Path, int] = {}
        self._tables: dict[Path, dict[str, int]] | None = None
        self._scan()

    def at(self, path: Sequence[str | int]) -> int | None:
        """The line of `path`, or of the nearest thing around it that the file names; None if there is none."""
        for length in range(len(path), 0, -1):
            line = self.known.get(tuple(path[:length]))
            if line is not None:
                return line
        return None

    def below(self, path: tuple[str, str]) -> dict[str, int]:
        """The lines of everything inside a table `[kind.NAME]`, by dotted path from there."""
        if self._tables is None:
            self._tables = {}
            for known, line in self.known.items():
                if len(known) > 2:
                    self._tables.setdefault(known[:2], {})[".".join(map(str, known[2:]))] = line
        return self._tables.get(path, {})

    def _line(self, position: int) -> int:
        return bisect.bisect_right(self._starts, position)

    def _scan(self) -> None:
        text = self._text
        table: Path = ()
        position = self._gap(0)
        while position < len(text):
            if text.startswith("[[", position):
                keys, end = self._keys(position + 2)
                table = self._header(keys, position, entry=True)
                position = end + 2
            elif text[position] == "[":
                keys, end = self._keys(position + 1)
                table = self._header(keys, position, entry=False)
                position = end + 1
            else:
                position = self._pair(position, table)
            position = self._gap(position)

    def _header(self, keys: list[str], position: int, *, entry: bool) -> Path:
        """Note a table's header. A key that names a list of tables means its last entry (TOML 1.0, array of tables)."""
        line = self._line(position)
        path: Path = ()
        for number, key in enumerate(keys, start=1):
            path = (*path, key)
            last = number == len(keys)
            if last and not entry:
                self.known[path] = line
            else:
                self.known.setdefault(path, line)
            if last and entry:
                self._lengths[path] = self._lengths.get(path, 0) + 1
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
                self.known.setdefault(path, line)
        return path

    def _pair(self, position: int, table: Path) -> int:
        line = self._line(position)
        keys, end = self._keys(position)
        path = table
        for key in keys:
            path = (*path, key)
            self.known.setdefault(path, line)
        return self._value(_SPACE.match(self._text, end + 1).end(), path)  # type: ignore[union-attr]  # matches ""

    def _keys(self, position: int) -> tuple[list[str], int]:
        """A dotted key from `position`, and where the sign after it stands (`=` or `]`)."""
        text, keys = self._text, []
        while True:
            position = _SPACE.match(text, position).end()  # type: ignore[union-attr]  # matches ""
            bare = _BARE.match(text, position)
            if bare is not None:
                keys.append(bare.group())
                position = bare.end()
            else:
                end = self._string(position)
                raw = text[position:end]
                keys.append(tomllib.loads(f"key = {raw}")["key"] if "\\" in raw else raw[1:-1])
                position = end
            position = _SPACE.match(text, position).end()  # type: ignore[union-attr]  # matches ""
            if text[position] != ".":
                return keys, position
            position += 1

    def _value(self, position: int, path: Path) -> int:
        sign = self._text[position]
        if sign == "[":
            return self._list(position, path)
        if sign == "{":
            return self._inline(position, path)
        if sign in "\"'":
            return self._string(position)
        return _OTHER.match(self._text, position).end()  # type: ignore[union-attr]  # a value is never empty

    def _list(self, position: int, path: Path) -> int:
        position = self._gap(position + 1)
        number = 0
        while self._text[position] != "]":
            entry = (*path, number)
            self.known[entry] = self._line(position)
            position = self._gap(self._value(position, entry))
            if self._text[position] == ",":
                position = self._gap(position + 1)
            number += 1
        return position + 1

    def _inline(self, position: int, path: Path) -> int:
        position = self._gap(position + 1)
        while self._text[position] != "}":
            position = self._gap(self._pair(position, path))
            if self._text[position] == ",":
                position = self._gap(position + 1)
        return position + 1

    def _string(self, position: int) -> int:
        return _STRING.match(self._text, position).end()  # type: ignore[union-attr]  # tomllib has accepted it

    def _gap(self, position: int) -> int:
        return _GAP.match(self._text, position).end()  # type: ignore[union-attr]  # matches ""
