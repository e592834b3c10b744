"""What is known of the CAs: our accounts, their directories, and when they want a version renewed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select, update

from certbroker.events import Event
from certbroker.model import JsonObject, KeyType, Window
from certbroker.secret import Sealed
from certbroker.store import schema
from certbroker.store.boxes import Boxes
from certbroker.store.engine import upsert
from certbroker.store.rows import Account
from certbroker.store.standings import Standings


class Accounts(Boxes, Standings):
    """One account per issuer of the file and directory URL."""

    def account(self, issuer: str, directory: str) -> Account | None:
        table = schema.account
        row = self.row(select(table).where(table.c.issuer == issuer, table.c.directory == directory))
        return None if row is None else _as_account(row)

    def account_at(self, uri: str) -> Account | None:
        """By its URI, whatever the file calls its issuer now."""
        row = self.row(select(schema.account).where(schema.account.c.uri == uri))
        return None if row is None else _as_account(row)

    def accounts(self) -> list[Account]:
        """All of them, in the order of their issuers' names."""
        table = schema.account
        return [_as_account(row) for row in self.rows(select(table).order_by(table.c.issuer, table.c.directory))]

    def put_account(
        self,
        issuer: str,
        directory: str,
        uri: str,
        *,
        key_type: KeyType,
        bound: bool = False,
        events: Sequence[Event] = (),
    ) -> None:
        """Its key is sealed and put first, under ("account", "ISSUER DIRECTORY")."""
        row = {
            "issuer": issuer,
            "directory": directory,
            "uri": uri,
            "key_type": key_type.value,
            "bound": bound,
            "made": self.now(),
        }
        with self.writing(events) as connection:
            upsert(connection, schema.account, [row])

    def adopt_account(
        self,
        issuer: str,
        directory: str,
        uri: str,
        box: tuple[str, str, Sealed],
        *,
        key_type: KeyType,
        events: Sequence[Event] = (),
    ) -> None:
        """An account and its sealed key (kind, owner, box), both or neither."""
        row = {"issuer": issuer, "directory": directory, "uri": uri, "key_type": key_type.value, "bound": False}
        with self.writing(events) as connection:
            self._put_box(connection, *box)
            upsert(connection, schema.account, [{**row, "made": self.now()}])

    def account_moved(self, issuer: str, directory: str, uri: str, events: Sequence[Event] = ()) -> None:
        """The same account at another address: what it ordered goes with it."""
        account = schema.account
        mine = (account.c.issuer == issuer) & (account.c.directory == directory)
        with self.writing(events) as connection:
            before = connection.execute(select(account.c.uri).where(mine)).scalar_one()
            connection.execute(update(account).where(mine).values(uri=uri))
            for table in (schema.acme_order, schema.version):
                its = (table.c.issuer == issuer) & (table.c.account_uri == before)
                connection.execute(update(table).where(its).values(account_uri=uri))

    def account_key_changed(
        self,
        issuer: str,
        directory: str,
        box: Sealed,
        coming: str,
        *,
        key_type: KeyType,
        events: Sequence[Event] = (),
    ) -> None:
        """`box` takes the place of the account's key; the box of the kind `coming`, which held it until now, goes."""
        table, owner = schema.account, f"{issuer} {directory}"
        with self.writing(events) as connection:
            self._put_box(connection, "account", owner, box)
            self._drop_box(connection, coming, owner)
            mine = (table.c.issuer == issuer) & (table.c.directory == directory)
            connection.execute(update(table).where(mine).values(key_type=key_type.value))

    def forget_account(
        self, issuer: str, directory: str, boxes: Sequence[tuple[str, str]], events: Sequence[Event] = ()
    ) -> None:
        """It is over: its row and its sealed keys (kind, owner) go."""
        table = schema.account
        with self.writing(events) as connection:
            connection.execute(delete(table).where(table.c.issuer == issuer, table.c.directory == directory))
            for kind, owner in boxes:
                self._drop_box(connection, kind, owner)

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

    def windows(self, version_ids: Sequence[int]) -> dict[int, Window]:
        """The same of many versions, by their ids."""
        rows = self.rows(select(schema.window).where(schema.window.c.version_id.in_(version_ids)))
        return {row.version_id: Window(**row._mapping) for row in rows}

    def put_window(self, window: Window, events: Sequence[Event] = ()) -> None:
        version = schema.version
        with self.restanding(events) as (connection, touched):
            upsert(connection, schema.window, [asdict(window)])
            mine = select(version.c.certificate).where(version.c.id == window.version_id)
            touched |= {row.certificate for row in self.fetch(connection, mine)}


def _as_account(row: Row[Any]) -> Account:
    return Account(**{**row._mapping, "key_type": KeyType(row.key_type)})
