"""An empty store as `Store.open` makes one, without the migration: copied from one that this process made so.

The migration is under test in tests/store/test_opening.py, and in the scenarios whose first command is `init`.
"""

from __future__ import annotations

import functools
import secrets
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from certbroker.store import Store
from certbroker.store.engine import make_file
from tests.clock import TestClock


def empty_store(path: Path) -> str:
    """Make it there, with an id of its own; returns its address."""
    make_file(path)
    path.write_bytes(_mould())
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("UPDATE meta SET value = ? WHERE key = 'id'", [secrets.token_hex(4)])
    return f"sqlite:///{path}"


@functools.cache
def _mould() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "store.db")
        Store.open(f"sqlite:///{path}", TestClock()).close()
        return path.read_bytes()
