"""Asking the CA when to renew (RFC 9773): all certificates of a run together, several questions under way at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from certbroker import events
from certbroker.challenges.several import as_they_come
from certbroker.errors import IssuanceError, IssuerUnavailable, RateLimited
from certbroker.events import Emit, Event
from certbroker.issuer import ari
from certbroker.issuer.directory import Directories
from certbroker.issuer.network import CaNetwork
from certbroker.keys import leaf_facts, read_chain
from certbroker.model import Version, Window
from certbroker.store import Store
from certbroker.world import World

AT_ONCE: Final = 16
"""Questions under way; the line paces them besides. They need no nonce, so more than signed requests are worth while."""

STUMBLES: Final = 3
"""How many in a row may find the CA away, or slow, before the rest is not asked in this run: others wait for us."""

SLOW_SECONDS: Final = 5.0

AWAY: Final = timedelta(hours=1)
"""When to ask again if the CA could not be reached: windows can be three hours wide."""

Heard = tuple[ari.Suggestion, float | None]
"""What the CA suggests, and its Retry-After (seconds)."""


class Windows:
    """What one CA says in one run. The pool's threads ask; the calling thread alone writes to the store, whatever has come in one go.

    Args:
        every: when the next run comes; the drawn moment of a window leaves room for two of them.
    """

    def __init__(
        self,
        ca: str,
        *,
        line: CaNetwork,
        directories: Directories,
        store: Store,
        world: World,
        emit: Emit,
        every: timedelta,
    ) -> None:
        self._ca = ca
        self._line = line
        self._directories = directories
        self._store = store
        self._world = world
        self._emit = emit
        self._every = every
        self._lock = threading.Lock()
        self._away = 0
        self._refused: IssuanceError | None = None

    def ask(self, versions: Sequence[Version]) -> list[Window | None]:
        """The window of each, in their order; None if the CA does not say and never did.

        The moment is drawn once a window. An answer that cannot be had or read is told as an event, and the old one holds.
        """
        windows: dict[int, Window | None] = dict(self._store.windows([version.id for version in versions]))
        living = [
            v for v in versions if self._world.clock.now() < v.lifetime.ends
        ]  # RFC 9773 section 4.3: not after its end
        told: list[Event] = []
        for answers in self._asked(living):
            with self._store.together():
                for version, answer in answers:
                    if answer is not None:
                        windows[version.id] = self._note(version, windows.get(version.id), answer, told)
            for event in told:
                self._emit(event)
            told.clear()
        return [windows.get(version.id) for version in versions]

    def _asked(self, versions: Sequence[Version]) -> Iterator[list[tuple[Version, Heard | IssuanceError | None]]]:
        """What came of each as it comes; None: there is nothing to ask."""
        if not versions:
            return
        try:
            place = self._directories.get().renewal_info
        except IssuanceError as error:
            yield [(version, error) for version in versions]
            return
        if place is None:
            return
        with ThreadPoolExecutor(min(AT_ONCE, len(versions)), thread_name_prefix=f"ari-{self._ca}") as pool:
            for done in as_they_come(pool, lambda v: self._question(place, v), dict(enumerate(versions))):
                yield [(versions[index], task.result()) for index, task in done]

    def _question(self, place: str, version: Version) -> Heard | IssuanceError | None:
        if (refused := self._refused) is not None:
            return refused
        identity = ari.certificate_id(leaf_facts(read_chain(version.chain_pem)[0]))
        if identity is None:
            return None
        began = self._world.clock.monotonic()
        try:
            reply = self._line.read(f"{place.rstrip('/')}/{identity}", "the renewal information")
            found = ari.Suggestion.read(self._ca, reply.object())
        except IssuanceError as error:
            self._stumbled(error)
            return error
        if self._world.clock.monotonic() - began >= SLOW_SECONDS:
            self._stumbled(IssuerUnavailable(f"{self._ca} takes too long to answer the renewal information"))
        else:
            with self._lock:
                self._away = 0
        return found, reply.retry_after

    def _stumbled(self, error: IssuanceError) -> None:
        """A CA that asks us to wait, or is away or slow again and again, is not asked about the rest."""
        with self._lock:
            self._away = self._away + 1 if isinstance(error, IssuerUnavailable) else 0
            if isinstance(error, RateLimited) or self._away >= STUMBLES:
                self._refused = error

    def _note(
        self, version: Version, old: Window | None, answer: Heard | IssuanceError, told: list[Event]
    ) -> Window | None:
        now = self._world.clock.now()
        if isinstance(answer, IssuanceError):
            return self._unknown(version, old, answer, told)
        found, retry_after = answer
        window = ari.heard(old, found, version.id, now, retry_after, self._world.random, self._every)
        moved: list[Event] = []
        if old is None or (old.start, old.end) != (window.start, window.end):
            moved.append(
                events.WindowMoved(
                    at=now,
                    certificate=version.certificate,
                    key_type=version.key_type.value,
                    start=found.start,
                    end=found.end,
                    drawn=window.drawn,
                    explanation_url=found.explanation_url,
                )
            )
        self._store.put_window(window, events=moved)
        told += moved
        return window

    def _unknown(self, version: Version, old: Window | None, error: IssuanceError, told: list[Event]) -> Window | None:
        now = self._world.clock.now()
        event = events.WindowUnknown(
            at=now, certificate=version.certificate, key_type=version.key_type.value, error=error.what
        )
        if old is None:
            self._store.record(event)
        else:
            away = isinstance(error, IssuerUnavailable | RateLimited)
            wait = error.retry_after if error.retry_after is not None else AWAY.total_seconds() if away else None
            old = ari.unheard(old, now, wait)
            self._store.put_window(old, events=[event])
        told.append(event)
        return old
