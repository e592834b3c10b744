"""Listeners for events: the story, the log as JSON, traces. One that fails cannot fail a run. See README.md."""

from certbroker.telemetry.collector import NotSent, collector
from certbroker.telemetry.listeners import fan_out
from certbroker.telemetry.log import JsonLog
from certbroker.telemetry.story import Story, library_logs
from certbroker.telemetry.traces import Traces

__all__ = ["JsonLog", "NotSent", "Story", "Traces", "collector", "fan_out", "library_logs"]
