"""What came of a measurement: single runs, and their medians."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.stopwatch import Spent


@dataclass(frozen=True)
class Run:
    """One run of one client. `requests` to the CA, of which `looks` were looks at an order that was not ready: poll ticks."""

    spent: Spent
    requests: float
    looks: float
    connections: float


@dataclass(frozen=True)
class Result:
    """Medians of one client in one case. `scaled`: it made fewer certificates, and everything but its memory is multiplied."""

    client: str
    run: Run
    scaled: bool = False

    @property
    def wall(self) -> float:
        return self.run.spent.wall

    @property
    def peak_mb(self) -> float:
        """Megabytes of a million bytes."""
        return self.run.spent.peak * 1.048576


def medians(client: str, runs: Sequence[Run], factor: float = 1.0) -> Result:
    def middle(what: Callable[[Run], float]) -> float:
        return statistics.median(map(what, runs))

    spent = Spent(
        wall=factor * middle(lambda run: run.spent.wall),
        cpu=factor * middle(lambda run: run.spent.cpu),
        peak=middle(lambda run: run.spent.peak),
    )
    run = Run(
        spent,
        factor * middle(lambda run: run.requests),
        factor * middle(lambda run: run.looks),
        factor * middle(lambda run: run.connections),
    )
    return Result(client, run, factor != 1)
