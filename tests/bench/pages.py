"""What the first page of the dashboard costs with few certificates and with many, asked of the real program."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import requests

from certbroker.world import World
from tests.quiet import quiet

FEW, MANY = 10, 10_000
TARGETS = 4
ASKED = 25
BAR = 3.0
MOST_SECONDS = 0.1
MOST_MB = 150


@dataclass(frozen=True)
class Page:
    """One size. `seconds`: the median of an answer's time; `memory`: peak of the process afterwards, MB."""

    seconds: float
    memory: float | None


def main(folder: Path) -> list[str]:
    """Prints it. Returns the bars that were missed, in words."""
    say(f"dashboard, first page, {TARGETS} targets a certificate")
    few, many = (measure(folder / f"pages-{count}", count) for count in (FEW, MANY))
    ratio = many.seconds / few.seconds
    say(f"\n{MANY:,} to {FEW}: {ratio:.2f}; at most {BAR}\n")
    return [
        words
        for words, holds in {
            f"the first page grows by {ratio:.2f}": ratio <= BAR,
            f"the first page takes {many.seconds * 1000:.0f} ms": many.seconds <= MOST_SECONDS,
            f"the dashboard takes more than {MOST_MB} MB": (many.memory or 0) < MOST_MB,
        }.items()
        if not holds
    ]


def measure(folder: Path, count: int) -> Page:
    world, _ = quiet(folder, count, now=datetime.now(UTC), targets=TARGETS)
    with served(world) as (url, pid), requests.Session() as session:
        seconds = statistics.median([ask(session, url) for _ in range(ASKED)][2:])
        memory = peak(pid)
    told = f"{memory:.0f} MB" if memory else "not told"
    say(f"{count:>12,}   {seconds * 1000:5.1f} ms   peak memory {told}")
    return Page(seconds, memory)


def ask(session: requests.Session, url: str) -> float:
    began = time.perf_counter()
    answer = session.get(url, timeout=60)
    spent = time.perf_counter() - began
    assert answer.status_code == 200, answer.text
    assert "Certificates" in answer.text
    return spent


@contextmanager
def served(world: World) -> Iterator[tuple[str, int]]:
    """`certbroker dashboard` on a free port, until the block ends."""
    words = [sys.executable, "-m", "certbroker", "dashboard", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(words, cwd=world.cwd, env=dict(world.environ), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split(" ")[0], process.pid
        finally:
            process.terminate()


def peak(pid: int) -> float | None:
    """Peak memory so far, MB; None where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 / 1e6 if found else None


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
