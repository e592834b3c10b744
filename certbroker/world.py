"""What a run may touch of the outside: clock, chance, environment, network, terminal. The seam for tests.

`main(argv, world)` is handed one `World`; nothing below it reads `datetime.now()`, `os.environ` or `sys.stdout`.
"""

from __future__ import annotations

import getpass
import os
import random
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol, TextIO


class Clock(Protocol):
    """Time. `now` may jump (people set clocks); waiting and deadlines count in `monotonic` seconds."""

    def now(self) -> datetime:
        """The time of day: aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


Contact = Literal["http", "dns", "tls", "smtp"]
"""In which language the outside is spoken to."""


class Network(Protocol):
    """Every contact with the outside is announced here first, so that a world can count, log or forbid it."""

    def contact(self, kind: Contact, address: str) -> None:
        """About to reach `address` ("host:port" or a URL's origin). Raises OSError to forbid it."""
        ...


class SystemNetwork:
    """The machine's own: everything is allowed."""

    def contact(self, kind: Contact, address: str) -> None:
        return None


@dataclass(frozen=True, slots=True)
class World:
    """One world. `cwd` and `environ["HOME"]` anchor relative paths and `~`; `actor` is who runs this, for the history."""

    clock: Clock
    random: random.Random
    environ: Mapping[str, str]
    network: Network
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    cwd: Path
    host: str
    actor: str

    @property
    def interactive(self) -> bool:
        """Both ends are a terminal: a person can be asked."""
        return self.stdin.isatty() and self.stdout.isatty()


def system_world() -> World:
    """The world of a real process."""
    try:
        actor = getpass.getuser()
    except (OSError, KeyError):  # no passwd entry: a bare container
        actor = str(os.getuid())
    return World(
        clock=SystemClock(),
        random=random.SystemRandom(),
        environ=os.environ,
        network=SystemNetwork(),
        stdin=sys.stdin,
        stdout=sys.stdout,
        stderr=sys.stderr,
        cwd=Path.cwd(),
        host=socket.gethostname(),
        actor=actor,
    )
