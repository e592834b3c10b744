"""Other people's data (recordings, schemas) is read where it lies: the folder that CERTBROKER_CONTRACTS names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def contract(name: str) -> Path:
    """The file or folder `name` there. Without it the test is skipped by name; in CI that is a failure."""
    folder = os.environ.get("CERTBROKER_CONTRACTS")
    path = Path(folder, name) if folder else None
    if path is not None and path.exists():
        return path
    reason = f"needs {name} from the folder that CERTBROKER_CONTRACTS names"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
