"""Tell the program that uses the files that they changed: one command, no shell, a time limit, and little to know."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO, Final

from certbroker.errors import Missing, Rejected, Unavailable
from certbroker.secret import Secret, without_key

WORDS: Final = 300
"""How many characters of its last line we repeat."""

PASSED_ON: Final = ("HOME", "LANG", "LC_ALL", "PATH", "TZ", "USER", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
"""What it gets of our environment. The tokens in there are not its business."""


def run(
    command: Sequence[str], *, facts: Mapping[str, str], environ: Mapping[str, str], seconds: float, key: Secret | None
) -> None:
    """Run it to its end.

    Args:
        facts: what it is told, as environment variables.
        key: the private key it must not make us repeat.

    Raises:
        Missing: there is no such program. Rejected: it cannot be started.
        Unavailable: it failed or took too long; the next push tries again.
    """
    known = {name: environ[name] for name in PASSED_ON if name in environ}
    with tempfile.TemporaryFile() as said:  # a file: a daemon that it starts may hold a pipe open for ever
        try:
            process = subprocess.Popen(
                list(command),
                env={**known, **facts},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise Missing(
                f"the files are in place, but the reload command {command[0]} does not exist",
                hint="give its full path in reload",
            ) from None
        except OSError as error:
            raise Rejected(
                f"the files are in place, but the reload command {command[0]} cannot be started: {error.strerror}"
            ) from None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Unavailable(
                f"the files are in place, but the reload command {command[0]} took more than {seconds:g} seconds",
                hint="the next push runs it again; reload_seconds is its limit",
            ) from None
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            raise Unavailable(
                f"the files are in place, but the reload command {command[0]} ended with {how}{_last(said, key)}",
                hint="the next push runs it again",
            )


def _last(said: IO[bytes], key: Secret | None) -> str:
    """Its last line, without any part of the key."""
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - 4096))
    lines = [line for line in said.read().decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        return ""
    line = without_key(lines[-1], key.reveal()) if key is not None else lines[-1]
    last = "".join(character if character.isprintable() else " " for character in line)[:WORDS].strip()
    return f': "{last}"'
