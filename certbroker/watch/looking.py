"""Looks at every edge of an inventory, many at once, and again at what did not answer: one flake is no alarm."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from certbroker import probe
from certbroker.model import Edge
from certbroker.probe import Roots, Seen, Verdict
from certbroker.watch.inventory import AtTarget, Entry, Inventory
from certbroker.watch.patience import Stopped, rest
from certbroker.world import World

AT_ONCE: Final = 16

PAUSES: Final = (3.0, 12.0)
"""Seconds before what did not answer is looked at again."""

DEAD: Final = 3
"""An edge at which nobody answered for so many names is not asked for the others in the same round."""

_SILENT: Final = (Verdict.UNREACHABLE, Verdict.REFUSED)


@dataclass(frozen=True, slots=True)
class Look:
    """What one address showed for one name of a certificate at a target."""

    entry: Entry
    at: AtTarget
    seen: Seen


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    entry: Entry
    at: AtTarget
    name: str
    edge: Edge
    roots: Roots


def look_at(inventory: Inventory, world: World, stopped: Stopped) -> list[Look]:
    """Every address of every edge for every name. Never raises for what a server does; BadMaterial: no roots are known here."""
    judged = _Judged(inventory)
    tasks = [
        _Task(entry, at, name, Edge(where.host, where.port), judged.by(entry, at))
        for entry in inventory.certificates
        for at in entry.targets
        for where in at.edges
        for name in at.names
    ]
    found = _all(tasks, inventory, world, stopped)
    for pause in PAUSES:
        again = [number for number, seen in enumerate(found) if any(each.verdict in _SILENT for each in seen)]
        if not again or not rest(world.clock, pause, stopped):
            break
        new = _all([tasks[number] for number in again], inventory, world, stopped)
        for number, seen in zip(again, new, strict=True):
            found[number] = _better(found[number], seen)
    return [Look(task.entry, task.at, each) for task, seen in zip(tasks, found, strict=True) for each in seen]


def _all(tasks: Sequence[_Task], inventory: Inventory, world: World, stopped: Stopped) -> list[list[Seen]]:
    eyes = _Eyes(inventory, world, stopped)
    with ThreadPoolExecutor(max(1, min(AT_ONCE, len(tasks)))) as pool:
        return list(pool.map(eyes.look, tasks))


def _better(before: Sequence[Seen], now: Sequence[Seen]) -> list[Seen]:
    """By address: what answered at any time did answer."""
    best = {each.address: each for each in before if each.verdict not in _SILENT}
    return [best.get(each.address, each) for each in now] or list(before)


class _Eyes:
    """One round of looks. An edge that is dead is waited for by a few of them, not by all."""

    def __init__(self, inventory: Inventory, world: World, stopped: Stopped) -> None:
        self._inventory = inventory
        self._world = world
        self._stopped = stopped
        self._lock = threading.Lock()
        self._silent: dict[Edge, list[list[Seen]]] = {}
        """What was seen where nobody answered since the beginning; an edge that did answer is not in it any more."""
        self._reached: set[Edge] = set()

    def look(self, task: _Task) -> list[Seen]:
        if self._stopped():
            return []
        with self._lock:
            silent = self._silent.get(task.edge, [])
            if len(silent) >= DEAD:
                return [replace(each, name=task.name) for each in silent[-1]]
        seen = probe.look(
            task.edge,
            task.name,
            roots=task.roots,
            network=self._world.network,
            connect_to=self._inventory.connect_to,
            clock=self._world.clock,
        )
        with self._lock:
            if any(each.verdict is not Verdict.UNREACHABLE for each in seen):
                self._reached.add(task.edge)
                self._silent.pop(task.edge, None)
            elif task.edge not in self._reached:
                self._silent.setdefault(task.edge, []).append(seen)
        return seen


class _Judged:
    """By which roots: those of what may be served there, the system's where one of it has none of its own."""

    def __init__(self, inventory: Inventory) -> None:
        self._pems = inventory.roots
        self._made: dict[frozenset[str | None], Roots] = {}

    def by(self, entry: Entry, at: AtTarget) -> Roots:
        named = frozenset(each.roots for each in entry.versions if each.fingerprint in at.serves)
        if named not in self._made:
            pem = "".join(self._pems[key] for key in sorted(key for key in named if key is not None))
            if None not in named:
                self._made[named] = Roots.of(pem)
            else:
                self._made[named] = Roots.with_system(pem) if pem else Roots.system()
        return self._made[named]
