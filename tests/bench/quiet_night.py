"""What a night costs in which nothing is due, and how long the shortest commands take.

Medians of several runs. The bars: reading the file apart, `renew` with 10,000 certificates takes at most
1.5 times as long as with 10, reads as many rows, needs no more than 140 MB, and contacts nobody.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from certbroker import broker
from certbroker.world import World
from tests.quiet import quiet

FEW, MANY = 10, 10_000
RUNS = 15
BAR = 1.5
MOST_MB = 140
"""Peak memory of the whole program, with MANY."""


@dataclass(frozen=True)
class Night:
    """One size. Seconds are medians."""

    parse: float
    rest: float
    rest_cpu: float
    rows: int
    contacts: int
    program: float
    memory: float | None
    """Peak of the whole program, MB; None where the system does not tell."""


def night(folder: Path, count: int) -> Night:
    world, network = quiet(folder, count, now=datetime.now(UTC))
    config = broker.read_config(world, None)
    rows: list[int] = []

    def rest() -> None:
        with broker.open_store(world, config) as store:
            report = broker.renew(broker.Desk(world, config, store, lambda event: None))
            assert report.summary.startswith("nothing due")
            rows.append(store.rows_read)

    rest()  # imports, and SQL that is compiled once a process
    parse = timed(lambda: broker.read_config(world, None), 5)
    wall, cpu = timed(rest), timed(rest, clock=time.process_time)
    return Night(
        parse=parse,
        rest=wall,
        rest_cpu=cpu,
        rows=max(rows),
        contacts=len(network.contacts),
        program=statistics.median(program(world, "renew") for _ in range(3)),
        memory=memory(world, "renew"),
    )


def timed(work: Callable[[], object], runs: int = RUNS, clock: Callable[[], float] = time.perf_counter) -> float:
    found = []
    for _ in range(runs):
        began = clock()
        work()
        found.append(clock() - began)
    return statistics.median(found)


def program(world: World, *argv: str) -> float:
    """Seconds that `certbroker ARGV` takes as a process of its own."""
    began = time.perf_counter()
    _run(world, ["-m", "certbroker", *argv])
    return time.perf_counter() - began


def memory(world: World, *argv: str) -> float | None:
    """Its peak memory, told by itself at its end: what wait4 tells of a child counts its parent in."""
    found = re.search(r"VmHWM:\s+(\d+) kB", _run(world, ["-c", TELLS_MEMORY, *argv]))
    return int(found[1]) * 1024 / 1e6 if found else None


TELLS_MEMORY = """
import pathlib, sys
from certbroker.cli import run
try:
    run()
finally:
    status = pathlib.Path("/proc/self/status")
    print(status.read_text() if status.exists() else "", file=sys.stderr)
"""


def _run(world: World, words: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=world.cwd,
        env=dict(world.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def main(folder: Path) -> tuple[Night, list[str]]:
    """Prints it. Returns the larger one, and the bars that were missed, in words."""
    say("renew, nothing due")
    say("certificates   file read   the rest   (CPU)      rows   contacts   whole program   peak memory")
    few, many = (measure(folder, count) for count in (FEW, MANY))
    ratio = many.rest / few.rest
    say(f"\nthe rest, {MANY:,} to {FEW}: {ratio:.2f} (CPU {many.rest_cpu / few.rest_cpu:.2f}); at most {BAR}\n")
    return many, [
        words
        for words, holds in {
            f"the rest grows by {ratio:.2f}": ratio <= BAR,
            f"rows read: {few.rows} and {many.rows}": few.rows == many.rows,
            "the network was asked": not few.contacts + many.contacts,
            f"{MANY:,} certificates, nothing due: more than {MOST_MB} MB": (many.memory or 0) <= MOST_MB,
        }.items()
        if not holds
    ]


def measure(folder: Path, count: int) -> Night:
    found = night(folder / str(count), count)
    told = f"{found.memory:.0f} MB" if found.memory else "not told"
    say(
        f"{count:>12,}   {found.parse * 1000:6.0f} ms   {found.rest * 1000:5.1f} ms   {found.rest_cpu * 1000:5.1f} ms   "
        f"{found.rows:>4}   {found.contacts:>8}   {found.program * 1000:10.0f} ms   {told:>11}"
    )
    return found


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
