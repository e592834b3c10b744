"""One consistent file out of any store, and back into an empty one.

The file is a SQLite database with the store's own tables, so any tool can look into it. Private keys in it are as sealed as in
the store: without the vault key, which is not in it, they open for nobody. Leases are not copied: whoever holds them does so
at the old place.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, func, insert, literal_column, select, text
from sqlalchemy.engine import URL

from certbroker.errors import StoreError
from certbroker.store import Store, schema
from certbroker.store.birth import migrate, prepare, revision, store_id
from certbroker.store.engine import Database, make_file
from certbroker.world import Clock

_CHUNK: Final = 500
"""Rows held in memory at a time."""

_COPIED: Final = [table for table in schema.metadata.sorted_tables if table is not schema.lease]


def dump(store: Database, path: Path) -> None:
    """Write everything `store` holds into the new file `path`, mode 0600, as it is at one moment.

    Raises:
        StoreError: there is such a file already, or it cannot be written. No half-written `path` is left.
    """
    if path.exists():
        raise _taken(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    copy = _file(beside, shown=path)
    make_file(beside)
    try:
        with store.reading() as source, copy.transaction() as into:
            migrate(into, copy.url)
            _copy(source, into)
        copy.close()
        _make_single(beside)
        _name(beside, path)
    finally:
        copy.close()
        for suffix in ("", "-wal", "-shm"):
            beside.with_name(beside.name + suffix).unlink(missing_ok=True)


def load(path: Path, url: str, clock: Clock) -> Store:
    """Read the backup `path` into the empty store at `url`, which takes over its id. The file is not changed.

    Raises:
        StoreError: the file is no backup or a newer certbroker's, or the store holds something; it is untouched then.
    """
    with tempfile.TemporaryDirectory(prefix="certbroker-") as folder:
        source = _opened(path, Path(folder, "backup.db"))
        store = Store(url, clock)
        try:
            if store.file is not None:
                make_file(store.file)
            with source.reading() as out, store.transaction() as into:
                migrate(into, store.url)
                _refuse_unless_empty(into, store.url)
                into.execute(delete(schema.meta))
                _copy(out, into)
                _count_on(into)
                store.id = store_id(into, store.url)
        except BaseException:
            store.close()
            raise
        finally:
            source.close()
    return store


def _opened(path: Path, copy: Path) -> Database:
    """A copy of the backup, at our revision: opening a database may write beside it, and an older one is migrated."""
    try:
        shutil.copyfile(path, copy)
    except OSError as error:
        raise StoreError(f"the backup {path} cannot be read: {error.strerror}") from None
    source = _file(copy, shown=path)
    try:
        with source.reading() as connection:
            if revision(connection, source.url) is None:
                raise StoreError(f"{path} is empty, not a backup")
        prepare(source)
    except BaseException:
        source.close()
        raise
    return source


def _file(path: Path, *, shown: Path) -> Database:
    database = Database(URL.create("sqlite", database=str(path.absolute())))
    database.url = str(shown)
    return database


def _copy(source: Connection, into: Connection) -> None:
    for table in _COPIED:
        found = source.execution_options(yield_per=_CHUNK).execute(select(table))
        for rows in found.mappings().partitions():
            into.execute(insert(table), [dict(row) for row in rows])


def _refuse_unless_empty(connection: Connection, url: str) -> None:
    for table in _COPIED:
        if table is schema.meta:
            continue
        if connection.execute(select(literal_column("1")).select_from(table).limit(1)).first() is not None:
            raise StoreError(
                f"the store {url} is not empty, nothing was restored", hint="name an empty one: [store] url in the file"
            )


def _count_on(connection: Connection) -> None:
    """PostgreSQL numbers rows by sequences, which know nothing of rows that brought their number along."""
    if connection.dialect.name != "postgresql":
        return
    for table in _COPIED:
        if "id" in table.c and table.c.id.autoincrement is True:
            newest = connection.execute(select(func.max(table.c.id))).scalar_one()
            if newest is not None:
                connection.execute(
                    text("SELECT setval(pg_get_serial_sequence(:table, 'id'), :newest)"),
                    {"table": table.name, "newest": newest},
                )


def _make_single(path: Path) -> None:
    """Without a write-ahead log the one file is the whole database."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise StoreError(f"the backup cannot be finished: {error}") from None
    finally:
        connection.close()


def _name(beside: Path, path: Path) -> None:
    """Give the finished file its name, unless somebody took the name meanwhile."""
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        raise _taken(path) from None
    except OSError:  # a file system without hard links
        if path.exists():
            raise _taken(path) from None
        beside.replace(path)


def _taken(path: Path) -> StoreError:
    return StoreError(f"{path} is there already and is not overwritten", hint="name a new file")
