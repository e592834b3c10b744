"""The solver contract: who can put a TXT value where the CA looks. Small enough to read aloud.

TXT values are a *set* on a name. A solver adds one value and removes that one value; what others wrote there stays. It
raises only `ProviderError`s, neither retries nor waits for DNS, and must not need its own memory: after a crash it is
handed what the journal knows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, Self, runtime_checkable
from urllib.parse import urlsplit

from certbroker.errors import Rejected, Unavailable
from certbroker.model import Standing
from certbroker.provider import OpenSession
from certbroker.secret import Secret, SecretRef
from certbroker.world import Clock, Network

if TYPE_CHECKING:
    from pydantic import BaseModel

    from certbroker.challenges.lookup import Lookup
    from certbroker.config import Puts

ADOPTED: Final = "adopted"
"""A handle that begins so says: the value stood there before us, so it is not ours to remove."""

TTL: Final = 60
"""Seconds for every TXT we write: the shortest that all services take."""


@dataclass(frozen=True, slots=True)
class SolverContext:
    """What a solver is handed besides its settings."""

    name: str
    """The solver's name in the file."""
    zones: tuple[str, ...]
    """The zones the file names for it; empty: it finds out."""
    nameservers: tuple[str, ...]
    """ "host:port" of the servers to ask in the place of the zone's NS; empty: the NS."""
    session: OpenSession
    resolve: Callable[[SecretRef], Secret]
    lookup: Lookup
    clock: Clock
    random: random.Random
    environ: Mapping[str, str]
    network: Network
    cwd: Path
    """Where relative paths begin: the folder of the file."""
    deadline: float
    """`clock.monotonic()` seconds after which nothing is started any more."""
    provider: Callable[[str], object] = lambda target: None
    """The opened provider of a target in the file; None if there is none of that name."""

    def seconds(self, most: float, service: str) -> float:
        """How long a call may take: `most`, or what is left. Raises Unavailable at the deadline."""
        left = self.deadline - self.clock.monotonic()
        if left <= 0:
            raise Unavailable(f"no time left to ask {service}", hint="the next run goes on from here")
        return min(most, left)


class Solver(Protocol):
    """One configured `[solver.NAME]`. Thread-safe; one run, one instance."""

    puts: ClassVar[Puts]
    """ "txt"."""
    settings: ClassVar[type[BaseModel]]
    """Its own settings model; the core validates the table `[solver.NAME]` (its own keys taken out) with it."""
    walks: ClassVar[bool]
    """It knows no zones of its own and takes the one that the SOA walk finds: asked last."""

    @classmethod
    def open(cls, settings: Any, context: SolverContext) -> Self:
        """Make the instance. No network, no secret is resolved here."""
        ...

    def zone_for(self, name: str) -> str | None:
        """The zone of this service that holds `name`; None: not mine."""
        ...

    def present(self, zone: str, name: str, value: str) -> str:
        """Add one TXT value at `name` (full name, no final dot). Twice equals once.

        Returns a handle for the journal, handed back to `clean_up`; it begins with ADOPTED if the value was there.
        """
        ...

    def clean_up(self, zone: str, name: str, value: str, handle: str | None) -> None:
        """Remove that value and nothing else. Already gone is fine; `handle` is None when the journal has none."""
        ...

    def check(self, *, write: bool = False) -> Standing:
        """Who we are and what we may do; changes nothing unless `write`, which adds and removes a TXT of its own."""
        ...


@runtime_checkable
class Bundles(Protocol):
    """A service that takes many values of a zone in one call: all of them, or none and a ProviderError."""

    def present_all(self, zone: str, values: Sequence[tuple[str, str]]) -> str:
        """As `present`, for (name, value) each, with one handle for all. Twice equals once."""
        ...

    def clean_up_all(self, zone: str, values: Sequence[tuple[str, str]]) -> None:
        """As `clean_up`. Already gone is fine."""
        ...


@runtime_checkable
class Spreads(Protocol):
    """A service that tells whether all its own name servers have a record."""

    def spread(self, zone: str, handle: str) -> bool | None:
        """None: it does not know."""
        ...


@dataclass(frozen=True, slots=True)
class Alias:
    """A CNAME as it stands. `target` is without the final dot, `ttl` in seconds."""

    target: str
    ttl: int


@runtime_checkable
class Lends(Protocol):
    """A solver that can take a CNAME away and put it back as it was."""

    def alias(self, zone: str, name: str) -> Alias | None:
        """The one that stands at `name`, by the service's own word."""
        ...

    def take_away(self, zone: str, name: str, alias: Alias) -> None:
        """Delete that CNAME and nothing else. Already gone is fine; one to another target is not ours, and Rejected."""
        ...

    def put_back(self, zone: str, name: str, alias: Alias) -> None:
        """Let it stand again. Already there is fine; Rejected if something else stands there."""
        ...


def relative(name: str, zone: str) -> str:
    """`name` without its zone; "" at the apex. Raises Rejected if it is not in the zone."""
    if name == zone:
        return ""
    if not name.endswith("." + zone):
        raise Rejected(f"{name} is not in the zone {zone}")
    return name[: -len(zone) - 1]


def safe_url(value: str) -> str:
    """Without final slash. Raises ValueError unless it is https, or http on this very machine: it carries a token."""
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError:
        raise ValueError("must be a URL") from None
    here = host == "localhost" or host.startswith("127.") or host == "::1"
    if not host or parts.username or parts.query or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        raise ValueError("must be an https URL (http only on this machine), without user, password or query")
    return value.rstrip("/")


def try_writing(solver: Solver, zone: str, chance: random.Random) -> str:
    """Add and remove a TXT under a name of our own; what was tried, in words. Raises ProviderError."""
    name = f"_certbroker-check.{zone}"
    value = f"certbroker-check-{chance.getrandbits(64):016x}"
    handle = solver.present(zone, name, value)
    solver.clean_up(zone, name, value, handle)
    return f"wrote and removed a TXT at {name}"
