"""A disk that fills up, a store that is locked or may not be written, a clock that jumps (scenario 24).

A clear error, nothing lost, no half-written version.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certbroker.model import Phase
from certbroker.sandbox.house import Sandbox
from certbroker.testkit.simulator import Fault
from tests.clock import TestClock
from tests.scenarios.town import Town
from tests.scenarios.victim import Ended, Job, SharedClock, Victims

ROOM = (1, 8, 24, 60, 120)
"""Pages of 4 KiB to which a file may grow: from "not even the run's own row fits" to "nearly done"."""


class Scene:
    """One certificate for one platform and a folder."""

    def __init__(self, town: Town, victims: Victims) -> None:
        self.town = town
        self.victims = victims

    @property
    def store(self) -> Path:
        return self.town.folder / "state" / "store.db"

    def run(self, **how: Any) -> Ended:
        """`renew`, in a process of its own."""
        folder, clock = self.town.folder, self.town.clock
        assert isinstance(clock, SharedClock)
        argv = ("--config", str(folder / "certbroker.toml"), "renew")
        return self.victims.run(Job(argv, str(folder), self.town.environ, str(clock.path), seed=1000, **how))

    def phases(self) -> set[Phase]:
        with self.town.store() as store:
            return {row.phase for row in store.deployments("main")}

    def whole(self) -> None:
        """Every version in the store has its key, and the database is sound."""
        with closing(sqlite3.connect(self.store)) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        with self.town.store() as store:
            versions = {str(version.id) for version in store.versions("main")}
            assert {owner for kind, owner, _ in store.boxes() if kind == "version"} == versions
        self.town.run("vault", "check")


@contextmanager
def scene(folder: Path, victims: Victims) -> Iterator[Scene]:
    folder.mkdir()
    clock = SharedClock(folder / "clock")
    with Sandbox(clock=clock, rng=random.Random(7)) as house:
        town = Town(folder, house, clock)
        town.configure(certificates=town.certificate(targets=("fly-blue", "folder")))
        town.init()
        yield Scene(town, victims)


def _said(ended: Ended | str) -> str:
    """What it said, which is no traceback."""
    said = ended if isinstance(ended, str) else ended.err
    assert "Traceback" not in said
    assert "sqlalchemy" not in said.lower()
    assert "error: the store " in said
    assert " hint: " in said
    return said


@pytest.mark.parametrize("pages", ROOM)
def test_a_disk_that_fills_up_ends_the_run_and_loses_nothing(tmp_path: Path, victims: Victims, pages: int) -> None:
    with scene(tmp_path / "one", victims) as here:
        ended = here.run(largest_file=pages * 4096)
        assert ended.code == 2, ended
        assert "disk" in _said(ended)
        here.whole()
        for _ in range(2):
            here.town.later(hours=1)
            leases_run_out(here.store)
            ran = here.town.run("renew", ends=None)
        assert ran.code == 0, ran.all
        assert here.phases() == {Phase.COMMITTED, Phase.DELIVERED}
        assert len(here.town.ca.issued) == 1
        assert here.town.house.dns.txt("_acme-challenge.example.com") == []
        here.whole()


def leases_run_out(store: Path) -> None:
    """An hour is over for the database's clock too, which nobody can move."""
    with closing(sqlite3.connect(store)) as raw, raw:
        raw.execute("UPDATE lease SET expires = '2001-01-01 00:00:00.000000'")


def test_a_store_that_is_locked_stops_the_run_before_anything_is_touched(tmp_path: Path, victims: Victims) -> None:
    with scene(tmp_path / "one", victims) as here:
        here.town.edit("store.db", "store.db?timeout=1")
        with closing(sqlite3.connect(here.store, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            ran = here.town.run("renew", ends=2)
            assert "is locked by another process" in _said(ran.err)
            here.town.run("status", ends=None)
        assert here.town.ca.requests == []
        here.town.edit("store.db?timeout=1", "store.db")
        here.town.run("renew")
        assert here.phases() == {Phase.COMMITTED, Phase.DELIVERED}


def test_a_store_that_gets_locked_while_a_run_is_under_way_loses_no_order(tmp_path: Path, victims: Victims) -> None:
    with (
        scene(tmp_path / "one", victims) as here,
        closing(sqlite3.connect(here.store, isolation_level=None, check_same_thread=False)) as other,
    ):
        here.town.edit("store.db", "store.db?timeout=1")

        def lock() -> None:
            other.execute("BEGIN EXCLUSIVE")

        here.town.ca.faults.append(Fault(lock, when="after", matches=lambda r: r.path.endswith("/finalize")))
        ran = here.town.run("renew", ends=2)
        assert "is locked by another process" in _said(ran.err)
        other.execute("ROLLBACK")
        here.town.edit("store.db?timeout=1", "store.db")
        here.whole()
        for _ in range(2):
            here.town.later(hours=1)
            leases_run_out(here.store)
            here.town.run("renew")
        assert len(here.town.ca.issued) == 1
        assert here.town.orders == 1
        assert here.town.house.dns.txt("_acme-challenge.example.com") == []
        assert here.phases() == {Phase.COMMITTED, Phase.DELIVERED}


def test_a_store_that_may_not_be_written_is_told_and_left_as_it_is(tmp_path: Path, victims: Victims) -> None:
    with scene(tmp_path / "one", victims) as here:
        here.town.run("renew")
        before = here.store.read_bytes()
        here.store.chmod(0o400)
        here.store.parent.chmod(0o500)
        try:
            ended = here.run(obeys_modes=True)
        finally:
            here.store.parent.chmod(0o700)
            here.store.chmod(0o600)
        assert ended.code == 2, ended
        assert "look at the owner and mode of the file and its folder" in _said(ended)
        assert here.store.read_bytes() == before


@pytest.mark.parametrize("days", [-30, -1, 20])
def test_a_clock_that_jumps_and_comes_back_orders_and_pushes_nothing(
    tmp_path: Path, victims: Victims, days: int
) -> None:
    """The broker's clock alone; it is right again for the next run. The renewal comes in time all the same."""
    with scene(tmp_path / "one", victims) as here:
        town = here.town
        town.run("renew")
        pushed = town.pushes()
        right = town.clock
        town.clock = TestClock(right.now() + timedelta(days=days))
        for _ in range(3):
            town.run("renew", ends=None)
            town.later(hours=1)
        assert town.orders == 1
        assert town.pushes() == pushed
        town.clock = right
        town.later(hours=1)
        town.run("renew")
        assert (town.orders, town.pushes()) == (1, pushed)
        here.whole()
        town.later(days=62)
        town.run("renew")
        assert len(town.ca.issued) == 2
        assert town.ca.issued[0].leaf.not_valid_after_utc > right.now()


def test_a_clock_that_jumps_back_in_the_middle_of_an_order_goes_on_with_it(tmp_path: Path, victims: Victims) -> None:
    with scene(tmp_path / "one", victims) as here:
        fault = Fault(victims.kill, when="after", matches=lambda r: r.path.endswith("/finalize"))
        here.town.ca.faults.append(fault)
        assert here.run().killed
        leases_run_out(here.store)
        here.town.later(hours=-2)
        for _ in range(2):
            here.town.run("renew", ends=None)
            here.town.later(hours=1)
        here.town.run("renew")
        assert len(here.town.ca.issued) == 1
        assert here.town.orders == 1
        assert here.phases() == {Phase.COMMITTED, Phase.DELIVERED}
        here.whole()
