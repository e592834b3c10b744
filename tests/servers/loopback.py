"""Small servers of tests, each on a free port of loopback."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Quiet(BaseHTTPRequestHandler):
    """Writes no log."""

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def serving(
    handler: Callable[..., socketserver.BaseRequestHandler],
    kind: type[socketserver.TCPServer] = ThreadingHTTPServer,
) -> Iterator[int]:
    """The port at which `handler` answers until the block ends."""
    server = kind(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
