"""The same text in a file, for the textfile collector of node_exporter."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from certbroker import whole
from certbroker.config import Config
from certbroker.errors import StoreError
from certbroker.metrics.text import exposition
from certbroker.store import Store

log = logging.getLogger("certbroker")


def keep(path: Path, store: Store, config: Config, now: datetime) -> str | None:
    """Put it there, whole or not at all; what is in the way, in words. Raises nothing that a run would have to know of."""
    try:
        whole.put(path, exposition(store, config, now), 0o644)  # anybody may read it: it holds no secret
    except StoreError as error:
        return f"no metrics in {path}: {error.what}"
    except OSError as error:
        return f"no metrics in {path}: {error.strerror or error}"
    except Exception as error:
        log.exception("a bug: no metrics")
        return f"no metrics in {path}: a bug: {type(error).__name__}: {error}"
    return None
