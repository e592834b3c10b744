"""A takeover that dies by SIGKILL in any of its steps, and is then taken back: users never notice, and all is as before."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from certbroker.sandbox.house import Sandbox
from certbroker.testkit.simulator import Fault, Request
from tests.scenarios.test_takeover import LABEL, edges, flydns, label, served
from tests.scenarios.town import Town
from tests.scenarios.users import users
from tests.scenarios.victim import Job, SharedClock, Victims

NAMES = ("example.com", "www.example.com")
TARGETS = ("fastly", "fly-blue")
When = Literal["before", "after"]

KILLS: dict[int, list[tuple[str, int, When]]] = {
    1: [],  # has a test of its own
    2: [("fly", 0, "after"), ("fly", 1, "before")],
    3: [("fastly", 0, "after"), ("fastly", 0, "after"), ("fastly", 0, "after"), ("fastly", 1, "after")],
    4: [],  # only looks
    5: [("fly", 0, "after")],
    6: [("fastly", 0, "after")],
    7: [("dnsimple", 0, "after")],
}
"""By step: at which write, where, before or after its effect. Fastly's are the key, the certificate, one activation, the next:
what is there already is not written again."""


class Scene:
    """Fly and Fastly manage both names, DNS leads to Fastly, Fly holds one label; the CA offers dns-01 alone."""

    def __init__(self, town: Town, victims: Victims) -> None:
        self.town = town
        self.victims = victims
        self.places: dict[str, Any] = {"ca": town.ca, "dnsimple": town.house.dnsimple, **town.house.platforms}

    def die(self, argv: tuple[str, ...], where: str, number: int, when: When) -> bool:
        """A run that is killed at the write of that number (from 0) to `where`; False if it makes fewer."""
        writes = itertools.count()

        def counts(request: Request) -> bool:
            return request.write and not request.path.endswith("/check") and next(writes) == number

        place = self.places[where]
        place.faults.append(Fault(self.victims.kill, when=when, matches=counts))
        config = str(self.town.folder / "certbroker.toml")
        clock = self.town.clock
        assert isinstance(clock, SharedClock)
        killed = self.victims.run(
            Job(("--config", config, *argv), str(self.town.folder), self.town.environ, str(clock.path), seed=1000)
        ).killed
        place.faults.clear()
        if killed:
            self._leases_run_out()
        return killed

    def _leases_run_out(self) -> None:
        with closing(sqlite3.connect(self.town.folder / "state" / "store.db")) as store, store:
            store.execute("UPDATE lease SET expires = '2001-01-01 00:00:00.000000'")

    def take_back(self, step: int) -> None:
        """That step alone; and its place is as it was before it."""
        self.town.run("takeover", "main", "--undo", str(step))
        self.own_is_there(step)
        if step in (2, 3):
            assert served(self.town, "fly-blue" if step == 2 else "fastly") == {"not ours"}
        else:
            assert served(self.town, "fastly") == served(self.town, "fly-blue") == {"v1"}

    def own_is_there(self, step: int = 1) -> None:
        """What the platforms have of their own, unless an earlier step has ended it, and the label by which it is proven."""
        fly, fastly = self.town.platform("fly"), self.town.platform("fastly")
        assert step > 5 or all("fly" in fly.stored("site-blue")[name] for name in NAMES)
        assert step > 6 or {
            each.domains[0] for each in fastly.estate.subscriptions.values() if each.certificate
        } == set(NAMES)
        self.label_is_back()

    def label_is_back(self) -> None:
        assert self.town.house.dns.values(LABEL, "CNAME") == [f"{flydns(self.town)}."]
        assert self.town.house.dns.txt(LABEL) == []


@contextmanager
def scene(folder: Path, victims: Victims, *, moves: bool = True) -> Iterator[Scene]:
    """No handshake may fail in it. `moves`: Fastly lets an activation be moved away from a subscription."""
    folder.mkdir()
    clock = SharedClock(folder / "clock")
    with Sandbox(clock=clock, rng=random.Random(7)) as house:
        town = Town(folder, house, clock)
        town.configure(certificates=town.certificate(names=NAMES, targets=TARGETS))
        fly, fastly = town.platform("fly"), town.platform("fastly")
        quirks = dict.fromkeys(("managed_activation_moves", "managed_activation_returns", "subscription_beside"), moves)
        fastly.quirks = replace(fastly.quirks, **quirks)
        for name in NAMES:
            fly.manage("site-blue", name)
            fastly.manage(name)
            house.dns.add(name, "A", fastly.addresses[0])
        fly.on_change()
        fastly.on_change()
        label(town, flydns(town))
        house.dnsimple.add_record("example.com", "_acme-challenge.www", "CNAME", f"www.{flydns(town)}")
        town.ca.bad.offered = ("dns-01",)
        town.init()
        with users(town, edges(town), NAMES) as made:
            yield Scene(town, victims)
        assert made.bad == []


def test_killed_in_any_step_and_taken_back(tmp_path: Path, victims: Victims) -> None:
    """In one town: it is killed in a step, the step is taken back, killed again, and at last done; then all is taken back."""
    with scene(tmp_path / "town", victims) as here:
        for step, kills in KILLS.items():
            for where, number, when in kills:
                run = ("takeover", "main", "--step", str(step))
                assert here.die(run, where, number, when), (
                    f"step {step} makes fewer than {number + 1} writes at {where}"
                )
                here.take_back(step)
            here.town.run("takeover", "main", "--step", str(step))
        here.town.run("takeover", "main", "--undo")
        here.own_is_there()
        assert served(here.town, "fastly") == served(here.town, "fly-blue") == {"not ours"}


def test_killed_at_a_fastly_that_refuses(tmp_path: Path, victims: Victims) -> None:
    """The switch the other way: the key, the certificate, the one attempt. Nothing that is served changes, and all goes back."""
    with scene(tmp_path / "town", victims, moves=False) as here:
        for step in (1, 2):
            here.town.run("takeover", "main", "--step", str(step))
        for _ in range(3):  # what is there already is not written again
            assert here.die(("takeover", "main", "--step", "3"), "fastly", 0, "after")
            here.take_back(3)
        here.town.run("takeover", "main", "--undo")
        here.own_is_there()
        assert served(here.town, "fastly") == served(here.town, "fly-blue") == {"not ours"}


@pytest.mark.parametrize(
    ("number", "when", "by"),
    [(0, "after", "renew"), (2, "after", "undo"), (5, "after", "undo"), (6, "before", "renew")],
)
def test_killed_while_labels_are_lent(tmp_path: Path, victims: Victims, number: int, when: When, by: str) -> None:
    """Two labels are taken away, two proofs written and removed, two labels put back: by hand, or by the next renew."""
    with scene(tmp_path / "town", victims) as here:
        assert here.die(("takeover", "main", "--step", "1"), "dnsimple", number, when)
        if by == "renew":
            here.town.run("renew", ends=None)
        else:
            here.town.run("takeover", "main", "--undo")
        here.own_is_there()
        here.town.run("takeover", "main", "--step", "1")
        here.own_is_there()
        assert len(here.town.ca.issued) == 1


def test_a_handback_that_is_killed_and_taken_back(tmp_path: Path, victims: Victims) -> None:
    with scene(tmp_path / "town", victims) as here:
        here.town.run("takeover", "main", "--all")
        for target, where in (("fly-blue", "fly"), ("fastly", "fastly")):
            flow = ("handback", "main", "--target", target)
            for number, when in KILLED_HANDBACK:
                assert here.die((*flow, "--all"), where, number, when)
                here.town.run(*flow, "--undo")
                assert served(here.town, target) == {"v1"}
            here.town.run(*flow, "--all")
            assert served(here.town, target) == {"not ours"}
        here.own_is_there()


KILLED_HANDBACK: list[tuple[int, When]] = [(0, "after"), (1, "after")]
"""The first name has given way; and both have."""
