"""Connect, shake hands, take the chain as it was sent. Trusts nothing, raises nothing for what a server does."""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from OpenSSL import SSL, crypto

from certbroker.probe.asking import Answer, answer
from certbroker.world import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """`shown` is what people know; `host` (an IP or a name) and `port` are where the connection goes."""

    shown: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Heard:
    """The certificates that were sent (DER, leaf first); if there are none, `detail` says why."""

    chain: tuple[bytes, ...] = ()
    reached: bool = True
    """Somebody took the connection."""
    detail: str = ""
    answer: Answer | None = None
    """To the request that was sent, if one was."""


def shake_hands(place: Place, sni: str | None, clock: Clock, timeout: float, request: bytes | None = None) -> Heard:
    """Within `timeout` seconds from connecting to the end. `request`: HTTP that is sent once hands are shaken."""
    deadline = clock.monotonic() + timeout
    try:
        line = socket.create_connection((place.host, place.port), timeout=timeout)
    except OSError as error:
        return Heard(reached=False, detail=words(error))
    with line:
        line.setblocking(False)
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_verify(SSL.VERIFY_NONE)
        connection = SSL.Connection(context, line)
        if sni is not None:
            connection.set_tlsext_host_name(sni.encode())
        connection.set_connect_state()
        with selectors.DefaultSelector() as selector:
            selector.register(line, selectors.EVENT_READ)
            patience = _Patience(selector, line, clock, deadline)
            refusal = _handshake(connection, patience)
            if refusal is not None:
                return Heard(detail=refusal)
            sent = connection.get_peer_cert_chain() or []
            chain = tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in sent)
            answer = _ask(connection, patience, request) if request is not None else None
        _say_goodbye(connection)
    return Heard(chain, answer=answer) if chain else Heard(detail="no certificate was sent")


@dataclass(frozen=True, slots=True)
class _Patience:
    """The socket does not block: a server that drips cannot outlast the deadline."""

    selector: selectors.BaseSelector
    line: socket.socket
    clock: Clock
    deadline: float

    def __call__(self, act: Callable[[], T]) -> T:
        """Do it as soon as the line lets us. Raises TimeoutError at the deadline, and what `act` raises."""
        while True:
            try:
                return act()
            except SSL.WantReadError:
                self.selector.modify(self.line, selectors.EVENT_READ)
            except SSL.WantWriteError:
                self.selector.modify(self.line, selectors.EVENT_WRITE)
            left = self.deadline - self.clock.monotonic()
            if left <= 0 or not self.selector.select(left):
                raise TimeoutError


def _handshake(connection: SSL.Connection, patience: _Patience) -> str | None:
    """None when hands are shaken, else why not."""
    try:
        patience(connection.do_handshake)
    except TimeoutError:
        return "no answer to the handshake in time"
    except SSL.ZeroReturnError:
        return "the connection was closed during the handshake"
    except SSL.SysCallError as error:
        number = error.args[0]
        cut = number in (-1, errno.ECONNRESET, errno.EPIPE)
        return "the connection was cut during the handshake" if cut else errno.errorcode.get(number, "failed")
    except SSL.Error as error:
        return _alert(error)
    return None


def _ask(connection: SSL.Connection, patience: _Patience, request: bytes) -> Answer:
    """A server that asks for a client's certificate, hangs up, or says nothing has not answered."""

    def more() -> bytes:
        try:
            return patience(lambda: connection.recv(4096))
        except (SSL.ZeroReturnError, SSL.SysCallError):
            return b""

    try:
        patience(lambda: connection.send(request))
        return answer(more)
    except TimeoutError:
        return Answer(None, "no answer in time")
    except SSL.SysCallError:
        return Answer(None, "closed without an answer")
    except SSL.Error as error:
        return Answer(None, _alert(error))


def _alert(error: SSL.Error) -> str:
    """OpenSSL's reason: "tlsv1 unrecognized name" and the like are alerts of the server, "wrong version number" is plaintext."""
    queue = error.args[0] if error.args else ()
    reason = str(queue[-1][-1]) if queue else "the handshake failed"
    if reason in ("wrong version number", "packet length too long", "record layer failure", "http request"):
        return "no TLS is spoken there"
    if reason == "unexpected eof while reading":
        return "the connection was closed during the handshake"
    return reason


def _say_goodbye(connection: SSL.Connection) -> None:
    try:
        connection.shutdown()
    except SSL.Error:
        return  # it hung up first; what it showed is seen


NO_ROUTE: Final = ("no route from here", "this machine has no such network")
"""Nothing is known of the server then: a machine without IPv6 says so of every IPv6 address."""

_ERRNO: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.ENETUNREACH: NO_ROUTE[0],
    errno.EHOSTUNREACH: NO_ROUTE[0],
    errno.EADDRNOTAVAIL: NO_ROUTE[0],
    errno.EAFNOSUPPORT: NO_ROUTE[1],
    errno.ETIMEDOUT: "no answer in time",
}


def words(error: OSError) -> str:
    """What an OSError means to the owner of a server."""
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return _ERRNO.get(error.errno or 0) or str(error.strerror or error).lower()


def join(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split(address: str) -> tuple[str, int]:
    """The inverse of `join`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
