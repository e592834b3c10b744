"""What is measured: issuances by every client in turns, and the bars that certbroker keeps beside each of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.peers import Bound, Certbot, Certbroker, Client, Lego, certbot_program, lego_program
from tests.bench.place import ZONE, Place, place
from tests.bench.stopwatch import Spent


@dataclass(frozen=True)
class Case:
    """`bars`: at most so many times the peer's wall."""

    words: str
    names: int
    certificates: int
    rounds: int
    bars: Mapping[str, float]
    validator_seconds: float = 0.0
    most_mb: int | None = None
    """Peak memory that is enough, in MB."""
    peers_make: int | None = None
    """Peers start a program for each certificate: so many of them are measured, and wall, CPU and requests scaled."""


CASES: Final = (
    Case("2 names", 2, 1, 5, {"certbot": 0.45, "lego": 1.7}, most_mb=95),
    Case("2 names, validator takes 1 s", 2, 1, 3, {"certbot": 0.8, "lego": 0.3}, validator_seconds=1.0),
    Case("50 names", 50, 1, 3, {"certbot": 0.25, "lego": 0.4}),
    Case("50 certificates", 1, 50, 3, {"certbot": 0.04, "lego": 0.15, "bound": 4.0}, peers_make=10),
)


@dataclass(frozen=True)
class Result:
    """Medians of one client in one case."""

    client: str
    spent: Spent
    requests: float
    connections: float
    scaled: bool


def clients(at: Place, folder: Path) -> Iterator[tuple[str, Client]]:
    """Those that are there; a peer that is not has no column."""
    yield "certbroker", Certbroker(at, folder / "certbroker")
    if (program := certbot_program()) is not None:
        yield "certbot", Certbot(at, folder / "certbot", program)
    if (program := lego_program()) is not None:
        yield "lego", Lego(at, folder / "lego", program)
    yield "bound", Bound(at, folder / "bound")


def measure(case: Case, pebble: str, folder: Path, *, rounds: int, say: Callable[[str], None]) -> list[Result]:
    """All clients in turns at one fresh CA."""
    runs: dict[str, list[tuple[Spent, int, int]]] = {}
    with place(pebble, folder, validator_seconds=case.validator_seconds) as at:
        desks = dict(clients(at, folder))
        for number in range(rounds):
            for who, client in desks.items():
                count = _count(case, who)
                wanted = [
                    [f"n{name}.c{certificate}.{who}{number}.{ZONE}" for name in range(case.names)]
                    for certificate in range(count)
                ]
                asked, connections = at.asked(), at.connections()
                spent = client.obtain(f"r{number}", wanted)
                runs.setdefault(who, []).append((spent, at.asked() - asked, at.connections() - connections))
                say(f"  {case.words}, {who}: {spent.wall:.2f} s")
    return [_median(case, who, found) for who, found in runs.items()]


def _count(case: Case, who: str) -> int:
    peer = who in ("certbot", "lego") and case.peers_make is not None
    return case.peers_make if peer and case.peers_make else case.certificates


def _median(case: Case, who: str, runs: list[tuple[Spent, int, int]]) -> Result:
    factor = case.certificates / _count(case, who)
    middle = statistics.median
    spent = Spent(
        wall=factor * middle(run[0].wall for run in runs),
        cpu=factor * middle(run[0].cpu for run in runs),
        peak=middle(run[0].peak for run in runs),
    )
    requests = factor * middle(run[1] for run in runs)
    connections = factor * middle(run[2] for run in runs)
    return Result(who, spent, requests, connections, factor != 1)
