"""The CA's directory: where it does what. Asked once a day, and again when something we knew is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

from certbroker.errors import IssuanceError
from certbroker.issuer.messages import Directory
from certbroker.issuer.network import CaNetwork
from certbroker.issuer.waiting import patiently
from certbroker.store import Store
from certbroker.world import Clock

KEPT: Final = timedelta(hours=24)

T = TypeVar("T")


class Directories:
    """One CA's directory, kept in the store. Thread-safe."""

    def __init__(self, ca: str, url: str, *, store: Store, network: CaNetwork, clock: Clock) -> None:
        self._ca = ca
        self._url = url
        self._store = store
        self._network = network
        self._clock = clock
        self._known: Directory | None = None
        self._cached = False
        self._lock = threading.RLock()

    def get(self, *, fresh: bool = False) -> Directory:
        """Raises IssuanceError or IssuerUnavailable if it has to be asked for and cannot be had."""
        with self._lock:
            if fresh or self._known is None:
                self._known = (None if fresh else self._kept()) or self._fetch()
                self._network.learn(self._known)
            return self._known

    @property
    def at_hand(self) -> bool:
        """`get` needs no request."""
        with self._lock:
            if self._known is None and (kept := self._kept()) is not None:
                self._known = kept
                self._network.learn(kept)
            return self._known is not None

    def use(self, act: Callable[[Directory], T]) -> T:
        """`act` with the directory; once more with a new one if the kept one led to a place that is not there (any more)."""
        directory = self.get()
        try:
            return act(directory)
        except IssuanceError as error:
            if error.status not in (404, 405, 410):
                raise
            renewed = self._newer_than(directory)
            if renewed == directory:
                raise
        return act(renewed)

    def _newer_than(self, directory: Directory) -> Directory:
        """Asked for once, though several threads find out together; the same one if it did not come from the store."""
        with self._lock:
            known = self.get()
            return self.get(fresh=True) if known is directory and self._cached else known

    @property
    def cached(self) -> bool:
        """The one in use comes from the store: it may be up to a day old."""
        return self._cached

    def _kept(self) -> Directory | None:
        kept = self._store.directory(self._url)
        if kept is None:
            return None
        content, at = kept
        age = self._clock.now() - at
        if not timedelta() <= age < KEPT:
            return None
        try:
            known = Directory.read(self._ca, content)
        except IssuanceError:  # kept by a version of certbroker that read it differently
            return None
        self._cached = True
        return known

    def _fetch(self) -> Directory:
        network = self._network
        content = patiently(lambda: network.read(self._url, "its directory"), self._clock, network.deadline).object()
        known = Directory.read(self._ca, content)
        self._store.put_directory(self._url, content)
        self._cached = False
        return known
