"""What was told while the store could not keep it: a file of fixed length, made while all is well and overwritten in place.

A disk that is full refuses new blocks, not those that a file has already; a database that is away has no say in it at all.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from certbroker.standing import First
from certbroker.store import AlertRow

SIZE: Final = 16_384
"""Bytes of the file, whatever is in it: some forty messages."""

MOST_WORDS: Final = 200
"""Characters that are kept of what happened."""


@dataclass(frozen=True, slots=True)
class Kept:
    """`since`: when the store first refused; None: it does not. `first`: what needs it first, as it was known before that.

    `told` and `over` are what the store is told of once it listens again.
    """

    since: datetime | None = None
    first: First | None = None
    told: tuple[AlertRow, ...] = ()
    over: tuple[tuple[str, str], ...] = ()
    """Key and way of what was told to be over."""

    def telling(self, row: AlertRow) -> Kept:
        """With that row, in the place of the one before."""
        place = row.key, row.way
        told = [each for each in self.told if (each.key, each.way) != place]
        what = row.what[:MOST_WORDS].encode("utf-8", "replace").decode()
        return replace(self, told=(*told, replace(row, what=what)), over=_without(self.over, place))

    def ending(self, key: str, way: str) -> Kept:
        """Without the row of what was told to be over."""
        told = tuple(each for each in self.told if (each.key, each.way) != (key, way))
        return replace(self, told=told, over=(*_without(self.over, (key, way)), (key, way)))

    def laid_over(self, rows: Iterable[AlertRow]) -> list[AlertRow]:
        """What the store knows was told, and what was told since."""
        mine = {(each.key, each.way) for each in self.told} | set(self.over)
        return [*(row for row in rows if (row.key, row.way) not in mine), *self.told]


_KEPT: Final = TypeAdapter(Kept)


class Spare:
    """The file at `path`. Nothing here raises: what cannot be read was never kept, and what cannot be kept is said."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Kept:
        try:
            return _KEPT.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):  # none, or cut off in the middle of a write
            return Kept()

    def holds(self, kept: Kept) -> bool:
        """Whether there is room for it."""
        return len(_KEPT.dump_json(kept)) <= SIZE

    def prepare(self, kept: Kept) -> bool:
        """`write`, where the folder may be made: while all is well."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return False
        return self.write(kept)

    def write(self, kept: Kept) -> bool:
        """Keep it, if it is not kept already. False: it could not be."""
        text = _KEPT.dump_json(kept)
        if len(text) > SIZE:
            return False
        try:
            if self._path.exists() and self._path.read_bytes() == text.ljust(SIZE):
                return True
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                os.pwrite(file, text.ljust(SIZE), 0)
                os.fsync(file)
            finally:
                os.close(file)
        except OSError:
            return False
        return True


def _without(places: Collection[tuple[str, str]], place: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(each for each in places if each != place)
