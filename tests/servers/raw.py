"""A server that knows nothing of HTTP."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
import time


class Raw:
    """A server that sends these bytes to whoever connects, one piece every `pause` seconds, over and over if it is asked to."""

    def __init__(
        self, *pieces: bytes, pause: float = 0.0, forever: bytes = b"", tls: ssl.SSLContext | None = None
    ) -> None:
        self.pieces = pieces
        self.pause = pause
        self.forever = forever
        self.tls = tls
        self.sent = 0

    def __enter__(self) -> str:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.socket.getsockname()[1]}"

    def __exit__(self, *exc: object) -> None:
        self.socket.close()
        self.thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self.socket.accept()
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                connection.recv(65536)
                for piece in itertools.chain(self.pieces, itertools.repeat(self.forever) if self.forever else ()):
                    connection.sendall(piece)
                    self.sent += len(piece)
                    time.sleep(self.pause)
