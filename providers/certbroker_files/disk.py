"""What we do to a disk, one method per call. Each either happens whole or leaves nothing behind under the name it was given.

The provider decides, the disk obeys; a test hands in a disk that breaks.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certbroker.errors import ProviderError, Rejected, Unavailable

_PASSES: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBUSY, errno.EMFILE, errno.ENFILE, errno.ESTALE)
"""What may be better at the next run."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Who may read. `mode` is of files; a folder may be entered by whom may read."""

    mode: int = 0o600
    owner: str | None = None
    group: str | None = None

    @property
    def folder_mode(self) -> int:
        return self.mode | 0o700 | ((self.mode & 0o044) >> 2)


class Disk:
    """The machine's own. Every method raises OSError and nothing else."""

    def make_folder(self, path: Path, rights: Rights) -> None:
        """Make it, and the folders above it as the umask says. Fine if it is there: then its rights are its owner's business."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(0o700)
        except FileExistsError as error:
            if not path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(error.filename)) from None
            return
        self._give(path, rights, rights.folder_mode)

    def write(self, path: Path, content: bytes, rights: Rights) -> None:
        """A new file, on the disk before this returns; nobody but us can read it before it has its rights."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self._give(path, rights, rights.mode)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def link(self, path: Path, target: str) -> None:
        """A symbolic link at `path`; anything there is in the way."""
        path.symlink_to(target)

    def rename(self, old: Path, new: Path) -> None:
        """In one instant, over a file or link that may be at `new`. On the disk once the folder is settled."""
        old.replace(new)

    def settle(self, folder: Path) -> None:
        """The names in it are on the disk before this returns: once for many, for it is the slowest thing a disk does."""
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def remove(self, path: Path) -> None:
        """A file or link, or a folder with what is in it. Fine if it is not there."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def _give(self, path: Path, rights: Rights, mode: int) -> None:
        try:
            if rights.owner is not None and rights.group is not None:
                shutil.chown(path, rights.owner, rights.group)
            elif rights.owner is not None:
                shutil.chown(path, rights.owner)
        except LookupError as error:
            raise OSError(errno.EINVAL, str(error.args[0]), str(path)) from None
        path.chmod(mode)


def refusal(error: OSError, folder: Path) -> ProviderError:
    """What a disk says, as one of our errors: with the path and what to do."""
    place = error.filename if isinstance(error.filename, str) else str(folder)
    what = f"{place}: {(error.strerror or type(error).__name__).lower()}"
    if error.errno in _PASSES:
        hint = "make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        return Unavailable(what, hint=hint)
    hints = {
        errno.EROFS: "the file system is mounted read-only; a systemd service needs ReadWritePaths= for this folder",
        errno.EACCES: "the user that runs certbroker must be able to write there",
        errno.EPERM: "only root may give files to another user; run as root or leave owner out",
        errno.EINVAL: "owner is USER or USER:GROUP of this machine",
        errno.ENOTDIR: "folder must be a folder, and everything above it too",
    }
    return Rejected(what, hint=hints.get(error.errno or 0))
