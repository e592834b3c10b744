"""What a database says when it refuses, in our words and with what to do. Never a driver's traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from certbroker.errors import StoreError

_SQLITE: Final = {
    "SQLITE_BUSY": ("is locked by another process", "wait for it to end, or look for one that hangs"),
    "SQLITE_LOCKED": ("is locked by another process", "wait for it to end, or look for one that hangs"),
    "SQLITE_READONLY": ("may not be written", "look at the owner and mode of the file and its folder"),
    "SQLITE_PERM": ("may not be opened", "look at the owner and mode of the file and its folder"),
    "SQLITE_AUTH": ("may not be opened", "look at the owner and mode of the file and its folder"),
    "SQLITE_CANTOPEN": ("cannot be opened", "look at the owner and mode of the file and its folder"),
    "SQLITE_FULL": ("cannot grow: the disk is full", "make room; what it held before, it still holds"),
    "SQLITE_IOERR": ("cannot be read or written", "look whether the disk is full or broken"),
    "SQLITE_NOTADB": ("is not a database", "name another file, or put a backup back: certbroker restore FILE"),
    "SQLITE_CORRUPT": ("is damaged", "keep a copy of the file, then put a backup back: certbroker restore FILE"),
}
"""By the name of SQLite's primary result code (https://sqlite.org/rescode.html)."""

_POSTGRES: Final = {
    "53100": ("cannot grow: the disk is full", "make room on the database's host"),
    "53300": ("takes no more connections", "raise max_connections, or run fewer workers"),
    "25006": ("may not be written", "this server only follows another; name the one that leads"),
    "42501": ("may not be used by this user", "grant it the rights on the database's schema"),
    "28P01": ("refused the password", "look at the address in [store] url"),
    "28000": ("refused this user", "look at the address in [store] url"),
    "3D000": ("does not exist", "create the database: createdb NAME"),
    "55P03": ("is locked by another process", "wait for it to end, or look for one that hangs"),
    "57014": ("was too slow and gave up", "look at the load of the database's host"),
    "57P03": ("is starting or stopping", "try again in a moment"),
    "40P01": ("is locked by another process", "try again"),
    "40001": ("was changed by another process meanwhile", "try again"),
}
"""By SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""

_PASSING: Final = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED", "53300", "55P03", "57014", "57P03", "40P01", "40001"})
"""What is over by itself as often as not."""


_ABOUT_A_DISK: Final = frozenset({"SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR"})
"""What SQLite also says where it could not make one of its helping files: then the disk itself knows better."""


@contextmanager
def refusals(url: str, file: Path | None = None) -> Iterator[None]:
    """Turn what the database raises into StoreError. `url` is shown and must not hold a password; `file`: where SQLite keeps it."""
    try:
        yield
    except DBAPIError as error:
        raise explain(url, error, file) from None
    except SQLAlchemyError as error:
        raise StoreError(f"the store {url} cannot be used: {type(error).__name__}") from None


def explain(url: str, error: DBAPIError, file: Path | None = None) -> StoreError:
    """The sentence for one refusal."""
    cause = error.orig
    code = getattr(cause, "sqlite_errorname", None)
    if isinstance(code, str):
        primary = "_".join(code.split("_")[:2])
        if primary in _SQLITE:
            what, hint = (_disk(file) if file and primary in _ABOUT_A_DISK else None) or _SQLITE[primary]
            return StoreError(f"the store {url} {what}", hint=hint, retryable=primary in _PASSING)
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str) and state in _POSTGRES:
        what, hint = _POSTGRES[state]
        return StoreError(f"the store {url} {what}", hint=hint, retryable=state in _PASSING)
    if error.connection_invalidated or type(cause).__name__ == "OperationalError":
        return StoreError(
            f"the store {url} cannot be reached: {_first_line(cause)}",
            hint="is it running, and is the address right?",
            retryable=True,
        )
    return StoreError(f"the store {url} refused: {type(cause).__name__}: {_first_line(cause)}")


def _disk(file: Path) -> tuple[str, str] | None:
    """What is wrong with the disk that it lies on, if that is seen."""
    try:
        disk = os.statvfs(file.parent)
    except OSError:
        return None
    if disk.f_flag & os.ST_RDONLY:
        return (
            "may not be written: its disk is mounted read-only",
            "see why in the kernel's log, and mount it for writing",
        )
    if not disk.f_bavail:
        return "can be used no more: the disk is full", "make room; what it held before, it still holds"
    return None


def _first_line(cause: BaseException | None) -> str:
    """A driver's later lines may quote whole rows."""
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__)
