"""What a program costs: wall, CPU and peak memory, its children's included.

The program is started by a small launcher, because the kernel counts the memory of who starts a program as the program's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LAUNCHER: Final = """
import json, os, sys, time
told, *command = sys.argv[1:]
began = time.perf_counter()
child = os.posix_spawnp(command[0], command, os.environ)
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - began
code = os.waitstatus_to_exitcode(status)
found = {"code": code, "wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}
os.write(int(told), json.dumps(found).encode())
"""


@dataclass(frozen=True)
class Spent:
    """One run: seconds, seconds, MiB."""

    wall: float
    cpu: float
    peak: float


def spent(command: Sequence[str], *, folder: Path, environ: Mapping[str, str], codes: Sequence[int] = (0,)) -> Spent:
    """Run it to its end. Raises RuntimeError with what it said if its exit code is not in `codes`."""
    here, there = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", LAUNCHER, str(there), *command],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(there,),
            text=True,
            check=False,
        )
    finally:
        os.close(there)
    with os.fdopen(here) as told:
        text = told.read()
    found = json.loads(text) if text else {"code": done.returncode}
    if found["code"] not in codes:
        raise RuntimeError(f"{' '.join(command)} ended with {found['code']}:\n{done.stdout[-4000:]}")
    return Spent(found["wall"], found["cpu"], found["peak"])
