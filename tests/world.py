"""A world that tests look into: captured output, a clock they move, a network that counts."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from pathlib import Path

from certbroker.world import Clock, Contact, World
from tests.clock import TestClock


class CountingNetwork:
    """Remembers every contact; `forbidden=True` refuses them."""

    def __init__(self, *, forbidden: bool = False) -> None:
        self.contacts: list[tuple[str, str]] = []
        self.forbidden = forbidden

    def contact(self, kind: Contact, address: str) -> None:
        self.contacts.append((kind, address))
        if self.forbidden:
            raise OSError(f"this world has no network, and {kind} {address} was asked for")


def make_world(
    home: Path,
    *,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
    network: CountingNetwork | None = None,
    seed: int = 1,
    stdin: str = "",
) -> World:
    """A world whose HOME, state and current folder are `home`. Read `world.stdout.getvalue()` after a run."""
    return World(
        clock=clock or TestClock(),
        random=random.Random(seed),
        environ={"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", **(environ or {})},
        network=network or CountingNetwork(),
        stdin=io.StringIO(stdin),
        stdout=io.StringIO(),
        stderr=io.StringIO(),
        cwd=home,
        host="broker-1",
        actor="tester",
    )
