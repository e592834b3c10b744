"""http-01 by a web server of our own, for as long as a run has answers to give."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from certbroker.challenges.http_solver import FOLDER
from certbroker.challenges.lookup import joined, split
from certbroker.challenges.solver import SolverContext
from certbroker.errors import ProviderError, Rejected, Unavailable
from certbroker.model import Standing

EVERYWHERE: Final = ("0.0.0.0:80", "[::]:80")
SECONDS: Final = 10.0
"""How long a client may take to ask."""
_NO_SUCH_FAMILY: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class HttpServerSettings(BaseModel):
    """`[solver.NAME]` with `type = "http-server"`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    listen: Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)] = Field(
        default=list(EVERYWHERE), min_length=1, description="HOST:PORT, one or several"
    )

    @field_validator("listen")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        for text in value:
            host, _, port = text.rpartition(":")
            bare = host.removeprefix("[").removesuffix("]")
            if not host or not port.isdigit() or not 0 < int(port) < 65536 or (":" in bare) != host.startswith("["):
                raise ValueError("must be HOST:PORT, such as 0.0.0.0:80 or [::]:8080")
        return value


class HttpServerSolver:
    """It listens from the first answer to the last, and to everything but its answers it says 404."""

    settings: ClassVar[type[BaseModel]] = HttpServerSettings
    puts: ClassVar[Literal["http"]] = "http"

    def __init__(self, settings: HttpServerSettings) -> None:
        self._listen = tuple(settings.listen)
        self._lock = threading.Lock()
        self._answers: dict[str, str] = {}
        self._servers: list[_Server] = []

    @classmethod
    def open(cls, settings: HttpServerSettings, context: SolverContext) -> Self:
        return cls(settings)

    def present(self, name: str, token: str, key_authorization: str) -> str:
        with self._lock:
            if not self._servers:
                self._servers = _bound(self._listen, self._answers)
                for server in self._servers:
                    server.start()
            self._answers[token] = key_authorization
        return ""

    def clean_up(self, name: str, token: str, key_authorization: str, handle: str | None) -> None:
        """What a run that was killed answered has ended with it."""
        with self._lock:
            self._answers.pop(token, None)
            if not self._answers:
                servers, self._servers = self._servers, []
                for server in servers:
                    server.stop()

    def check(self, *, write: bool = False) -> Standing:
        where = " and ".join(self._listen)
        with self._lock:
            if not self._servers:
                for server in _bound(self._listen, {}):
                    server.server_close()
        return Standing(name=f"listens at {where}", reach="while an order is proven")


class _Server(ThreadingHTTPServer):
    """One socket."""

    daemon_threads = True

    def __init__(self, host: str, port: int, answers: Mapping[str, str]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answers = answers
        self._thread: threading.Thread | None = None
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:  # IPv4 has a socket of its own
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        return None  # a client that goes away in the middle is its own business

    def start(self) -> None:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="http-01", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        if self._thread is not None:
            self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    timeout = SECONDS
    server: _Server

    def do_GET(self) -> None:
        before, found, token = self.path.partition("?")[0].partition(f"/{FOLDER}/")
        answer = self.server.answers.get(token) if found and not before else None
        body = (answer if answer is not None else "not found\n").encode()
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Type", "text/plain" if answer is None else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def version_string(self) -> str:
        return "certbroker"

    def log_message(self, format: str, *args: Any) -> None:
        return None


def _bound(listen: Sequence[str], answers: Mapping[str, str]) -> list[_Server]:
    """All of them, or none. A family that the machine does not have is no trouble where the other one is there."""
    servers: list[_Server] = []
    refused: ProviderError | None = None
    for text in listen:
        host, port = split(text)
        try:
            servers.append(_Server(host, port, answers))
        except OSError as error:
            refused = _refusal(host, port, error)
            if error.errno not in _NO_SUCH_FAMILY or tuple(listen) != EVERYWHERE:
                break
            continue
    else:
        if servers:
            return servers
    for server in servers:
        server.server_close()
    assert refused is not None
    raise refused


def _refusal(host: str, port: int, error: OSError) -> ProviderError:
    where = joined(host, port)
    if error.errno == errno.EADDRINUSE:
        return Rejected(
            f"another program listens at {where}",
            hint="let that one answer (a solver of type webroot), or listen elsewhere and let it pass /.well-known/acme-challenge/ on",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Rejected(
            f"this user may not listen at {where}",
            hint="listen on a port above 1023 and forward port 80 to it; or, for systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE",
        )
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return Rejected(f"{host} is no address of this machine")
    return Unavailable(f"cannot listen at {where}: {error.strerror or type(error).__name__}")
