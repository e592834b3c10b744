"""The families as text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector

from certbroker.config import Config
from certbroker.metrics.families import families
from certbroker.store import Store

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus text format (prometheus.io/docs/instrumenting/exposition_formats), which node_exporter reads too."""


def exposition(store: Store, config: Config, now: datetime) -> bytes:
    """What stands at `now`, all of it from one moment of the store. Raises StoreError."""
    with store.one_look():  # written as it is read: all samples at once would be many times the text
        return generate_latest(_Found(families(store, config, now)))


class _Found(Collector):
    """Not the library's own registry: that one would tell of this process."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found
