"""Listeners for events. A listener that fails cannot fail a run."""

from certbroker.telemetry.listeners import fan_out
from certbroker.telemetry.story import Story, debug_logging

__all__ = ["Story", "debug_logging", "fan_out"]
