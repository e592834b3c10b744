"""What a simulator offers so that it can live in the embedded world of `certbroker demo` and `certbroker sandbox`.

A simulator found through the entry points `certbroker.simulators` is asked for this; the sandbox knows no platform by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Protocol, Self

from certbroker.secret import Secret
from certbroker.testkit.simulator import Fault, Request, Response

Pair = tuple[str, Secret]
"""A chain as PEM, leaf first, and its key."""


@dataclass(frozen=True, slots=True)
class House:
    """What the embedded world offers a simulator."""

    clock: Callable[[], datetime]
    random: Random
    lookup: Callable[[str, str], Sequence[str]]
    """What the world's DNS says: (name, record type) -> values as text."""
    managed: Callable[[str], Pair]
    """A certificate as a platform issues it by itself, for a name."""


class Embedded(Protocol):
    """A simulator in the embedded world: a server application that also says which edges serve what."""

    faults: list[Fault]
    on_change: Callable[[], None] | None
    """Called after something that edges serve may have changed."""

    @classmethod
    def embed(cls, house: House) -> Self: ...

    def tables(self, url: str) -> str:
        """The `[target.NAME]` tables that reach it at `url`, as TOML. Secrets are named as environment variables."""
        ...

    @property
    def secrets(self) -> Mapping[str, str]:
        """Those variables: what a person would have put into the environment."""
        ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses (documentation ranges) its edges pretend to have."""
        ...

    def serving_at(self, address: str) -> Mapping[str, Pair]:
        """What the edge at that address serves, by DNS name."""
        ...

    def handle(self, request: Request) -> Response: ...
