"""http-01 by a file in the folder that a web server of yours serves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from certbroker.challenges.http_solver import FOLDER
from certbroker.challenges.solver import SolverContext
from certbroker.errors import CredentialsRejected, Missing, Rejected, Unavailable
from certbroker.model import Standing
from certbroker.secret import expand

READABLE = 0o644
ENTERABLE = 0o755
"""Whatever the umask is: the server runs as another user, and what is in there is for the whole world."""


class WebrootSettings(BaseModel):
    """`[solver.NAME]` with `type = "webroot"`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    folder: str = Field(
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="the folder that is served as / at port 80 of the names; relative to the configuration file",
    )


class WebrootSolver:
    """One folder. It makes `.well-known/acme-challenge` below it where that is missing, and leaves it there."""

    settings: ClassVar[type[BaseModel]] = WebrootSettings
    puts: ClassVar[Literal["http"]] = "http"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def open(cls, settings: WebrootSettings, context: SolverContext) -> Self:
        return cls(context.cwd / expand(settings.folder, context.environ))

    def present(self, name: str, token: str, key_authorization: str) -> str:
        path = self._folder / FOLDER / token
        with _said_of(path):
            self._must_be_there()
            self._make_folders()
            if path.exists() and path.read_text("ascii", "replace") != key_authorization:
                raise Rejected(f"{path} is there already, with another's answer")
            beside = _beside(path)
            beside.unlink(missing_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READABLE), "w") as file:
                file.write(key_authorization)
            beside.chmod(READABLE)
            beside.replace(path)  # whole, or not there
        return str(path)

    def clean_up(self, name: str, token: str, key_authorization: str, handle: str | None) -> None:
        path = self._folder / FOLDER / token
        with _said_of(path):
            _beside(path).unlink(missing_ok=True)
            if path.is_file() and path.read_text("ascii", "replace") == key_authorization:
                path.unlink()

    def check(self, *, write: bool = False) -> Standing:
        self._must_be_there()
        at = self._folder / FOLDER
        there = next(path for path in (at, *at.parents) if path.exists())
        if not there.is_dir():
            raise Missing(f"{there} is not a folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise CredentialsRejected(
                f"{there} cannot be written by this user", hint="give it to the user that runs certbroker"
            )
        return Standing(name=f"folder {self._folder}", reach=f"may write to {there}")

    def _make_folders(self) -> None:
        for folder in (path := self._folder / FOLDER).parent, path:
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)  # answers for several names are put there at once
                folder.chmod(ENTERABLE)

    def _must_be_there(self) -> None:
        """A folder that we would have to make is none that a server serves."""
        if not self._folder.is_dir():
            raise Missing(f"{self._folder} is not a folder", hint="name the folder that the web server serves as /")


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise CredentialsRejected(
            f"{path} cannot be written by this user", hint="give the folder to the user that runs certbroker"
        ) from None
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror or type(error).__name__}") from None
