"""The same text in a file, for the textfile collector of node_exporter."""

from __future__ import annotations

import logging
import os
import tempfile
from datetime import datetime
from pathlib import Path

from certbroker.config import Config
from certbroker.errors import StoreError
from certbroker.metrics.text import exposition
from certbroker.store import Store

log = logging.getLogger("certbroker")


def keep(path: Path, store: Store, config: Config, now: datetime) -> str | None:
    """Put it there, whole or not at all; what is in the way, in words. Raises nothing that a run would have to know of."""
    try:
        _replace(path, exposition(store, config, now))
    except StoreError as error:
        return f"no metrics in {path}: {error.what}"
    except OSError as error:
        return f"no metrics in {path}: {error.strerror or error}"
    except Exception as error:
        log.exception("a bug: no metrics")
        return f"no metrics in {path}: a bug: {type(error).__name__}: {error}"
    return None


def _replace(path: Path, text: bytes) -> None:
    """Beside it under a name that node_exporter does not read, then in its place. Anybody may read it: it holds no secret."""
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
