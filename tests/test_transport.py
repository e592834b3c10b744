"""What carries HTTP, through a proxy: what is bounded is one answer, and each has its own time."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from certbroker.sandbox.ca import SandboxCA
from certbroker.testkit.simulator import Request, Response, Simulator, serve
from certbroker.transport import Transport
from certbroker.world import SystemClock, SystemNetwork
from tests.servers.raw import Raw

SECONDS = 3.0
"""For the whole of an answer."""


class Hello(Simulator):
    def answer(self, request: Request) -> Response:
        return Response.of(200, {"path": request.path})


@contextlib.contextmanager
def proxy(port: int) -> Iterator[tuple[str, threading.Event]]:
    """Leads every CONNECT to `port` of this machine; drops what it leads when the event is set."""
    listener = socket.create_server(("127.0.0.1", 0))
    drop = threading.Event()

    def pipe(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def lead(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for ends in ((client, server), (server, client)):
                threading.Thread(target=pipe, args=ends, daemon=True).start()
            drop.wait(60)
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=lead, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", drop
    finally:
        drop.set()
        listener.close()


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """Of a server whose certificate roots.pem in `tmp_path` vouches for."""
    authority = SandboxCA(clock=SystemClock(), rng=random.Random(7), lookup_txt=lambda name: [])
    chain, key = authority.issue_directly("127.0.0.1")
    (tmp_path / "pair.pem").write_text(chain + key.reveal())
    (tmp_path / "roots.pem").write_text(authority.roots_pem)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(tmp_path / "pair.pem")
    return made


def session(tmp_path: Path, through: str) -> requests.Session:
    made = requests.Session()
    made.mount("https://", Transport(SystemNetwork()))
    made.proxies = {"https": through}
    made.verify = str(tmp_path / "roots.pem")
    made.trust_env = False
    return made


def test_a_connection_that_the_proxy_dropped_is_opened_anew_and_has_all_its_time(
    tmp_path: Path, tls: ssl.SSLContext
) -> None:
    with serve(Hello(), tls=tls) as served, proxy(served.port) as (through, drop):
        http = session(tmp_path, through)
        assert http.get(f"{served.url}/1", timeout=(5, SECONDS)).json() == {"path": "/1"}
        drop.set()
        time.sleep(SECONDS)
        drop.clear()
        assert http.get(f"{served.url}/2", timeout=(5, SECONDS)).json() == {"path": "/2"}


def test_what_drips_through_a_proxy_ends_too(tmp_path: Path, tls: ssl.SSLContext) -> None:
    with Raw(b"HTTP/1.1 200 OK\r\nX-Long: ", pause=0.05, forever=b"x", tls=tls) as url:
        port = int(url.rpartition(":")[2])
        with proxy(port) as (through, _), pytest.raises(requests.exceptions.Timeout):
            session(tmp_path, through).get(f"{url}/", timeout=(5, 0.5))
