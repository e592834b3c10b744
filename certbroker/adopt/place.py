"""A file or folder that a person named: shown as it was typed, read with care."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from certbroker.errors import BadMaterial

MOST_BYTES: Final = 1_000_000
"""No certificate with its key is nearly as large."""


@dataclass(frozen=True, slots=True)
class Place:
    """`shown` is for people, `path` for the system."""

    shown: str
    path: Path

    def __truediv__(self, name: str) -> Self:
        return type(self)(f"{self.shown.rstrip('/')}/{name}", self.path / name)

    @property
    def is_folder(self) -> bool:
        """Raises BadMaterial if nobody can tell."""
        with self._reading():
            return self.path.is_dir()

    @property
    def is_file(self) -> bool:
        """Raises BadMaterial if nobody can tell."""
        with self._reading():
            return self.path.is_file()

    def inside(self) -> list[Self]:
        """What is in a folder, by name. Raises BadMaterial."""
        with self._reading():
            return [self / name for name in sorted(each.name for each in self.path.iterdir())]

    def read(self) -> bytes:
        """Raises BadMaterial."""
        with self._reading(), self.path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise BadMaterial(f"{self.shown} is far too large for a certificate and its key")
        return content

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except PermissionError:
            hint = "run it as a user who may read it, or copy it to where you may"
            raise BadMaterial(f"{self.shown} cannot be read: permission denied", hint=hint) from None
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL
            why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no path"
            raise BadMaterial(f"{self.shown} cannot be read: {why.lower()}") from None
