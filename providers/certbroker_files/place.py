"""The folder of one certificate, and what lies in it. Reads only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certbroker.errors import Rejected
from certbroker.model import LABEL, Assignment
from certbroker.provider import Context
from certbroker.secret import expand

INSIDE: Final = ".certbroker"
MARK: Final = "certbroker.json"
DUE: Final = "reload-due"
"""Stands from before the switch until the reload command has succeeded."""

PARTS: Final = ("fullchain", "privkey", "cert", "chain")
VERSION: Final = re.compile(r"[a-z0-9]+-[0-9a-f]{12}")
"""What a version's folder is called: the store's id (or "foreign") and the fingerprint."""


def folder_for(written: str, certificate: str, context: Context) -> Path:
    """Where the files of that certificate go. The one place where a certificate's name becomes part of a path.

    Raises:
        Rejected: the name could lead elsewhere or is no file name.
    """
    if not LABEL.fullmatch(certificate):
        raise Rejected(f"the certificate's name {certificate!r} cannot be part of a path")
    return anchored(written.replace("{certificate}", certificate), context)


def anchored(written: str, context: Context) -> Path:
    """`~` is the HOME of this run; relative is to the configuration file."""
    return context.cwd / expand(written, context.environ)


@dataclass(frozen=True, slots=True)
class Mark:
    """What certbroker.json in a version's folder says: who wrote what."""

    store: str
    certificate: str
    fingerprint: str

    def is_of(self, store: str, assignment: Assignment) -> bool:
        return self.store == store and self.certificate == assignment.certificate


@dataclass(frozen=True, slots=True)
class Place:
    """`names` is what the four files are called, by part. Everything raises OSError if it may not be read."""

    folder: Path
    names: Mapping[str, str]

    @property
    def inside(self) -> Path:
        return self.folder / INSIDE

    @property
    def current(self) -> Path:
        """The link that is switched."""
        return self.inside / "current"

    def path(self, part: str) -> Path:
        """Where a server reads that part."""
        return self.folder / self.names[part]

    def target(self, part: str) -> str:
        """Where the link there leads."""
        return f"{INSIDE}/current/{part}.pem"

    def linked(self, *parts: str) -> bool:
        """Whether the files that servers read (all of them, unless some are named) are our links."""
        return all(
            self.path(part).is_symlink() and str(self.path(part).readlink()) == self.target(part)
            for part in parts or PARTS
        )

    def read(self, part: str) -> bytes | None:
        """What a server would read; None if nothing is there."""
        try:
            return self.path(part).read_bytes()
        except FileNotFoundError:
            return None

    def bound(self) -> str | None:
        """The version that is served through our links."""
        return str(self.current.readlink()) if self.current.is_symlink() else None

    def mark(self, version: str) -> Mark | None:
        """Who wrote that version; None if it is not there or nobody of us."""
        try:
            found = json.loads((self.inside / version / MARK).read_bytes())
            return Mark(str(found["store"]), str(found["certificate"]), str(found["fingerprint"]))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
            return None

    def versions(self) -> list[str]:
        """What lies beside `current`: versions, copies of what was there before us, and what a cut run left."""
        if not self.inside.is_dir():
            return []
        return sorted(path.name for path in self.inside.iterdir() if path.name not in ("current", DUE))
