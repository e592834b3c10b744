"""An edge that really terminates TLS: what was pushed is what a handshake shows.

One edge has one set of bundles by name and any number of listening addresses, as a CDN has points of presence. Each address
can learn of a change late, be stuck at an old state, or be broken in one of several ways.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import os
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from weakref import WeakValueDictionary

from certbroker.secret import Secret
from certbroker.world import Clock, SystemClock

SECONDS: Final = 5.0
"""For a handshake, and then for the client's first words."""
PAGE: Final = b"certbroker sandbox edge, NOT TRUSTED\n"
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(PAGE)
) + PAGE


class Trouble(enum.Enum):
    """What is wrong with one address."""

    NONE = "none"
    CLOSED = "closed"
    """Connections are taken and closed at once."""
    RESET = "reset"
    """Connections are reset."""
    SILENT = "silent"
    """Connections are taken, and nothing is ever said."""
    PLAINTEXT = "plaintext"
    """HTTP without TLS is spoken."""
    GARBAGE = "garbage"
    """Bytes that are no protocol."""


@dataclass(frozen=True, slots=True)
class _Change:
    at: float
    pair: tuple[str, Secret] | None
    context: ssl.SSLContext | None


class TlsEdge:
    """`with TlsEdge(clock) as edge:` listens on loopback until the block ends; `edge.listen(...)` adds addresses.

    SNI chooses the bundle: the exact name, then the wildcard over it. For an unknown name (or none) the handshake ends in the
    alert `unrecognized_name`. A change is seen by the next handshake.
    """

    def __init__(self, clock: Clock | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.clock = clock or SystemClock()
        self.asked: list[tuple[str, str | None]] = []
        """Every handshake: (listening address, SNI)."""
        self._changes: dict[str, list[_Change]] = {}
        self._lock = threading.Lock()
        self.listeners = [Listener(self, host, port)]

    def serve(self, name: str, chain_pem: str, key: Secret) -> None:
        """From now on, `name` is served with this chain. Raises ValueError if the key does not belong to it."""
        pair = (chain_pem, key)
        with self._lock:
            last = self._changes.get(name.lower(), [])[-1:]
        if not last or last[0].pair != pair:
            self._change(name, pair, context_of(*pair))

    def withdraw(self, name: str) -> None:
        """From now on, `name` is not served."""
        self._change(name, None, None)

    @property
    def names(self) -> set[str]:
        """What is served now."""
        with self._lock:
            return {name for name, changes in self._changes.items() if changes[-1].pair is not None}

    def _change(self, name: str, pair: tuple[str, Secret] | None, context: ssl.SSLContext | None) -> None:
        with self._lock:
            self._changes.setdefault(name.lower(), []).append(_Change(self.clock.monotonic(), pair, context))

    def context_at(self, moment: float, name: str) -> ssl.SSLContext | None:
        """What was served for `name` at that monotonic moment."""
        star = f"*.{name.split('.', 1)[1]}" if "." in name else name
        with self._lock:
            for known in (name, star):
                past = [change for change in self._changes.get(known, []) if change.at <= moment]
                if past and past[-1].context is not None:
                    return past[-1].context
        return None

    def listen(self, host: str = "127.0.0.1", port: int = 0, *, delay: timedelta = timedelta()) -> Listener:
        """One more address, which learns of changes `delay` later. To be closed with the edge."""
        listener = Listener(self, host, port, delay=delay)
        self.listeners.append(listener)
        listener.start()
        return listener

    @property
    def port(self) -> int:
        """Of the first address."""
        return self.listeners[0].port

    @property
    def address(self) -> str:
        """The first address, `host:port`."""
        return self.listeners[0].address

    def __enter__(self) -> Self:
        self.listeners[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for listener in self.listeners:
            listener.stop()


class Listener:
    """One address of an edge. Its attributes may be set at any time.

    trouble: how it is broken.
    delay: how much later than the edge it learns of changes.
    answer: what it says, once hands are shaken, to whoever says something (None: nothing, ever).
    heard: the first words of every client that shook hands.
    """

    def __init__(self, edge: TlsEdge, host: str, port: int, *, delay: timedelta = timedelta()) -> None:
        self.host = host
        self.port = port
        self.delay = delay
        self.trouble = Trouble.NONE
        self.answer: bytes | None = ANSWER
        self.heard: list[bytes] = []
        self._edge = edge
        self._other: ssl.SSLContext | None = None
        self._stuck_at: float | None = None
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._lines: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._door = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._door.sni_callback = self._choose

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def stuck(self) -> bool:
        """It serves what it served when this was set, whatever changes."""
        return self._stuck_at is not None

    @stuck.setter
    def stuck(self, stuck: bool) -> None:
        self._stuck_at = self._sees_until() if stuck else None

    def show(self, chain_pem: str, key: Secret) -> None:
        """From now on show this to everybody here, whatever the edge serves."""
        self._other = context_of(chain_pem, key)

    def show_what_is_served(self) -> None:
        """The end of `show`."""
        self._other = None

    def start(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._socket = socket.create_server((self.host, self.port), family=family, backlog=128)
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, args=(self._socket,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._socket is None or self._thread is None:
            return
        self._socket = None
        with contextlib.suppress(OSError):  # wakes the thread, which then closes the socket
            socket.create_connection((self.host, self.port), timeout=SECONDS).close()
        self._thread.join(SECONDS)
        with self._lock:
            for line in self._lines:
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

    def _sees_until(self) -> float:
        if self._stuck_at is not None:
            return self._stuck_at
        return self._edge.clock.monotonic() - self.delay.total_seconds()

    def _choose(self, line: ssl.SSLSocket | ssl.SSLObject, name: str | None, door: ssl.SSLContext) -> int | None:
        self._edge.asked.append((self.address, name))
        context = self._other or (self._edge.context_at(self._sees_until(), name.lower()) if name else None)
        if context is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        line.context = context
        return None

    def _accept(self, listening: socket.socket) -> None:
        with listening:
            while True:
                try:
                    line, _ = listening.accept()
                except OSError:
                    continue  # the client was gone before we came
                if self._socket is None:
                    line.close()
                    return
                with self._lock:
                    self._lines.add(line)
                threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        try:
            with line, contextlib.suppress(OSError):  # a client that goes away or speaks nonsense is an ordinary day
                line.settimeout(SECONDS)
                if self.trouble is Trouble.NONE:
                    self._serve(line)
                else:
                    self._misbehave(line)
        finally:
            with self._lock:
                self._lines.discard(line)

    def _serve(self, line: socket.socket) -> None:
        with self._door.wrap_socket(line, server_side=True) as secure:
            with self._lock:
                self._lines.add(secure)
            try:
                while first := secure.recv(65536):
                    self.heard.append(first)
                    if self.answer is not None:
                        secure.sendall(self.answer)
                        break
            finally:
                with self._lock:
                    self._lines.discard(secure)

    def _misbehave(self, line: socket.socket) -> None:
        if self.trouble is Trouble.RESET:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif self.trouble is Trouble.SILENT:
            line.settimeout(None)
            while line.recv(65536):
                pass
        elif self.trouble is Trouble.PLAINTEXT:
            line.recv(65536)
            line.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        elif self.trouble is Trouble.GARBAGE:
            line.recv(65536)
            line.sendall(b"\x16\x03\x03\x00\x10" + b"\xff" * 64)


_made: Final[WeakValueDictionary[bytes, ssl.SSLContext]] = WeakValueDictionary()
"""By a digest of the pair: what is pushed to a platform goes to every one of its edges, and reading a pair takes a millisecond."""


def context_of(chain_pem: str, key: Secret) -> ssl.SSLContext:
    """A server's context of this pair. Raises ValueError if they do not belong together or cannot be read."""
    pair = hashlib.sha256(f"{chain_pem}\0{key.reveal()}".encode()).digest()
    context = _made.get(pair)
    if context is None:
        context = _made[pair] = _read(chain_pem, key)
    return context


def _read(chain_pem: str, key: Secret) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with _in_memory(chain_pem) as chain_file, _in_memory(key.reveal()) as key_file:
        try:
            context.load_cert_chain(chain_file, key_file, password=lambda: "")
        except ssl.SSLError as error:
            raise ValueError(f"the edge cannot use this certificate: {error.reason or 'unreadable'}") from None
    return context


@contextlib.contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """A path to `text` for as long as the block runs: `ssl` loads keys from files only. Never on a disk where Linux can help it."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("certbroker", os.MFD_CLOEXEC), "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    handle, path = tempfile.mkstemp(prefix="certbroker-")  # made 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        yield path
    finally:
        Path(path).unlink()
