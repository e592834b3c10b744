"""The dashboard of a town on a real port of loopback, as `certbroker dashboard` serves it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from certbroker.broker import read_config
from certbroker.dashboard import Doorkeeper, Source, make_app
from certbroker.dashboard.server import make_server
from certbroker.store import Store
from certbroker.world import Clock, World

HOSTS = frozenset({"127.0.0.1", "localhost"})


@dataclass(frozen=True)
class Site:
    """`site.get("/runs")` asks for a page."""

    url: str

    def get(self, path: str, **more: object) -> requests.Response:
        return requests.get(self.url + path, timeout=10, allow_redirects=False, **more)  # type: ignore[arg-type]


@contextmanager
def dashboard(world: World, folder: Path, clock: Clock, keeper: Doorkeeper | None = None) -> Iterator[Site]:
    """Serves the file and the store in `folder` until the block ends."""
    option = str(folder / "certbroker.toml")
    config = read_config(world, option)
    with Store.open(str(config.store), clock) as store:
        source = Source(config, store, clock, lambda: read_config(world, option))
        app = make_app(source, keeper or Doorkeeper(HOSTS))
        ear = socket.create_server(("127.0.0.1", 0))
        server = make_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [ear]}, daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield Site(f"http://127.0.0.1:{ear.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(10)
            ear.close()
