"""Killed while the second issuer steps in: the next runs end with one certificate, whoever signed it (scenario 16)."""

from __future__ import annotations

import itertools
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from certbroker.sandbox.house import Sandbox
from certbroker.testkit.simulator import Fault, Response
from tests.scenarios.test_killed import When
from tests.scenarios.town import Town
from tests.scenarios.victim import Job, SharedClock, Victims

LEAST = {"before": 8, "after": 6}
"""Fewer requests to the second than that, and the test would not be about the whole order."""


def attempt(folder: Path, victims: Victims, number: int, when: When) -> bool:
    """The first is away once it has the order; the run is killed at that request to the second. False if it made fewer."""
    folder.mkdir()
    clock = SharedClock(folder / "clock")
    with Sandbox(clock=clock, rng=random.Random(7), second_ca=True) as house:
        town = Town(folder, house, clock)
        town.configure(certificates=town.certificate(targets=("folder",)))
        town.init()
        town.ca.faults.append(Fault(Response.html(503, "away"), skip=5, times=1000))
        town.ca2.faults.append(
            Fault(victims.kill, when=when, skip=number, matches=lambda r: when == "before" or r.write)
        )
        argv = ("--config", str(folder / "certbroker.toml"), "renew")
        killed = victims.run(Job(argv, str(folder), town.environ, str(clock.path), seed=1000)).killed
        town.ca2.faults.clear()
        if not killed:
            return False
        assert town.ca.new_orders == 1
        for _ in range(2):
            town.later(minutes=15)
            with closing(sqlite3.connect(folder / "state" / "store.db")) as store, store:
                store.execute("UPDATE lease SET expires = '2001-01-01 00:00:00.000000'")
            town.ca.faults.clear()  # it is back
            ran = town.run("renew", ends=None)
            if ran.code == 0:
                break
        assert ran.code == 0, ran.all
        with town.store() as held:
            assert len(held.versions("main")) == 1
            assert held.open_orders() == []
            assert {kind for kind, _, _ in held.boxes()} == {"account", "version"}
        assert len(town.ca.issued) + len(town.ca2.issued) == 1
        return True


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_request_to_the_second_one_certificate_comes_of_it(
    tmp_path: Path, victims: Victims, when: When
) -> None:
    for number in itertools.count():
        if not attempt(tmp_path / str(number), victims, number, when):
            break
    assert number >= LEAST[when]
