"""`make bench`: the clients in turns, `--version`, a quiet night, and the dashboard's first page. Ends with 1 if a bar is missed.

ROUNDS=1 measures every case once, for a quick look. `python -m tests.bench --readme` also writes the README's table.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tests.bench import pages, quiet_night, readme, table
from tests.bench.cases import CASES, NEW_PEBBLE, OWN, Case
from tests.bench.peers import certbot_program, environment, lego_program
from tests.bench.results import Result
from tests.bench.stopwatch import spent
from tests.servers.bind import program as bind_program


def main(argv: Sequence[str]) -> int:
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="certbroker-bench-") as name:
        folder = Path(name)
        cases = list(measured(folder))
        for case, results in cases:
            missed += [f"{case.words}: {words}" for words in case.missed(results)]
        rows = [line for case, results in cases for line in table.lines(case, results)]
        say(f"RTT 50 ms, load {os.getloadavg()[0]:.1f} at the end\n\n" + "\n".join([table.HEAD, *rows]) + "\n")
        walls = versions(folder)
        if "certbot" in walls and walls[OWN] > 0.5 * walls["certbot"]:
            missed.append("--version: more than 0.5 times certbot")
        many, words = quiet_night.main(folder)
        missed += words
        missed += pages.main(folder)
    for what in missed:
        say(f"missed: {what}")
    if "--readme" in argv:
        rounds = os.environ.get("ROUNDS")
        readme.write(
            readme.Told(cases, walls, many),
            command=f"ROUNDS={rounds} make bench" if rounds else "make bench",
            cores=os.cpu_count() or 1,
            at=datetime.now().astimezone(),
            peers=peers(),
        )
    return 1 if missed else 0


def measured(folder: Path) -> list[tuple[Case, list[Result]]]:
    """Every case for which everything is there."""
    there = {
        "pebble": shutil.which("pebble"),
        "named": bind_program(),
        "certbot": certbot_program(),
        "lego": lego_program(),
        "pebble 2.10": NEW_PEBBLE if NEW_PEBBLE.exists() else None,
    }
    for what in (what for what, found in there.items() if found is None):
        say(f"{what} is not there: deploy/bench-setup installs it")
    found = []
    for number, case in enumerate(CASES if there["named"] else ()):
        pebble = there["pebble 2.10" if case.new_pebble else "pebble"]
        if pebble is not None:
            rounds = min(case.rounds, int(os.environ.get("ROUNDS", case.rounds)))
            found.append((case, case.measure(Path(pebble), folder / str(number), rounds=rounds, tell=tell)))
    return found


def versions(folder: Path) -> dict[str, float]:
    """Seconds of `--version` of certbroker and certbot."""
    own = str(Path(sys.executable).parent / "certbroker")
    programs = {OWN: own, **({"certbot": str(found)} if (found := certbot_program()) else {})}
    walls = {
        who: statistics.median(
            spent([program, "--version"], folder=folder, environ=environment(folder)).wall for _ in range(7)
        )
        for who, program in programs.items()
    }
    for who, wall in walls.items():
        say(f"{who} --version   {wall * 1000:.0f} ms")
    return walls


def peers() -> list[str]:
    """Names and versions. Debian's lego does not know its own."""
    found = []
    if (certbot := certbot_program()) is not None:
        found.append(_said(str(certbot), "--version"))
    if lego_program() is not None:
        package = _said("dpkg-query", "-W", "-f=${Version}", "lego") if shutil.which("dpkg-query") else ""
        found.append(f"lego {package.partition('-')[0]}".strip())
    return found


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def tell(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
