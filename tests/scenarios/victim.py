"""Runs of the command line that can be killed: each in a process of its own, on a clock shared with the world around it.

A Python that imports everything anew for each run would cost a second a time. So one process imports it once, is asked for
runs over its standard input, and forks for each: `python -m tests.scenarios.victim`. Nothing of this is known to the product;
what is killed is `main(argv, world)` in a real process, by a real signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import mmap
import os
import pkgutil
import random
import resource
import signal
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, Self, TextIO

from certbroker.cli import main
from certbroker.probe import Roots
from certbroker.world import World
from tests.clock import START, TestClock
from tests.world import make_world

ROOT = Path(__file__).parents[2]
SECONDS = 60.0
"""A run that is not over by then hangs."""

BROKEN = 70
"""How a run ends that raised what nobody caught."""

_WARM = (
    "certbroker",
    "certbroker_files",
    "certbroker_fastly",
    "certbroker_fly",
    "acme.client",
    "sqlalchemy.dialects.sqlite",
)
_NOT_BY_A_RUN = ("__main__", "simulator", "migrations", "sandbox", "testkit")


class SharedClock(TestClock):
    """A clock that several processes read and move: seconds since START, in a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        if not path.exists():
            path.write_bytes(struct.pack("d", 0.0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 8)
        self.path = path

    @property
    def _passed(self) -> float:
        return float(struct.unpack("d", self._shared[:8])[0])

    def now(self) -> datetime:
        return START + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return 1000.0 + self._passed

    def advance(self, step: timedelta) -> None:
        with self._lock:
            self._shared[:8] = struct.pack("d", self._passed + step.total_seconds())


@dataclass(frozen=True)
class Job:
    """One run. All of it can be JSON."""

    argv: Sequence[str]
    folder: str
    environ: Mapping[str, str]
    clock: str
    seed: int
    dies_before_write: int | None = None
    """SIGKILL itself just before the store's n-th write (from 0) would be kept."""
    largest_file: int | None = None
    """Bytes: what no file of this run can grow over (RLIMIT_FSIZE), as on a disk that is full."""
    obeys_modes: bool = False
    """It may not write what its mode forbids, even if root runs the tests."""


@dataclass(frozen=True)
class Ended:
    """`code` is negative for a signal, as in `subprocess`."""

    code: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Victims:
    """The process that is asked for runs. One run at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._pid = 0
        self._begun = threading.Event()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.scenarios.victim"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(SECONDS)

    def run(self, job: Job) -> Ended:
        """One run from its start to its end or death."""
        self._begun.clear()
        self._over.clear()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        self._pid = int(self._answer()["pid"])
        self._begun.set()
        status = int(self._answer()["status"])
        self._over.set()
        folder = Path(job.folder)
        return Ended(status, (folder / "run.out").read_text(), (folder / "run.err").read_text())

    def kill(self) -> None:
        """SIGKILL the run that is under way; returns when it is dead."""
        assert self._begun.wait(SECONDS)
        os.kill(self._pid, signal.SIGKILL)
        assert self._over.wait(SECONDS)

    def _answer(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that runs are forked from is gone"
        return json.loads(line)


# ---- in the process that is forked -------------------------------------------------------------------------------------


def _warm_up() -> None:
    """Import what a run imports."""
    for name in _WARM:
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{name}."):
            if not any(word in found.name for word in _NOT_BY_A_RUN):
                with contextlib.suppress(ImportError):  # extras that are not installed
                    importlib.import_module(found.name)
    Roots.system()


@contextlib.contextmanager
def _world(job: Job, out: TextIO, err: TextIO) -> Iterator[World]:
    clock = SharedClock(Path(job.clock))
    made = make_world(Path(job.folder), clock=clock, environ=job.environ, seed=job.seed)
    yield replace(made, random=random.Random(job.seed), stdout=out, stderr=err)


def _run(job: Job) -> int:
    folder = Path(job.folder)
    if job.dies_before_write is not None:
        _die_before_write(job.dies_before_write)
    with (folder / "run.out").open("w") as out, (folder / "run.err").open("w") as err, _world(job, out, err) as world:
        if job.largest_file is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (job.largest_file, job.largest_file))
        if job.obeys_modes:
            _obey_modes()
        return main(list(job.argv), world)


def _obey_modes() -> None:
    """Give up every capability (capset(2), version 3 of its structures): root without them is an owner like any other."""
    if os.geteuid() == 0:
        header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)
        if ctypes.CDLL(None, use_errno=True).capset(header, nothing) != 0:
            raise OSError(ctypes.get_errno(), "capset")


def _die_before_write(number: int) -> None:
    from sqlalchemy import Connection, Engine, event

    left = [number]

    def commit(connection: Connection) -> None:
        if not connection.get_execution_options().get("certbroker_writes"):
            return
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    event.listen(Engine, "commit", commit)


def _end(job: Job) -> NoReturn:
    """Run it and leave at once: what the process that was forked has open is not this run's to close."""
    code = BROKEN
    try:
        code = _run(job)
    finally:
        if code == BROKEN:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    _warm_up()
    for line in sys.stdin:
        job = Job(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            _end(job)
        print(json.dumps({"pid": pid}), flush=True)  # noqa: T201 - this is the answer
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps({"status": status}), flush=True)  # noqa: T201


if __name__ == "__main__":
    _serve()
