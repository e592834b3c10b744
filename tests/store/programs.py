"""Programs of their own: what a process does that is cut off, unprivileged or bare."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(program: str, *words: str, first: Path | None = None) -> str:
    """What a program of its own prints; `first` goes before everything else where it looks for modules."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join(str(folder) for folder in (first, root) if folder is not None)
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    ).stdout
