"""One attempt as a trace: the wide event is its root, each step a span below it. The only module that needs the extra `otel`.

OTLP 1.x, https://github.com/open-telemetry/opentelemetry-proto. The fields of an event become attributes with `certbroker.`
before their names: so wants it OpenTelemetry's naming, and what is called `error` or `name` here means something else there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from certbroker import __version__
from certbroker.events import Attempted, Stepped
from certbroker.standing.told import of_event

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SAMPLED: Final = 1
FAILED: Final = ("failed", "restoring", "restored")


def trace(attempt: Attempted, steps: Sequence[Stepped], run: str | None) -> list[Span]:
    """The root first. `steps` are those of this attempt alone."""
    root = _span(attempt, attempt.kind, run, attempt.trace, number=0)
    children = [_span(step, step.step, run, attempt.trace, number) for number, step in enumerate(steps, 1)]
    for child in children:
        child.parent_span_id = root.span_id
    return [root, *children]


def _span(event: Attempted | Stepped, name: str, run: str | None, trace_id: str, number: int) -> Span:
    status = Status()
    if event.outcome in FAILED:
        status = Status(code=Status.STATUS_CODE_ERROR, message=event.error or event.outcome)
    return Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=hashlib.sha256(f"{trace_id} {number}".encode()).digest()[:8],
        flags=SAMPLED,
        name=name,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=_nanoseconds(event.at - timedelta(seconds=event.seconds)),
        end_time_unix_nano=_nanoseconds(event.at),
        attributes=_attributes(of_event(event, run), "certbroker."),
        status=status,
    )


def request(spans: Iterable[Span], resource: Mapping[str, str]) -> bytes:
    """The body of an OTLP/HTTP request."""
    scope = ScopeSpans(scope=InstrumentationScope(name="certbroker", version=__version__), spans=spans)
    sender = Resource(attributes=_attributes(resource))
    everything = ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=sender, scope_spans=[scope])])
    return bytes(everything.SerializeToString())


def refused(answer: bytes) -> int:
    """How many spans the collector says that it did not take."""
    try:
        return int(ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans)
    except DecodeError:
        return 0  # it took them, by its status


def _attributes(values: Mapping[str, Any], prefix: str = "") -> list[KeyValue]:
    """What is not known is not there."""
    return [
        KeyValue(key=f"{prefix}{key}", value=_value(value)) for key, value in values.items() if value not in (None, [])
    ]


def _value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=map(_value, value)))
    return AnyValue(string_value=str(value))


def _nanoseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000
