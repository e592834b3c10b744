"""After each run: tell what needs somebody, and let the heartbeat be heard. Nothing here can fail a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from certbroker.config import Config
from certbroker.notices import SEVERITIES, Message, Telling, decide, message, told_now, ways
from certbroker.notices.sending import Post
from certbroker.secret import Secret, SecretRef
from certbroker.standing import conditions, gather
from certbroker.store import Store
from certbroker.world import World

KIND: Final = "alerts"
"""Of the findings that say that a way is shut."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one message fared. `error`: why it did not arrive; empty if it did."""

    way: str
    title: str
    error: str = ""


class Herald:
    """Everything that is told to people elsewhere. `resolve` opens a reference when it is needed, never before."""

    def __init__(self, world: World, config: Config, store: Store, resolve: Callable[[SecretRef], Secret]) -> None:
        self._world = world
        self._config = config
        self._store = store
        self._post = Post(resolve, world.network, config.network.connect_to)

    def tell(self) -> list[Outcome]:
        """What is to be told now. Keeps what arrived; what did not is told by the next run. Raises StoreError."""
        settings = self._config.alerts
        if not (settings.page or settings.tell):
            return []
        now = self._world.clock.now()
        told = conditions(gather(self._store, self._config, now))
        rows = self._store.alerts()
        outcomes = []
        for telling in decide(told, rows, self._store.mutes(), settings, now):
            said = message(telling, now=now, host=self._world.host, link=settings.link)
            error = self._post.send(telling.way, said)
            outcomes.append(Outcome(telling.way.label, said.title, error))
            if not error:
                self._keep(telling)
        self._note(outcomes)
        return outcomes

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

    def _keep(self, telling: Telling) -> None:
        row = told_now(telling, self._world.clock.now())
        if row is not None:
            self._store.put_alert(row)
        elif telling.row is not None:
            self._store.drop_alert(telling.row.key, telling.way.label)

    def _note(self, outcomes: list[Outcome]) -> None:
        """A way that is shut is a finding, and one that is open again ends it."""
        failed = {each.way: each.error for each in outcomes if each.error}
        shut = {row.name for row in self._store.findings() if row.kind == KIND and row.state != "ok"}
        for way, error in failed.items():
            hint = "put its address right, then: certbroker alerts test"
            self._store.put_finding(KIND, way, "fail", f"nobody is told on the way {way}: {error}", hint)
        settings = self._config.alerts
        left = shut - {way.label for severity in SEVERITIES for way in ways(settings, severity)}
        for way in (shut & {each.way for each in outcomes if not each.error} - set(failed)) | left:
            self._store.put_finding(KIND, way, "ok", "it works again")
