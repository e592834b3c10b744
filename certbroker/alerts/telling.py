"""After each run: tell what needs somebody, and let the heartbeat be heard. Nothing here can fail a run.

What was told is kept in the store; while the store refuses, beside it (`spare`); and where that is refused too, it is told once a day.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from certbroker.alerts.spare import Kept, Spare
from certbroker.config import Config
from certbroker.errors import CertbrokerError, StoreError
from certbroker.notices import SEVERITIES, Condition, Message, MuteRow, Telling, decide, message, told_now, ways
from certbroker.notices.sending import Post
from certbroker.secret import Secret, SecretRef
from certbroker.standing import Facts, First, Outage, conditions, gather
from certbroker.store import AlertRow, Store
from certbroker.world import World

KIND: Final = "alerts"
"""Of the findings that say that a way is shut."""

MORNING: Final = timedelta(hours=8)
"""From midnight, UTC: then what lasts is told where nothing can be kept."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one message fared. `error`: why it did not arrive; empty if it did."""

    way: str
    title: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    """What stands, what was told of it, and what nobody wants to hear of."""

    conditions: tuple[Condition, ...]
    told: list[AlertRow]
    mutes: list[MuteRow]


class Herald:
    """Everything that is told to people elsewhere. `resolve` opens a reference when it is needed, never before."""

    def __init__(self, world: World, config: Config, spare: Spare, resolve: Callable[[SecretRef], Secret]) -> None:
        self._world = world
        self._config = config
        self._spare = spare
        self._post = Post(resolve, world.network, config.network.connect_to)
        self._store: Store | None = None
        self._kept = Kept()
        self._refused: CertbrokerError | None = None

    def listen(self, store: Store) -> None:
        """The run has opened it."""
        self._store = store

    @property
    def listens(self) -> bool:
        """Whether it was opened."""
        return self._store is not None

    def tell(self, refused: CertbrokerError | None = None) -> list[Outcome]:
        """What is to be told now. Keeps what arrived; what did not is told by the next run.

        `refused`: why the run could not use the store, which may not keep what is told either, then. Raises StoreError only where
        it was not opened, for no reason that was given.
        """
        settings = self._config.alerts
        if not (settings.page or settings.tell):
            return []
        now = self._world.clock.now()
        self._kept, self._refused = self._spare.read(), refused
        known = self._known(now)
        outcomes = []
        for telling in decide(known.conditions, known.told, known.mutes, settings, now):
            if not self._spare.holds(_after(self._kept, telling, now)):
                continue  # what could not be remembered would be told by every run
            said = message(telling, now=now, host=self._world.host, link=settings.link)
            error = self._post.send(telling.way, said)
            outcomes.append(Outcome(telling.way.label, said.title, error))
            if not error:
                self._keep(telling, now)
        if self._refused is None and self._store is not None:
            self._note(self._store, outcomes)
        return outcomes

    def _known(self, now: datetime) -> _Known:
        if self._refused is None and self._store is not None:
            try:
                self._take_back(self._store)
                facts = gather(self._store, self._config, now)
                return _Known(conditions(facts), self._store.alerts(), self._store.mutes())
            except StoreError as error:
                self._refused = error
        if self._refused is None:
            raise StoreError("no store was opened")
        return self._cut_off(self._refused, now)

    def _take_back(self, store: Store) -> None:
        """The store listens: what it was not told it is told now, and what needs it first is noted for the next time."""
        for row in self._kept.told:
            store.put_alert(row)
        for key, way in self._kept.over:
            store.drop_alert(key, way)
        self._kept = Kept(first=_first(store))
        self._spare.prepare(self._kept)

    def _cut_off(self, refused: CertbrokerError, now: datetime) -> _Known:
        """What is known without writing to the store; where even reading is refused, nothing but that, and what was kept."""
        new = self._kept.since is None
        self._kept = replace(self._kept, since=self._kept.since or now)
        remembers = self._spare.write(self._kept)
        outage = Outage(
            self._world.host[:200],
            refused.what,
            refused.hint or "",
            self._kept.since or now,
            self._kept.first,
            ripe=not (new and remembers and refused.retryable),
        )
        facts, told, mutes = Facts(now, self._config.every, outage=outage), list(self._kept.told), list[MuteRow]()
        try:
            if self._store is not None:
                outage = replace(outage, first=_first(self._store))
                facts = replace(gather(self._store, self._config, now), outage=outage)
                told, mutes = self._kept.laid_over(self._store.alerts()), self._store.mutes()
        except StoreError:
            self._store = None
        found = conditions(facts)
        if self._store is None:  # the rest may last, or be over
            told = [row for row in told if row.key in {each.key for each in found}]
        if not remembers:
            found = tuple(each for each in found if each.severity == "page" or self._in_the_morning(now))
            told = []
        return _Known(found, told, mutes)

    def _in_the_morning(self, now: datetime) -> bool:
        """One run a day, by the file's rhythm."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return (now - midnight - MORNING) % timedelta(days=1) < self._config.every

    def test(self) -> list[Outcome]:
        """A message on every way, that says it is a test."""
        now = self._world.clock.now()
        text = "This is a test of certbroker's alerts. Nothing is wrong."
        values = {"change": "test", "at": now.isoformat(), "host": self._world.host, "what": text}
        said = Message("certbroker: a test", f"{text}\ncertbroker on {self._world.host}", values)
        settings = self._config.alerts
        found = {way.label: way for severity in SEVERITIES for way in ways(settings, severity)}
        outcomes = [Outcome(way.label, said.title, self._post.send(way, said)) for way in found.values()]
        if settings.heartbeat is not None:
            outcomes.append(Outcome("heartbeat", "heartbeat", self.beat()))
        return outcomes

    def beat(self, path: str = "") -> str:
        """Visit the heartbeat's URL: `/start`, nothing (all well) or `/fail`. Returns why it was not reached."""
        return self._post.beat(self._config.alerts.heartbeat, path)

    def _keep(self, telling: Telling, now: datetime) -> None:
        if self._refused is None and self._store is not None:
            try:
                row = told_now(telling, now)
                if row is not None:
                    self._store.put_alert(row)
                elif telling.row is not None:
                    self._store.drop_alert(telling.row.key, telling.way.label)
            except StoreError as error:
                self._refused = error
            else:
                return
        self._kept = _after(self._kept, telling, now)
        self._spare.write(self._kept)

    def _note(self, store: Store, outcomes: list[Outcome]) -> None:
        """A way that is shut is a finding, and one that is open again ends it."""
        failed = {each.way: each.error for each in outcomes if each.error}
        shut = {row.name for row in store.findings() if row.kind == KIND and row.state != "ok"}
        for way, error in failed.items():
            hint = "put its address right, then: certbroker alerts test"
            store.put_finding(KIND, way, "fail", f"nobody is told on the way {way}: {error}", hint)
        settings = self._config.alerts
        left = shut - {way.label for severity in SEVERITIES for way in ways(settings, severity)}
        for way in (shut & {each.way for each in outcomes if not each.error} - set(failed)) | left:
            store.put_finding(KIND, way, "ok", "it works again")


def _after(kept: Kept, telling: Telling, now: datetime) -> Kept:
    row = told_now(telling, now)
    if row is not None:
        return kept.telling(row)
    return kept if telling.row is None else kept.ending(telling.row.key, telling.way.label)


def _first(store: Store) -> First | None:
    standing = store.first_to_act()
    return First.of(standing) if standing else None
