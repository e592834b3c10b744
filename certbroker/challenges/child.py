"""Run somebody else's program: own process group, a deadline, TERM and then KILL, only the environment we mean to give."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from certbroker.errors import Missing, Unavailable
from certbroker.secret import Secret

GRACE_SECONDS: Final = 3.0
"""Between TERM and KILL."""
MOST_OUTPUT: Final = 16_384
"""Bytes of each output that are looked at."""
QUOTED: Final = 300
"""Characters of a program's words that an error repeats."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finished:
    """How it ended. A negative code is the signal that ended it."""

    code: int
    out: str
    err: str

    def words(self, secrets: Iterable[Secret] = ()) -> str:
        """The last thing it said, on one line, without secrets."""
        return tidy(self.err.strip() or self.out.strip(), secrets)


def run(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, seconds: float, stdin: bytes = b"", what: str
) -> Finished:
    """Run it to its end.

    Raises:
        Missing: it cannot be started. Unavailable: it took longer than `seconds`, and was ended.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # files, not pipes: a grandchild that keeps a pipe open would keep us waiting
        given.write(stdin)
        given.seek(0)
        try:
            process = subprocess.Popen(
                list(argv), env=dict(env), cwd=cwd, stdin=given, stdout=out, stderr=err, start_new_session=True
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "its words cannot be passed on"
            raise Missing(f"{what} cannot be started: {reason}") from None
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{what} took more than {seconds:.0f} seconds and was ended") from None
        finally:
            _end(process)
        return Finished(code, _read(out), _read(err))


def tidy(text: str, secrets: Iterable[Secret] = ()) -> str:
    """One printable line, without these secrets and without anything that looks like a private key; its end, if it is long."""
    for secret in secrets:
        if len(secret.reveal()) > 3:
            text = text.replace(secret.reveal(), "…")
    line = _CONTROL.sub(" ", _PRIVATE_KEY.sub("…", text)).strip()
    return line if len(line) <= QUOTED else "…" + line[-QUOTED:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Whatever of the group still runs when the program itself does."""
    if process.poll() is not None:
        return
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_SECONDS)
            if sign is signal.SIGTERM:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # children that did not hear the TERM
            return


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(MOST_OUTPUT).decode("utf-8", "replace")
