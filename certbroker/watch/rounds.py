"""One round: read, look, judge, tell, remember. Nothing that goes wrong outside ends it early."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from certbroker.errors import CertbrokerError, Unavailable
from certbroker.notices import SEVERITIES, Condition, Message, Route, decide, message, told_now, ways
from certbroker.notices.sending import Post
from certbroker.secret import SecretRef
from certbroker.watch.inventory import Inventory
from certbroker.watch.judging import OLD, Judgement, judge, unread
from certbroker.watch.looking import look_at
from certbroker.watch.memory import Memory
from certbroker.watch.patience import Stopped
from certbroker.watch.reading import read
from certbroker.world import World

NOTHING: Final = Judgement((), (), ())


@dataclass(frozen=True, slots=True)
class Ears:
    """Whom to wake, whom to tell all the rest, and what hears of every round."""

    page: tuple[Route, ...] = ()
    tell: tuple[Route, ...] = ()
    heartbeat: SecretRef | None = None

    @property
    def anybody(self) -> bool:
        return bool(self.page or self.tell)


@dataclass(frozen=True, slots=True)
class Sent:
    """How one message fared. `error`: why it did not arrive; empty if it did."""

    way: str
    title: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """How a round went. `error`: why no inventory could be read; then `inventory` is the last one that could, if there was one."""

    at: datetime
    inventory: Inventory | None
    error: CertbrokerError | None
    judgement: Judgement
    conditions: tuple[Condition, ...]
    sent: tuple[Sent, ...]
    notes: tuple[str, ...]
    exit_code: int


class Watcher:
    """Watches what the inventory at `source` (a path or an HTTPS URL) tells of."""

    def __init__(
        self, world: World, source: str, memory: Memory, ears: Ears, *, within: timedelta | None, stopped: Stopped
    ) -> None:
        self._world = world
        self._source = source
        self._memory = memory
        self._ears = ears
        self._within = within
        self._stopped = stopped
        self._post = Post(lambda reference: reference.resolve(world.environ), world.network)

    def round(self) -> Round | None:
        """None if somebody ended it before it was over: then nobody is told anything."""
        notes = []
        self._post.beat(self._ears.heartbeat, "/start")
        inventory, error = self._read()
        looks = look_at(inventory, self._world, self._stopped) if inventory else []
        if self._stopped():
            return None
        now = self._world.clock.now()
        before = self._memory.before
        judgement = judge(inventory, looks, now, within=self._within, before=before) if inventory else NOTHING
        conditions = judgement.conditions
        if error is not None:
            told = any(each.key == OLD for each in conditions)  # the same, told with what it leads to
            missing = replace(self._unread(error, inventory, now), ripe=not told)
            conditions = (missing, *conditions)
            if inventory is None:  # nobody could look: nothing is over
                conditions += tuple(replace(each, ripe=False) for each in before if each.key != missing.key)
        sent = self._tell(conditions, inventory, now)
        notes += [f"nobody was told on the way {each.way}: {each.error}" for each in sent if each.error]
        try:
            self._memory.keep(conditions, inventory, now)
        except OSError as wrong:
            notes.append(f"nothing can be remembered, so all of it is told again: {wrong.strerror or wrong}")
        code = 1 if conditions or notes else 0
        if error is not None and not isinstance(error, Unavailable):
            code = 2
        unheard = self._post.beat(self._ears.heartbeat, "/fail" if code else "")
        notes += [f"the heartbeat was not heard: {unheard}"] if unheard else []
        return Round(now, inventory, error, judgement, conditions, sent, tuple(notes), code)

    def test(self) -> tuple[Sent, ...]:
        """A message on every way, that says it is a test."""
        text = "This is a test of certbroker's watcher. Nothing is wrong."
        said = {"change": "test", "at": self._world.clock.now().isoformat(), "host": self._world.host, "what": text}
        test = Message("certbroker: a test", f"{text}\ncertbroker on {self._world.host}", said)
        found = {way.label: way for severity in SEVERITIES for way in ways(self._ears, severity)}
        sent = [Sent(way.label, test.title, self._post.send(way, test)) for way in found.values()]
        if self._ears.heartbeat is not None:
            sent.append(Sent("heartbeat", "heartbeat", self._post.beat(self._ears.heartbeat)))
        return tuple(sent)

    def _read(self) -> tuple[Inventory | None, CertbrokerError | None]:
        try:
            return read(self._source, self._world, self._stopped), None
        except CertbrokerError as error:
            return self._memory.inventory, error

    def _unread(self, error: CertbrokerError, inventory: Inventory | None, now: datetime) -> Condition:
        served = "what it last said goes on being watched" if inventory else "nothing is watched"
        hint = error.hint or "see whether the broker runs, and whether what it writes gets there"
        return unread(f"no inventory: {error.what.splitlines()[0]}", hint, served, now, self._memory.before)

    def _tell(self, conditions: tuple[Condition, ...], inventory: Inventory | None, now: datetime) -> tuple[Sent, ...]:
        link = inventory.link if inventory else None
        sent = []
        for telling in decide(conditions, self._memory.told, (), self._ears, now):
            said = message(telling, now=now, host=f"{self._world.host} (watch)", link=link)
            error = self._post.send(telling.way, said)
            sent.append(Sent(telling.way.label, said.title, error))
            if error:
                continue
            row = told_now(telling, now)
            if row is not None:
                self._memory.tell(row)
            elif telling.row is not None:
                self._memory.over(telling.row)
        return tuple(sent)
