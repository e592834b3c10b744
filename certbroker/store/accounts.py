"""What is known of the CAs: our accounts, their directories, and when they want a version renewed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import select

from certbroker.events import Event
from certbroker.model import JsonObject, Window
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.history import History
from certbroker.store.rows import Account


class Accounts(History):
    """One account per issuer of the file and directory URL."""

    def account(self, issuer: str, directory: str) -> Account | None:
        table = schema.account
        row = self.row(select(table).where(table.c.issuer == issuer, table.c.directory == directory))
        return None if row is None else Account(**row._mapping)

    def put_account(self, issuer: str, directory: str, uri: str, events: Sequence[Event] = ()) -> None:
        """Its key is sealed and put first, under ("account", "ISSUER DIRECTORY")."""
        row = {"issuer": issuer, "directory": directory, "uri": uri, "made": self.now()}
        with self.writing(events) as connection:
            upsert(connection, schema.account, [row])

    def directory(self, url: str) -> tuple[JsonObject, datetime] | None:
        """The CA's directory as it was last fetched, and when."""
        row = self.row(select(schema.issuer).where(schema.issuer.c.directory == url))
        return None if row is None else (row.content, row.at)

    def put_directory(self, url: str, content: JsonObject) -> None:
        with self.writing() as connection:
            upsert(connection, schema.issuer, [{"directory": url, "content": dict(content), "at": self.now()}])

    def window(self, version_id: int) -> Window | None:
        """The CA's last answer to "when shall this be renewed"."""
        row = self.row(select(schema.window).where(schema.window.c.version_id == version_id))
        return None if row is None else Window(**row._mapping)

    def put_window(self, window: Window, events: Sequence[Event] = ()) -> None:
        with self.writing(events) as connection:
            upsert(connection, schema.window, [asdict(window)])
