"""A town to play scenarios in: the embedded world on a clock that tests move, and the real command line."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from certbroker.cli import main
from certbroker.sandbox.house import Sandbox
from certbroker.store import Store
from certbroker.world import World
from tests.clock import TestClock
from tests.fresh import empty_store
from tests.world import CountingNetwork, make_world


@dataclass(frozen=True)
class Ran:
    """How one command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def all(self) -> str:
        return self.out + self.err


class Town:
    """`town.run("renew")` runs the command line; `town.house` is the world outside."""

    def __init__(self, folder: Path, house: Sandbox, clock: TestClock) -> None:
        self.folder = folder
        self.house = house
        self.clock = clock
        self.environ: dict[str, str] = dict(house.secrets)
        self.network = CountingNetwork()
        self._seed = 0

    @property
    def ca(self) -> Any:
        return self.house.ca

    @property
    def ca2(self) -> Any:
        """The CA that steps in, in a town that has two."""
        return self.house.ca2

    def platform(self, kind: str) -> Any:
        return self.house.platforms[kind]

    def world(self, *, host: str = "broker-1", folder: Path | None = None) -> World:
        self._seed += 1
        made = make_world(
            folder or self.folder, clock=self.clock, environ=self.environ, network=self.network, seed=self._seed
        )
        return replace(made, host=host)

    def run(self, *argv: str, ends: int | None = 0, host: str = "broker-1", folder: Path | None = None) -> Ran:
        """Run it; `ends` is the exit code it must end with (None: any)."""
        world = self.world(host=host, folder=folder)
        code = main(argv, world)
        assert isinstance(world.stdout, io.StringIO)
        assert isinstance(world.stderr, io.StringIO)
        ran = Ran(code, world.stdout.getvalue(), world.stderr.getvalue())
        assert ends is None or code == ends, f"certbroker {' '.join(argv)} ended {code}:\n{ran.out}\n{ran.err}"
        return ran

    def init(self) -> None:
        """The first command, for which all but the vault key is there."""
        empty_store(self.store_file)
        self.run("init")

    def later(self, **step: float) -> None:
        self.clock.advance(timedelta(**step))

    def configure(self, *, extra: str = "", certificates: str | None = None) -> None:
        """Write the file anew."""
        self.house.write(self.folder, extra=extra, certificates=certificates)

    def edit(self, old: str, new: str) -> None:
        path = self.folder / "certbroker.toml"
        text = path.read_text()
        assert old in text, f"{old!r} is not in the file:\n{text}"
        path.write_text(text.replace(old, new))

    def certificate(
        self,
        name: str = "main",
        *,
        names: tuple[str, ...] = ("example.com", "*.example.com"),
        targets: tuple[str, ...],
        **more: str,
    ) -> str:
        """A `[certificate.NAME]` table."""
        listed = ", ".join(f'"{target}"' for target in targets)
        wanted = ", ".join(f'"{each}"' for each in names)
        lines = [
            f"\n[certificate.{name}]",
            f"names = [{wanted}]",
            f"targets = [{listed}]",
            *(f"{k} = {v}" for k, v in more.items()),
        ]
        return "\n".join(lines) + "\n"

    @property
    def store_file(self) -> Path:
        return self.folder / "state" / "store.db"

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The town's store, for a look inside."""
        store = Store.open(f"sqlite:///{self.store_file}", self.clock)
        try:
            yield store
        finally:
            store.close()

    @property
    def orders(self) -> int:
        """How many newOrder requests the CA has taken."""
        return int(self.house.ca.new_orders)

    def pushes(self) -> Mapping[str, int]:
        """How many requests that could change something each platform has had (Fly's ownership checks apart)."""
        return {
            kind: len([r for r in self.platform(kind).writes if not r.path.endswith("/check")])
            for kind in self.house.platforms
        }


@contextmanager
def town(
    folder: Path,
    *,
    zones: tuple[str, ...] = ("example.com",),
    init: bool = True,
    second_ca: bool = False,
    chain_length: int = 2,
    alternates: int = 0,
    clock: TestClock | None = None,
) -> Iterator[Town]:
    """A town with its file, its store and its vault key."""
    clock = clock or TestClock()
    with Sandbox(
        clock=clock,
        rng=random.Random(7),
        zones=zones,
        second_ca=second_ca,
        chain_length=chain_length,
        alternates=alternates,
    ) as house:
        made = Town(folder, house, clock)
        made.configure()
        if init:
            made.init()
        yield made
        second = [] if house.ca2 is None else [house.ca2]
        for outside in (made.ca, *second, house.dnsimple, *map(made.platform, house.platforms)):
            assert outside.bugs == [], "\n".join(outside.bugs)
