"""An OTLP/HTTP collector on loopback that keeps what it gets; and a port that takes connections and never answers."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.servers.loopback import Quiet, serving


@dataclass(frozen=True)
class Span:
    """As it came."""

    trace: str
    id: str
    parent: str
    name: str
    began: int
    ended: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    failed: bool
    message: str

    def __getitem__(self, field: str) -> Any:
        return self.attributes[f"certbroker.{field}"]

    def get(self, field: str) -> Any:
        return self.attributes.get(f"certbroker.{field}")


@dataclass
class Receiver:
    """`status` is what it answers, `rejects` how many spans it says that it did not take."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    status: int = 200
    rejects: int = 0

    @property
    def traces(self) -> dict[str, list[Span]]:
        """By id, the root of each first."""
        found: dict[str, list[Span]] = {}
        for span in self.spans:
            found.setdefault(span.trace, []).append(span)
        return {trace: sorted(spans, key=lambda span: span.parent != "") for trace, spans in found.items()}

    def drop(self) -> list[list[Span]]:
        """The traces that came, and begin anew."""
        found = list(self.traces.values())
        self.spans.clear()
        return found


@contextmanager
def receiver(log: Path | None = None) -> Iterator[Receiver]:
    """`log`: a file that gets every body as it is before compression."""
    made = Receiver()

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            if log is not None:
                with log.open("ab") as file:
                    file.write(body)
            made.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
            if made.status == 200:
                made.spans += _read(body)
            answer = ExportTraceServiceResponse()
            answer.partial_success.rejected_spans = made.rejects
            text = answer.SerializeToString()
            self.send_response(made.status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    with serving(Handler) as port:
        made.url = f"http://127.0.0.1:{port}"
        yield made


@contextmanager
def silence() -> Iterator[str]:
    """The address of somebody who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def closed() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def _read(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    name=span.name,
                    began=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    attributes=_plain(span.attributes),
                    resource=_plain(resource.resource.attributes),
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    message=span.status.message,
                )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    which = value.WhichOneof("value")
    found = getattr(value, which)
    return [_value(each) for each in found.values] if which == "array_value" else found
