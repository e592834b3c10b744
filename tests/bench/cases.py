"""What is measured by every client in turns, and the bars that certbroker keeps: beside each of them, and by itself."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.peers import TOOLS, Bound, Certbot, Certbroker, Client, Lego, certbot_program, lego_program
from tests.bench.place import ZONE, Place, place
from tests.bench.results import Result, Run, medians
from tests.bench.standing import CertbotStanding, CertbrokerStanding, Standing
from tests.bench.stopwatch import Spent

Tell = Callable[[str], None]

OWN: Final = "certbroker"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table for each client."""

    words: str
    certificates: int
    rounds: int
    bars: Mapping[str, float] = field(default_factory=dict)
    """At most so many times that client's wall."""
    most_mb: int | None = None
    """Peak memory that is enough, in MB."""
    peers_make: int | None = None
    """Peers look at one certificate after the other: so many of them are measured, and all but their memory is scaled."""
    new_pebble: bool = False
    """It needs what Debian's has not: renewal information."""

    @property
    @abstractmethod
    def most_requests(self) -> int:
        """So many of ours are enough, poll ticks apart."""

    @abstractmethod
    def measure(self, pebble: Path, folder: Path, *, rounds: int, tell: Tell) -> list[Result]:
        """All clients in turns at one fresh CA."""

    def count(self, who: str) -> int:
        return self.peers_make if self.peers_make and who in ("certbot", "lego") else self.certificates

    def missed(self, results: list[Result]) -> Iterator[str]:
        """The bars that were missed, in words."""
        own = next(result for result in results if result.client == OWN)
        for result in results:
            bar = self.bars.get(result.client)
            if bar is not None and own.wall > bar * result.wall:
                yield f"{own.wall / result.wall:.3f} times {result.client}, at most {bar}"
        if self.most_mb is not None and own.peak_mb > self.most_mb:
            yield f"{own.peak_mb:.0f} MB, at most {self.most_mb}"
        asked = own.run.requests - own.run.looks
        if asked > self.most_requests:
            yield f"{asked:.0f} requests besides poll ticks, at most {self.most_requests}"
        ticks = self.certificates * most_ticks(own.wall)
        if own.run.looks > ticks:
            yield f"{own.run.looks:.0f} poll ticks, at most {ticks:.0f}"


def most_ticks(seconds: float) -> float:
    """For the two waits of an order that together took no longer than this: each at most 2 + log2(wait / 0.25 s)."""
    return 2 * (2 + math.log2(max(seconds / 2 / 0.25, 1)))


@contextmanager
def counted(at: Place, runs: dict[str, list[Run]], who: str) -> Iterator[list[Spent]]:
    """What the CA heard meanwhile, written down with the one `Spent` that is put into the list."""
    asked, looks, connections = at.asked(), at.looks(), at.connections()
    put: list[Spent] = []
    yield put
    run = Run(put[0], at.asked() - asked, at.looks() - looks, at.connections() - connections)
    runs.setdefault(who, []).append(run)


@dataclass(frozen=True, kw_only=True)
class Issuance(Case):
    """The account is known, every name is pending."""

    names: int
    validator_seconds: float = 0.0

    @property
    def most_requests(self) -> int:
        return self.certificates * (2 * self.names + 6)

    def measure(self, pebble: Path, folder: Path, *, rounds: int, tell: Tell) -> list[Result]:
        runs: dict[str, list[Run]] = {}
        with place(str(pebble), folder, validator_seconds=self.validator_seconds) as at:
            desks = dict(clients(at, folder))
            for number in range(rounds):
                for who, client in desks.items():
                    wanted = [
                        [f"n{name}.c{certificate}.{who}{number}.{ZONE}" for name in range(self.names)]
                        for certificate in range(self.count(who))
                    ]
                    with counted(at, runs, who) as put:
                        put.append(client.obtain(f"r{number}", wanted))
                    tell(f"  {self.words}, {who}: {put[0].wall:.2f} s")
        return [medians(who, found, self.certificates / self.count(who)) for who, found in runs.items()]


def clients(at: Place, folder: Path) -> Iterator[tuple[str, Client]]:
    """Those that are there; a peer that is not has no column."""
    yield OWN, Certbroker(at, folder / OWN)
    if (program := certbot_program()) is not None:
        yield "certbot", Certbot(at, folder / "certbot", program)
    if (program := lego_program()) is not None:
        yield "lego", Lego(at, folder / "lego", program)
    yield "bound", Bound(at, folder / "bound")


@dataclass(frozen=True, kw_only=True)
class Look(Case):
    """Certificates that stand, of which none is to be renewed. `ask`: the CA is asked when to renew each (RFC 9773)."""

    ask: bool

    @property
    def most_requests(self) -> int:
        return self.certificates + 1 if self.ask else 0

    def measure(self, pebble: Path, folder: Path, *, rounds: int, tell: Tell) -> list[Result]:
        runs: dict[str, list[Run]] = {}
        with place(str(pebble), folder) as at:
            desks: dict[str, Standing] = {OWN: CertbrokerStanding(at, folder / OWN, self.certificates)}
            if (program := certbot_program()) is not None:
                desks["certbot"] = CertbotStanding(at, folder / "certbot", program, self.count("certbot"))
            for _ in range(rounds):
                for who, client in desks.items():
                    client.night_comes()
                    with counted(at, runs, who) as put:
                        put.append(client.look(ask=self.ask))
                    tell(f"  {self.words}, {who}: {put[0].wall:.2f} s")
        return [medians(who, found, self.certificates / self.count(who)) for who, found in runs.items()]


CASES: Final = (
    Issuance(words="2 names", names=2, certificates=1, rounds=5, bars={"certbot": 0.45, "lego": 1.7}, most_mb=95),
    Issuance(
        words="2 names, the CA's validator takes 1 s a look-up",
        names=2,
        certificates=1,
        rounds=3,
        bars={"certbot": 0.8, "lego": 0.3},
        validator_seconds=1.0,
    ),
    Issuance(words="50 names", names=50, certificates=1, rounds=3, bars={"certbot": 0.25, "lego": 0.4}),
    Issuance(
        words="50 certificates",
        names=1,
        certificates=50,
        rounds=3,
        bars={"certbot": 0.04, "lego": 0.15, "bound": 4.0},
        peers_make=10,
    ),
    Look(words="nothing due, 1,000 certificates", ask=False, certificates=1000, rounds=3, bars={"certbot": 0.2}),
    Look(
        words="renewal asked for, 1,000 certificates",
        ask=True,
        certificates=1000,
        rounds=2,
        bars={"certbot": 0.1},
        peers_make=200,
        new_pebble=True,
    ),
)

NEW_PEBBLE: Final = TOOLS / "bin" / "pebble"
