"""Answers to a CA's http-01 question (RFC 8555 section 8.3), as files in the folder that the same server serves."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from certbroker.errors import Missing, Rejected
from certbroker_files.disk import Disk, Rights

FOLDER: Final = ".well-known/acme-challenge"
FOR_ALL: Final = Rights(0o644)
"""The answer is for the whole world; the server may run as anybody."""


class Answers:
    """The answers below one webroot. Raises OSError, Missing or Rejected."""

    def __init__(self, webroot: Path, disk: Disk) -> None:
        self.webroot = webroot
        self._disk = disk

    def check(self) -> None:
        """A folder that would have to be made is none that a server serves."""
        if not self.webroot.is_dir():
            raise Missing(f"{self.webroot} is not a folder", hint="webroot is the folder that the server serves as /")

    def write(self, token: str, answer: str) -> None:
        """Whole, or not there."""
        self.check()
        path = self.webroot / FOLDER / token
        if path.exists():
            if path.read_bytes() == answer.encode():
                return
            raise Rejected(f"{path} is there already, with another's answer")
        for folder in (path.parent.parent, path.parent):
            self._disk.make_folder(folder, FOR_ALL)
        beside = _beside(path)
        if beside.exists():
            self._disk.remove(beside)
        self._disk.write(beside, answer.encode(), FOR_ALL)
        self._disk.rename(beside, path)

    def remove(self, token: str, answer: str) -> None:
        """Ours alone, and what a run that was cut left beside it."""
        path = self.webroot / FOLDER / token
        if _beside(path).exists():
            self._disk.remove(_beside(path))
        if path.is_file() and path.read_bytes() == answer.encode():
            self._disk.remove(path)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")
