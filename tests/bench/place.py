"""Where the clients are measured: a fresh Pebble at the end of a long way, and a BIND that holds the zone beside them.

Not Knot: its 3.2 (`zone_events_schedule_at` in events.c) plans in whole seconds and looks at its timer only if the next moment
is another one. A second after an update it means to notify; an update that comes in that same second of the clock waits for
that timer, up to 0.9 s, so that equal runs took 1.3 or 1.9 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.bench.proxy import Way, long_way
from tests.bench.resolver import slow_resolver
from tests.servers.bind import Bind, bind
from tests.servers.pebble import pebble

ZONE: Final = "example.com"

CALM: Final = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
"""No naps, no refused nonces, no proofs of an earlier order: the same work for everybody."""


@dataclass(frozen=True)
class Place:
    """A running one."""

    directory: str
    """The CA's, over the long way."""
    ca_bundle: Path
    roots: str
    zone: Bind
    _way: Way
    _log: Path

    def asked(self) -> int:
        """How many requests the CA has had so far, by its own log."""
        return self._log.read_text(errors="replace").count("-> calling handler()")

    def looks(self) -> int:
        """How many of them were looks at an order: poll ticks."""
        return self._log.read_text(errors="replace").count("POST /my-order/")

    def connections(self) -> int:
        """How many connections went the long way so far."""
        return self._way.connections


@contextmanager
def place(program: str, folder: Path, *, validator_seconds: float = 0.0) -> Iterator[Place]:
    """A fresh one: Pebble's newOrder looks at every authorization that it ever made, so it slows down as it ages.

    Args:
        program: Pebble.
        validator_seconds: how long each look-up of the CA's validator takes; the clients' own do not.
    """
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        zone = stack.enter_context(bind(folder / "bind", ZONE))
        resolver = zone.address
        if validator_seconds:
            resolver = stack.enter_context(slow_resolver(zone.host, zone.port, seconds=validator_seconds))
        server = stack.enter_context(pebble(program, folder / "pebble", resolver, environ=CALM))
        way = stack.enter_context(long_way(urlsplit(server.directory).port or 0))
        yield Place(
            f"https://127.0.0.1:{way.port}/dir",
            server.ca_bundle,
            server.root(),
            zone,
            way,
            folder / "pebble/pebble.log",
        )
