"""Numbers for Prometheus, out of the store and the file alone: at `/metrics` of the dashboard, and as a textfile. See README.md."""

from __future__ import annotations

from certbroker.metrics.text import CONTENT_TYPE, exposition
from certbroker.metrics.textfile import keep

__all__ = ["CONTENT_TYPE", "exposition", "keep"]
