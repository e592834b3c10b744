"""What carries HTTP: requests' own transport, but for what we cannot leave to whoever answers.

A read time-out is usually that of each piece: a server that sends one byte a second, in its headers even, is never late.
Here it is that of the whole answer, from its first byte to its last. It counts on the machine's own clock, as sockets do.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Mapping
from functools import partial
from http.client import HTTPResponse as Head
from typing import Any, Final, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from certbroker.world import Network


class Transport(HTTPAdapter):
    """requests' own transport with our habits: announce the contact, honour `connect_to`, never re-send.

    `connect_to` maps "host:port" to "host:port" as curl's --connect-to does: name checking and SNI stay with the first.
    The read time-out of a request, which every request must have, is that of its whole answer.
    """

    def __init__(self, network: Network, connect_to: Mapping[str, str] | None = None, *, pool: int = 10) -> None:
        self._network = network
        self._connect_to = dict(connect_to or {})
        super().__init__(pool_connections=pool, pool_maxsize=pool, max_retries=0)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        if type(manager) is ProxyManager:  # one for SOCKS has connections of its own kind
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        self._network.contact("http", f"{parts.scheme}://{parts.netloc}")
        return super().send(request, *args, **kwargs)

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        parts = urlsplit(request.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        named = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        elsewhere = self._connect_to.get(f"{named}:{port}")
        if elsewhere is None:
            return super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        host, _, to_port = elsewhere.rpartition(":")
        host_params, pool_kwargs = self.build_connection_pool_key_attributes(request, verify, cert)
        if parts.scheme == "https":
            names = {"server_hostname": parts.hostname, "assert_hostname": parts.hostname}
            pool_kwargs = cast("Any", {**pool_kwargs, **names})
        return self.poolmanager.connection_from_host(
            host.strip("[]"), int(to_port), scheme=host_params["scheme"], pool_kwargs=pool_kwargs
        )


class _Arriving(io.RawIOBase):
    """What comes over a socket until a moment (`time.monotonic()` seconds). TimeoutError: it came too late."""

    def __init__(self, sock: socket.socket, latest: float) -> None:
        self._sock = sock
        self._latest = latest
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._latest - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer does not come to its end")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Bounded:
    """Stands where `http.client` expects the socket of an answer."""

    def __init__(self, sock: socket.socket, latest: float) -> None:
        self._sock = sock
        self._latest = latest

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Arriving(self._sock, self._latest))


def _answer(latest: float, sock: socket.socket, *args: Any, **kwargs: Any) -> Head:
    return Head(cast("socket.socket", _Bounded(sock, latest)), *args, **kwargs)


class _Connection(HTTPConnection):
    """One that hears an answer only until its time is over."""

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(cast("float", self.timeout))  # the answer before left it at what was left
        super().request(*args, **kwargs)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        latest = time.monotonic() + cast("float", self.timeout)
        self.response_class = partial(_answer, latest)  # type: ignore[assignment]  # it is only ever called
        try:
            return super().getresponse()
        finally:
            del self.response_class  # a proxy's answer to CONNECT, when this is opened anew, has a time of its own


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS: Final = {"http": _Pool, "https": _TlsPool}
