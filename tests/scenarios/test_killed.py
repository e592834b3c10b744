"""Killed anywhere (scenario 16): a run that dies by SIGKILL, and what the next two make of it.

The embedded world lives in this process; the run that dies is a process of its own. It is killed at each request that the
CA, the DNS provider and the platforms get, before the request takes effect and after; and before each write of its own store.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from certbroker.model import Phase
from certbroker.sandbox.house import Sandbox
from certbroker.testkit.simulator import Fault, Request
from tests.scenarios.town import Town
from tests.scenarios.victim import Job, SharedClock, Victims

When = Literal["before", "after"]

TARGETS = ("fastly", "fly-blue")
NAMES = ("example.com", "*.example.com")

PARTS = 2
"""The requests of one place are tried by so many tests, so that they can run side by side."""

WRITES = 30
"""As LEAST, for writes of the store."""

FIRST = 5
"""So many first writes are all tried: a run takes the file in with them. Of the others, one of STRIDE."""

STRIDE = 40


LEAST: dict[tuple[str, When], int] = {
    ("ca", "before"): 11,
    ("ca", "after"): 9,
    ("dnsimple", "before"): 10,
    ("dnsimple", "after"): 5,
    ("fastly", "before"): 12,
    ("fastly", "after"): 4,
    ("fly", "before"): 9,
    ("fly", "after"): 5,
}
"""Fewer requests than that, and the test would not be about the whole run."""

MORE_RUNS = 2


class Scene:
    """One certificate for two platforms, never ordered before (or, after `revoked`, to be renewed)."""

    command: tuple[str, ...] = ("renew", "--refresh-ari")
    """What is run by who dies."""

    def __init__(self, town: Town, victims: Victims) -> None:
        self.versions = 1
        """How many there are in the end."""
        self.killed_at = ""
        """The path of the request."""
        self.town = town
        self.victims = victims
        self.ca = town.ca
        self.places: dict[str, Any] = {"ca": town.ca, "dnsimple": town.house.dnsimple, **town.house.platforms}

    def die(self, where: str, number: int, when: When, path: str = "") -> bool:
        """A run that is killed at the request of that number (from 0) to `where`; False if it makes fewer.

        After its effect: only requests that have one are counted, for a read is a read before and after. `path`: only
        requests to that path.
        """

        def counts(request: Request) -> bool:
            return path in ("", request.path) and (when == "before" or request.write)

        place = self.places[where]
        place.faults.append(Fault(self.victims.kill, when=when, skip=number, matches=counts))
        killed = self.victims.run(self.job()).killed
        place.faults.clear()
        if killed:
            self.killed_at = [request.path for request in place.requests if counts(request)][number]
        return killed

    def die_before_write(self, number: int) -> bool:
        """A run that is killed before the write of that number (from 0) to its store; False if it makes fewer."""
        return self.victims.run(self.job(dies_before_write=number)).killed

    def revoked(self) -> None:
        """It is served everywhere, and nothing else is due; then the CA wants it replaced at once."""
        self.town.run("renew")
        self.town.later(days=2)
        self.town.run("renew")
        self.ca.revoke(self.ca.issued[0].serial)
        self.versions = 2

    def job(self, **how: Any) -> Job:
        config = self.town.folder / "certbroker.toml"
        clock = self.town.clock
        assert isinstance(clock, SharedClock)
        argv = ("--config", str(config), *self.command)
        return Job(argv, str(self.town.folder), self.town.environ, str(clock.path), seed=1000, **how)

    def go_on(self) -> None:
        """What cron does later in the day: at most two more runs, and all is well."""
        for _ in range(MORE_RUNS):
            self.town.later(hours=7)  # the CA may be asked again when to renew
            self.leases_run_out()
            ran = self.town.run("renew", ends=None)
            if ran.code == 0 and self.committed:
                return
        raise AssertionError(f"after {MORE_RUNS} more runs:\n{ran.all}\n{self.town.run('history').out}")

    def leases_run_out(self) -> None:
        """Time passes for the database's clock too, which nobody can move: the dead run's lease has expired."""
        with closing(sqlite3.connect(self.town.folder / "state" / "store.db")) as store, store:
            store.execute("UPDATE lease SET expires = '2001-01-01 00:00:00.000000'")

    @property
    def committed(self) -> bool:
        with self.town.store() as store:
            newest = store.versions("main")[:1]
            rows = store.deployments("main")
        done = {(row.version_id, row.target, row.name) for row in rows if row.phase is Phase.COMMITTED}
        return len(newest) == 1 and done >= {
            (newest[0].id, target, name) for target, name in itertools.product(TARGETS, NAMES)
        }

    def judge(self, *, orders: int = 1) -> None:
        """All is as if nothing had happened. `orders`: how many newOrder took effect."""
        assert self.committed
        assert len(self.ca.issued) == self.versions
        assert self.ca.finalizations == self.versions
        assert self.ca.new_orders == orders
        assert len(self.ca.accounts) == 1
        assert self.ca.violations == []
        assert self.town.house.dns.txt("_acme-challenge.example.com") == []
        with self.town.store() as store:
            assert store.unremoved("challenge") == []
            assert store.open_orders() == []
            assert store.leases() == []
            assert {kind for kind, _, _ in store.boxes()} == {"account", "version"}
            signed = [issued.fingerprint for issued in self.ca.issued]
            assert [version.fingerprint for version in reversed(store.versions("main"))] == signed
            assert [row.data["fingerprint"] for row in reversed(store.history(kind="issued"))] == signed
        self.town.run("vault", "check")
        for place in self.places.values():
            assert place.bugs == [], "\n".join(place.bugs)

    def rest(self) -> None:
        """Days later nothing is ordered, nothing is pushed, and the platforms hold what is served and no more."""
        pushes = self.town.pushes()["fly"]
        self.town.later(days=3)
        self.town.run("renew")
        assert len(self.ca.issued) == self.versions
        assert self.town.pushes()["fly"] == pushes
        self._no_litter()

    def _no_litter(self) -> None:
        estate = self.places["fastly"].estate
        assert len(estate.certificates) == 1
        assert len(estate.keys) == 1
        assert len(estate.activations) == len(NAMES)


@contextmanager
def scene(folder: Path, victims: Victims) -> Iterator[Scene]:
    folder.mkdir()
    clock = SharedClock(folder / "clock")
    with Sandbox(clock=clock, rng=random.Random(7)) as house:
        town = Town(folder, house, clock)
        town.configure(certificates=town.certificate(names=NAMES, targets=TARGETS))
        town.init()
        yield Scene(town, victims)


def _each(numbers: Iterable[int], folder: Path, victims: Victims, attempt: Callable[[Scene, int], bool]) -> int:
    """`attempt` in a fresh world for each number, until it says that there are no more; returns where that was."""
    for number in numbers:
        with scene(folder / str(number), victims) as here:
            if not attempt(here, number):
                return number
    raise AssertionError("unreachable")


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("where", "when"), sorted(LEAST))
def test_killed_at_any_request_two_more_runs_end_with_one_certificate_served_everywhere(
    tmp_path: Path, victims: Victims, where: str, when: When, part: int
) -> None:
    """A second newOrder only for the gap between the CA's answer and our row."""

    def attempt(here: Scene, number: int) -> bool:
        if not here.die(where, number, when):
            assert here.committed
            return False
        gap = when == "after" and here.killed_at == "/new-order"
        here.go_on()
        here.judge(orders=2 if gap else 1)
        if where in here.town.house.platforms:
            here.rest()
        return True

    assert _each(itertools.count(part, PARTS), tmp_path, victims, attempt) >= LEAST[where, when]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("handed_back", [True, False])
def test_a_second_order_is_placed_only_where_the_first_one_cannot_be_known(
    tmp_path: Path, victims: Victims, handed_back: bool, when: When
) -> None:
    """Killed between the CA's answer and our row: a CA that hands the pending order back has one order all the same."""
    with scene(tmp_path / "one", victims) as here:
        here.ca.bad.reuse_orders = handed_back
        assert here.die("ca", 0, when, path="/new-order")
        here.go_on()
        here.judge(orders=2 if when == "after" and not handed_back else 1)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("renewal", [False, True])
def test_killed_before_a_write_of_its_store_is_no_different(
    tmp_path: Path, victims: Victims, renewal: bool, part: int
) -> None:
    """Between two requests the store is written several times; no two of these writes need each other."""

    def attempt(here: Scene, number: int) -> bool:
        if renewal:
            here.revoked()
        if not here.die_before_write(number):
            return False
        here.go_on()
        assert here.ca.new_orders <= here.versions + 1
        here.judge(orders=here.ca.new_orders)
        here.rest()
        return True

    first = [] if renewal else range(part, FIRST, PARTS)
    numbers = itertools.chain(first, itertools.count(FIRST + part * STRIDE, PARTS * STRIDE))
    assert _each(numbers, tmp_path, victims, attempt) >= WRITES


def test_a_dead_runs_lease_keeps_others_away_until_it_expires(tmp_path: Path, victims: Victims) -> None:
    with scene(tmp_path / "one", victims) as here:
        assert here.die("ca", 0, "after", path="/new-order")
        asked = len(here.ca.requests)
        ran = here.town.run("renew")
        assert "main is being worked on by broker-1, run " in ran.out
        assert len(here.ca.requests) == asked
        here.go_on()
        here.judge(orders=2)
