"""A file that others read at any moment: what is there is whole, the old or the new."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def put(path: Path, text: bytes, mode: int) -> None:
    """Beside it under a name with a dot, then in its place. Raises OSError; then what was there is there still."""
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
