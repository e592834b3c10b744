"""A store is made, migrated or refused. Alembic is imported only for the first two."""

from __future__ import annotations

import secrets
from typing import Final

from sqlalchemy import Connection, insert, inspect, select, text

from certbroker.errors import StoreError
from certbroker.store import schema
from certbroker.store.engine import Database, make_file

_ADVISORY_LOCK: Final = 0x6365727462726F6B
"""Held while PostgreSQL's tables are made, so that two hosts that begin at once do not both try ("certbrok")."""


def prepare(database: Database) -> str:
    """Bring it to our revision and return its id. Raises StoreError, and then nothing was changed."""
    if database.file is not None:
        make_file(database.file)
    with database.reading() as connection:
        if revision(connection, database.url) == schema.REVISION:
            return store_id(connection, database.url)
    with database.transaction() as connection:
        if migrate(connection, database.url):
            connection.execute(insert(schema.meta).values(key="id", value=secrets.token_hex(4)))
        return store_id(connection, database.url)


def migrate(connection: Connection, url: str) -> bool:
    """Bring it to our revision within a transaction that is under way. True if the tables are new. Raises StoreError."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    found = revision(connection, url)
    if found == schema.REVISION:
        return False
    from certbroker.store.migrations.run import known, upgrade

    if found is not None and found not in known():
        raise StoreError(
            f"the store {url} was written by a newer certbroker (revision {found}, this one knows {schema.REVISION})",
            hint="upgrade certbroker on this machine: pip install --upgrade certbroker",
        )
    upgrade(connection)
    return found is None


def revision(connection: Connection, url: str) -> str | None:
    """The revision it is at; None if it is empty. Raises StoreError if it is something else's."""
    tables = set(inspect(connection).get_table_names())
    if {"alembic_version", schema.meta.name} <= tables:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        if found is not None:
            return str(found)
    if tables:
        raise StoreError(
            f"the store {url} holds tables that are not certbroker's", hint="name another file or database"
        )
    return None


def store_id(connection: Connection, url: str) -> str:
    """Raises StoreError if it has none."""
    found = connection.execute(select(schema.meta.c.value).where(schema.meta.c.key == "id")).scalar_one_or_none()
    if found is None:
        raise StoreError(f"the store {url} has no id", hint="put a backup back: certbroker restore FILE")
    return str(found)
