"""Sends the trace of each attempt, once it is over. Whatever becomes of it, the run does not."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from certbroker.events import Attempted, Event, Stepped
from certbroker.saying import say
from certbroker.telemetry.collector import Collector, NotSent
from certbroker.world import World

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

log = logging.getLogger("certbroker")

TOGETHER: Final = 500
"""Spans in one request, about."""


class Traces:
    """A listener. What it heard is sent when there is much of it, and when the block ends; a collector that fails is left alone."""

    def __init__(
        self, collector: Collector, world: World, connect_to: Mapping[str, str], run: Callable[[], str | None]
    ) -> None:
        self._collector = collector
        self._world = world
        self._connect_to = connect_to
        self._run = run
        self._steps: defaultdict[str | None, list[Stepped]] = defaultdict(list)
        self._spans: list[Span] = []
        self._failed = False

    def __call__(self, event: Event) -> None:
        if self._failed:
            return
        if isinstance(event, Stepped):
            self._steps[event.certificate].append(event)
        elif isinstance(event, Attempted):
            from certbroker.telemetry import spans

            self._spans += spans.trace(event, self._steps.pop(event.certificate, []), self._run())
            if len(self._spans) >= TOGETHER:
                self._send()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send()

    def _send(self) -> None:
        spans, self._spans = self._spans, []
        if not spans:
            return
        try:
            self._deliver(spans)
        except NotSent as error:
            self._give_up(error.what, error.hint)
        except Exception:
            log.exception("traces could not be sent")
            self._give_up("a mistake of ours; -vv shows it")

    def _deliver(self, spans: list[Span]) -> None:
        from certbroker.telemetry.spans import refused, request

        body = request(spans, self._collector.resource)
        many = refused(self._collector.take(body, self._world, self._connect_to))
        if many:
            raise NotSent(f"{self._collector.origin} took all but {many} of {len(spans)} spans")

    def _give_up(self, what: str, hint: str = "") -> None:
        self._failed = True
        say(self._world.stderr, "note", f"traces were not sent: {what}", hint=hint)
