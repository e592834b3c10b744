"""`make bench`: the clients in turns, `--version`, and a quiet night. Ends with 1 if a bar is missed.

ROUNDS=1 measures every case once, for a quick look.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from tests.bench import quiet_night, table
from tests.bench.cases import CASES, NEW_PEBBLE
from tests.bench.peers import certbot_program, environment, lego_program
from tests.bench.stopwatch import spent
from tests.servers.bind import program as bind_program


def main() -> int:
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="certbroker-bench-") as name:
        folder = Path(name)
        debian = shutil.which("pebble")
        there = {
            "pebble": debian,
            "named": bind_program(),
            "certbot": certbot_program(),
            "lego": lego_program(),
            "pebble 2.10": NEW_PEBBLE if NEW_PEBBLE.exists() else None,
        }
        for what in (what for what, found in there.items() if found is None):
            say(f"{what} is not there: deploy/bench-setup installs it")
        rows = [table.HEAD]
        for number, case in enumerate(CASES if there["named"] else ()):
            pebble = there["pebble 2.10" if case.new_pebble else "pebble"]
            if pebble is None:
                continue
            rounds = min(case.rounds, int(os.environ.get("ROUNDS", case.rounds)))
            results = case.measure(Path(pebble), folder / str(number), rounds=rounds, tell=tell)
            rows += table.lines(case, results)
            missed += [f"{case.words}: {words}" for words in case.missed(results)]
        say(f"RTT 50 ms, load {os.getloadavg()[0]:.1f} at the end\n\n" + "\n".join(rows) + "\n")
        missed += versions(folder)
        missed += quiet_night.main(folder)
    for words in missed:
        say(f"missed: {words}")
    return 1 if missed else 0


def versions(folder: Path) -> list[str]:
    """`--version` of certbroker and certbot."""
    own = str(Path(sys.executable).parent / "certbroker")
    programs = {"certbroker": own, **({"certbot": str(found)} if (found := certbot_program()) else {})}
    walls = {
        who: statistics.median(
            spent([program, "--version"], folder=folder, environ=environment(folder)).wall for _ in range(7)
        )
        for who, program in programs.items()
    }
    for who, wall in walls.items():
        say(f"{who} --version   {wall * 1000:.0f} ms")
    bad = "certbot" in walls and walls["certbroker"] > 0.5 * walls["certbot"]
    return ["--version: more than 0.5 times certbot"] if bad else []


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def tell(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
