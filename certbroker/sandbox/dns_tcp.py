"""DNS over TCP: framing, and connections that end when the server does."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from typing import Any

Reply = Callable[[bytes], bytes | None]
"""From a message to its answer, both in wire form; None for silence."""


class TcpServer(socketserver.ThreadingTCPServer):
    """Two length octets before every message (RFC 1035 4.2.2); many on one connection."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    # a CA's validator asks for many names at once; 5 waiting ones, the default, makes it time out
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily, reply: Reply) -> None:
        self.address_family = family
        self.reply = reply
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _TcpHandler)

    def serve(self) -> None:
        self.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        return None  # a client that went away


class _TcpHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, TcpServer)
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                return
            (length,) = struct.unpack("!H", head)
            answer = server.reply(self.rfile.read(length))
            if answer is not None:
                self.wfile.write(struct.pack("!H", len(answer)) + answer)
