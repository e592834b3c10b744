"""The base of simulators: an in-memory server application, its fault switches, and two ways to reach it.

A simulator answers one `Request` with one `Response`; it knows nothing of sockets. `SimulatorTransport` puts it behind a
`requests` session (unit tests: no port, no thread); `serve` puts it on a loopback port (real clients, the sandbox).
Counting and fault injection are inherited, so every cloud can play the same bad days.
"""

from __future__ import annotations

import contextlib
import io
import json
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict, HTTPResponse


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` is still percent-encoded, without the query; `headers` ignores case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body, or None if it is empty or no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def one(self, name: str, default: str = "") -> str:
        """The first query value of that name."""
        return next((value for key, value in self.query if key == name), default)

    @property
    def write(self) -> bool:
        return self.method not in ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, value: Any, *, kind: str = "application/json", **headers: str) -> Response:
        """A JSON answer."""
        return cls(status, json.dumps(value).encode(), {"Content-Type": kind, **headers})

    @classmethod
    def html(cls, status: int, text: str) -> Response:
        """What a load balancer says."""
        return cls(status, text.encode(), {"Content-Type": "text/html"})


class LineDead(OSError):
    """The connection dies before an answer is read."""


class LineSilent(LineDead):
    """Nothing came until the client's patience was over."""


@dataclass
class Fault:
    """One bad thing to happen to the next `times` requests that `matches`.

    `when="before"`: the request has no effect. `when="after"`: it takes effect and then goes wrong.
    `then`: a Response to give instead, or "reset" (the line dies), or "silence" (nothing for `seconds`, then it dies), or "lie"
    (the answer of a success that never took effect), or a callable run at that moment (e.g. to kill the client), after which
    the line dies.
    """

    then: Response | Literal["reset", "silence", "lie"] | Callable[[], None]
    when: Literal["before", "after"] = "before"
    times: int = 1
    skip: int = 0
    """Let this many matching requests pass first."""
    matches: Callable[[Request], bool] = lambda request: True
    seconds: float = 0.0


class Simulator:
    """Inherit and write `answer`. Thread-safe: one request at a time."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.bugs: list[str] = []
        """Tracebacks of what `answer` raised and should not have. Must stay empty."""
        self.on_change: Callable[[], None] | None = None
        """Called after something that edges serve may have changed."""
        self._lock = threading.RLock()

    def answer(self, request: Request) -> Response:
        """What the real service would do and say."""
        raise NotImplementedError

    def remember(self) -> Callable[[], None]:
        """A copy of what it holds now; the answer puts it back, as often as it is called."""
        raise NotImplementedError

    @property
    def writes(self) -> list[Request]:
        """The requests that could change something, in order."""
        return [request for request in self.requests if request.write]

    def handle(self, request: Request) -> Response:
        """`answer`, with the faults that are due. Raises LineDead."""
        with self._lock:
            self.requests.append(request)
            fault = self._due(request)
            if fault is None:
                return self._answer_or_tell(request)
            if fault.then == "lie":
                return self._lie(request)
            if fault.when == "after":
                self._answer_or_tell(request)
        if isinstance(fault.then, Response):
            return fault.then
        if fault.then == "silence":
            time.sleep(fault.seconds)
            raise LineSilent
        if callable(fault.then):
            fault.then()
        raise LineDead

    def _answer_or_tell(self, request: Request) -> Response:
        try:
            return self.answer(request)
        except Exception:
            self.bugs.append(traceback.format_exc())
            raise

    def _lie(self, request: Request) -> Response:
        put_back, told, self.on_change = self.remember(), self.on_change, None
        try:
            return self._answer_or_tell(request)
        finally:
            put_back()
            self.on_change = told

    def _due(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if not fault.matches(request):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.times > 0:
                fault.times -= 1
                return fault
        return None


class Handles(Protocol):
    """What a port or a transport needs of a simulator."""

    def handle(self, request: Request) -> Response: ...


class SimulatorTransport(BaseAdapter):
    """A simulator as a `requests` transport: mount it where the real one would be."""

    def __init__(self, simulator: Handles) -> None:
        super().__init__()
        self._simulator = simulator

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        parts = urlsplit(request.url or "")
        body = request.body or b""
        try:
            answer = self._simulator.handle(
                Request(
                    request.method or "GET",
                    parts.path,
                    tuple(parse_qsl(parts.query, keep_blank_values=True)),
                    CaseInsensitiveDict({name: str(value) for name, value in request.headers.items()}),
                    body.encode() if isinstance(body, str) else bytes(body),
                )
            )
        except LineSilent:
            raise requests.exceptions.ReadTimeout("nothing came") from None
        except LineDead:
            raise requests.exceptions.ConnectionError("the line is dead") from None
        response = requests.Response()
        response.status_code = answer.status
        response.headers = CaseInsensitiveDict(dict(answer.headers))
        response.reason = responses.get(answer.status, "")
        response.raw = HTTPResponse(
            body=io.BytesIO(answer.body),
            headers=HTTPHeaderDict(dict(answer.headers)),
            status=answer.status,
            preload_content=False,
        )
        response.request = request
        response.url = request.url or ""
        return response

    def close(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Served:
    """A simulator on a port."""

    url: str
    """Without final slash, e.g. `http://127.0.0.1:40001`."""
    host: str
    port: int


@contextlib.contextmanager
def serve(
    simulator: Handles, *, port: int = 0, tls: ssl.SSLContext | None = None, delay: float = 0.0
) -> Iterator[Served]:
    """Serve on loopback until the block ends. `port` 0 takes a free one; `delay` seconds are added to every answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one write an answer: unbuffered writes meet delayed ACKs, 40 ms each
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            return None

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            parts = urlsplit(self.path)
            request = Request(
                self.command,
                parts.path,
                tuple(parse_qsl(parts.query, keep_blank_values=True)),
                CaseInsensitiveDict(dict(self.headers.items())),
                self.rfile.read(length) if length else b"",
            )
            try:
                answer = simulator.handle(request)
            except LineDead:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return
            if delay:
                time.sleep(delay)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 - http.server's names

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            return None  # a client that went away is what half of the tests are about

    server = Server(("127.0.0.1", port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    actual = int(server.server_address[1])
    try:
        yield Served(f"{'https' if tls else 'http'}://127.0.0.1:{actual}", "127.0.0.1", actual)
    finally:
        ending = threading.Thread(target=server.shutdown)
        ending.start()
        with contextlib.suppress(OSError):  # wakes it: by itself it would notice at its next poll
            socket.create_connection(("127.0.0.1", actual), timeout=1).close()
        ending.join()
        server.server_close()
        thread.join()
