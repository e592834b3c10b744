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
from tests.bench.cases import CASES, measure
from tests.bench.peers import certbot_program, environment, lego_program
from tests.bench.stopwatch import spent


def main() -> int:
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="certbroker-bench-") as name:
        folder = Path(name)
        programs = {
            "pebble": shutil.which("pebble"),
            "knot": shutil.which("knotd", path=f"{os.environ['PATH']}:/usr/sbin"),
        }
        for what, found in {**programs, "certbot": certbot_program(), "lego": lego_program()}.items():
            if found is None:
                say(f"{what} is not there: deploy/bench-setup installs it")
        if all(programs.values()):
            rows = [table.HEAD]
            for number, case in enumerate(CASES):
                rounds = min(case.rounds, int(os.environ.get("ROUNDS", case.rounds)))
                results = measure(case, programs["pebble"] or "", folder / str(number), rounds=rounds, say=tell)
                rows += table.lines(case, results)
                missed += table.missed(case, results)
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
