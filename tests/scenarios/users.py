"""Users who shake hands with every edge all the time, and what they got."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from certbroker.model import Edge
from certbroker.names import probe_name
from certbroker.probe import Roots, Verdict, look
from certbroker.world import SystemClock
from tests.scenarios.town import Town
from tests.world import CountingNetwork


class _Watch(SystemClock):
    """The town's date; time-outs are counted on the machine's own clock, which nobody moves."""

    def __init__(self, place: Town) -> None:
        self._place = place

    def now(self) -> datetime:
        return self._place.clock.now()


PAUSE = 0.06
"""Seconds between two rounds."""


@dataclass
class Users:
    """`shaken` counts handshakes by edge; `bad` says which failed or got a certificate that users refuse."""

    place: Town
    addresses: Sequence[str]
    """May be changed at any time."""
    names: Sequence[str]
    shaken: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    rounds: int = 0

    def round(self) -> None:
        """One handshake with every edge, for one name after the other."""
        name = self.names[self.rounds % len(self.names)]
        self.rounds += 1
        for address in self.addresses:
            self._shake(address, name)

    def all(self) -> None:
        """A round for each name."""
        for _ in self.names:
            self.round()

    def _shake(self, address: str, name: str) -> None:
        (seen,) = look(
            Edge(address),
            name,
            roots=self._roots,
            network=CountingNetwork(),
            connect_to=self.place.house.connect_to,
            clock=_Watch(self.place),
        )
        self.shaken[address] += 1
        if seen.verdict is not Verdict.VALID:
            self.bad.append(f"{address} {probe_name(name)}: {seen.verdict.value} {seen.detail}")

    def __post_init__(self) -> None:
        self._roots = Roots.of(self.place.ca.roots_pem)


@contextmanager
def users(place: Town, addresses: Sequence[str], names: Sequence[str]) -> Iterator[Users]:
    """They go on until the block ends."""
    made = Users(place, addresses, names)
    made.all()
    stop = threading.Event()

    def go_on() -> None:
        while not stop.wait(PAUSE):
            made.round()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        thread.join()
        made.all()
