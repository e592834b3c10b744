"""The expiry dashboard: read-only pages and JSON of what stands, worst first. No process that serves it can open a private key.

Everything comes from the store and the file, through `certbroker.standing`; import-linter keeps vault, broker and issuer away.
"""

from __future__ import annotations

from certbroker.dashboard.export import export
from certbroker.dashboard.guard import Doorkeeper
from certbroker.dashboard.source import Source
from certbroker.dashboard.web import make_app

__all__ = ["Doorkeeper", "Source", "export", "make_app"]
