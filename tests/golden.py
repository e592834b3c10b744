"""Exact words, kept as files: compare with them, or write them anew with CERTBROKER_GOLDEN=write."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def golden(name: str, text: str) -> None:
    """Fail with a readable difference if `text` is not what tests/golden/NAME holds."""
    path = FOLDER / name
    if os.environ.get("CERTBROKER_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    assert path.exists(), f"{path} is not there; CERTBROKER_GOLDEN=write makes it"
    assert text == path.read_text(encoding="utf-8")
