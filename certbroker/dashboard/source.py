"""What every page is made from: the file, the store and the time. Nothing here opens a key or needs a secret."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from certbroker.config import Config
from certbroker.errors import ConfigError, UsageError
from certbroker.store import Store
from certbroker.world import Clock


class Source:
    """The file is read again when it changed; while the new one is wrong, pages go on with the old one and say so."""

    def __init__(self, config: Config, store: Store, clock: Clock, read: Callable[[], Config]) -> None:
        self.store = store
        self._clock = clock
        self._read = read
        self._config = config
        self._lock = threading.Lock()
        self._stamp = self._file_stamp()
        self.stale = ""
        """Why the file as it is now could not be read; empty if it could."""

    @property
    def config(self) -> Config:
        with self._lock:
            stamp = self._file_stamp()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._config, self.stale = self._read(), ""
                except (ConfigError, UsageError) as error:
                    self.stale = error.what
            return self._config

    def now(self) -> datetime:
        """Aware, UTC."""
        return self._clock.now()

    def _file_stamp(self) -> tuple[int, int] | None:
        try:
            found = self._config.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
