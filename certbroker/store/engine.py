"""Opening a database and talking to it: addresses, pragmas, transactions, and every refusal in our words.

Many threads use one store. Each transaction has a connection of its own from the pool, so no two threads ever share one.
A write takes the database's write lock at its start (`BEGIN IMMEDIATE`): it cannot fail half way because somebody else
wrote in between. Writers of one process queue here first, for SQLite's own waiting is by sleeping and unfair.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Executable, Row, Table, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from certbroker.errors import StoreError
from certbroker.store.refusal import refusals

PATIENCE: Final = 15.0
"""Seconds to wait for another writer. An address may say otherwise: `sqlite:////path.db?timeout=2`."""


def parse(url: str | URL) -> URL:
    """The address. Never quoted in a message before its password is known. Raises StoreError."""
    hint = "sqlite:////folder/store.db or postgresql://user@host/database"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError("the store's address cannot be read", hint=hint) from None
    kind = parsed.get_backend_name()
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise StoreError("the store's address names a database that certbroker does not know", hint=hint)
    if not parsed.database or not Path(parsed.database).is_absolute():
        raise StoreError("the store's address needs an absolute path: sqlite:// and the path, four slashes in all")
    return parsed


def shown(url: URL) -> str:
    """For messages: without the driver and the password, wherever it stands."""
    hidden = url.set(drivername=url.get_backend_name())
    for key in ("password", "sslpassword"):
        if key in hidden.query:
            hidden = hidden.update_query_dict({key: "hidden"})
    return hidden.render_as_string(hide_password=True)


def connect(address: URL) -> Engine:
    """An engine; nothing is opened yet. Raises StoreError when the driver for it is not installed."""
    url = address.difference_update_query(["timeout"])
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": patience(address)}, max_overflow=-1, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        # Statements are not prepared on the server: connection poolers hand out another one next time.
        return create_engine(
            url,
            connect_args={"connect_timeout": 10, "application_name": "certbroker", "prepare_threshold": None},
            max_overflow=-1,
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except (ImportError, NoSuchModuleError):
        raise StoreError(
            "the driver for PostgreSQL is not installed", hint="pip install 'certbroker[postgres]'"
        ) from None


def patience(url: URL) -> float:
    """Seconds to wait for a lock. Raises StoreError."""
    said = url.query.get("timeout", str(PATIENCE))
    try:
        return float(said if isinstance(said, str) else said[0])
    except ValueError:
        raise StoreError("timeout in the store's address is not a number of seconds") from None


def make_file(path: Path) -> None:
    """The SQLite file and its folder, for us alone; its -wal and -shm files take over its mode. Raises StoreError."""
    try:
        missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreError(
            f"the store {path} cannot be made: {error.strerror}", hint="name another place: [store] url in the file"
        ) from None


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Once a connection. Full synchronous: what the journal says is on the disk before the next call outside."""
    connection.isolation_level = None  # the begin hook below starts transactions, not the driver
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("certbroker_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Database:
    """Transactions, and the one place where rows are fetched."""

    def __init__(self, url: str | URL) -> None:
        parsed = parse(url)
        self.url = shown(parsed)
        """The address without the password."""
        self.file = Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None
        """Where SQLite keeps it; None for a server."""
        self.rows_read = 0
        """Rows fetched since it was opened, so that a test can tell what a quiet night costs."""
        self.sqlite = self.file is not None
        self._patience = patience(parsed)
        self._engine = connect(parsed)
        self._counting = threading.Lock()
        self._writing = threading.Lock()
        self._joined = threading.local()
        self._looking = threading.local()

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent look. Raises StoreError."""
        joined = self._under_way() or getattr(self._looking, "connection", None)
        if joined is not None:
            yield joined
            return
        with refusals(self.url, self.file), self._engine.connect() as connection:
            if not self.sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All or nothing. Raises StoreError, and then nothing was written."""
        if (joined := self._under_way()) is not None:
            yield joined
            return
        turn = self._turn() if self.sqlite else nullcontext()
        with turn, refusals(self.url, self.file), self._engine.connect() as connection:
            connection = connection.execution_options(certbroker_writes=True)
            with connection.begin():
                if not self.sqlite:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(self._patience * 1000)}")
                yield connection

    @contextmanager
    def together(self) -> Iterator[None]:
        """What this thread writes in the block is one transaction: many rows are on the disk for the price of one.

        Nobody else can write meanwhile: nothing outside is called or waited for in the block. Raises StoreError, and then
        nothing was written.
        """
        if self._under_way() is not None:
            yield
            return
        with self.transaction() as connection:
            self._joined.connection = connection
            try:
                yield
            finally:
                self._joined.connection = None

    @contextmanager
    def one_look(self) -> Iterator[None]:
        """What this thread reads in the block is the store at one moment. Nothing outside is called or waited for in it.

        What it writes is written at once, and not seen in the block. Raises StoreError.
        """
        with self.reading() as connection:
            outer = getattr(self._looking, "connection", None)
            self._looking.connection = connection
            try:
                yield
            finally:
                self._looking.connection = outer

    def _under_way(self) -> Connection | None:
        """This thread's `together`."""
        found: Connection | None = getattr(self._joined, "connection", None)
        return found

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._writing.acquire(timeout=self._patience):
            raise StoreError(f"the store {self.url} is kept locked by another thread of this run", retryable=True)
        try:
            yield
        finally:
            self._writing.release()

    def fetch(
        self, connection: Connection, statement: Executable, values: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """All rows, counted. `values` of its parameters: a statement that is made once is quick."""
        rows = connection.execute(statement, values).all()
        with self._counting:
            self.rows_read += len(rows)
        return rows

    def first(self, connection: Connection, statement: Executable) -> Row[Any] | None:
        """The first row, counted."""
        row = connection.execute(statement).first()
        with self._counting:
            self.rows_read += row is not None
        return row

    def rows(self, statement: Executable) -> Sequence[Row[Any]]:
        """`fetch` in a transaction of its own."""
        with self.reading() as connection:
            return self.fetch(connection, statement)

    def row(self, statement: Executable) -> Row[Any] | None:
        """`first` in a transaction of its own."""
        with self.reading() as connection:
            return self.first(connection, statement)


def ensure(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert it unless the primary key is taken."""
    connection.execute(_ensuring(connection.dialect.name, table), row)


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or, where the primary key is taken, replace the columns that are given.

    All rows give the same columns. Of two rows with the same key the last stands.
    """
    if not rows:
        return
    key = [column.name for column in table.primary_key]
    last = {tuple(row[name] for name in key): dict(row) for row in rows}
    statement = _upserting(connection.dialect.name, table, tuple(rows[0]))
    connection.execute(statement, list(last.values())).all()


# Statements are made once: to make one takes longer than to run it.


@cache
def _ensuring(dialect: str, table: Table) -> Executable:
    statement: Executable = inserting(dialect)(table).on_conflict_do_nothing()
    return statement


@cache
def _upserting(dialect: str, table: Table, columns: tuple[str, ...]) -> Executable:
    key = [column.name for column in table.primary_key]
    statement = inserting(dialect)(table)
    changing = {name: statement.excluded[name] for name in columns if name not in key}
    statement = statement.on_conflict_do_update(index_elements=key, set_=changing)
    # "returning" makes SQLAlchemy send a thousand rows a statement, not a statement a row.
    found: Executable = statement.returning(table.c[key[0]])
    return found


def inserting(dialect: str) -> Any:
    """The dialect's own `insert`: "on conflict" is the same words in both, and in neither standard. The other is not loaded."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert
    from sqlalchemy.dialects import sqlite

    return sqlite.insert
