"""Sealed private keys. The store moves them and cannot open them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, select

from certbroker.secret import Sealed
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.history import History

_table: Final = schema.sealed


class Boxes(History):
    """By kind and owner: ("version", id), ("order", id), ("account" or "rollover", "ISSUER DIRECTORY")."""

    def put_box(self, kind: str, owner: str, box: Sealed) -> None:
        """Keep it; an older one of the same owner is replaced."""
        with self.writing() as connection:
            self._put_box(connection, kind, owner, box)

    def replace_box(self, kind: str, owner: str, old: Sealed, new: Sealed) -> bool:
        """Put `new` in the place of `old`. False, and nothing is written, if another box or none is there by now."""
        with self.writing() as connection:
            row = self.first(connection, self._select(kind, owner).with_for_update())
            if row is None or Sealed(row.kid, row.wrapped, row.box) != old:
                return False
            self._put_box(connection, kind, owner, new)
            return True

    def box(self, kind: str, owner: str) -> Sealed | None:
        row = self.row(self._select(kind, owner))
        return None if row is None else Sealed(row.kid, row.wrapped, row.box)

    def boxes(self) -> Iterator[tuple[str, str, Sealed]]:
        """All of them, read a few hundred at a time so that nothing stays locked meanwhile."""
        last: tuple[str, str] = ("", "")
        while True:
            after = (_table.c.kind > last[0]) | ((_table.c.kind == last[0]) & (_table.c.owner > last[1]))
            rows = self.rows(select(_table).where(after).order_by(_table.c.kind, _table.c.owner).limit(500))
            for row in rows:
                yield row.kind, row.owner, Sealed(row.kid, row.wrapped, row.box)
            if not rows:
                return
            last = rows[-1].kind, rows[-1].owner

    def drop_box(self, kind: str, owner: str) -> None:
        """Forget it; nothing happens if it is not there."""
        with self.writing() as connection:
            self._drop_box(connection, kind, owner)

    def _select(self, kind: str, owner: str) -> Select[Any]:
        return select(_table).where(_table.c.kind == kind, _table.c.owner == owner)

    def _put_box(self, connection: Connection, kind: str, owner: str, box: Sealed) -> None:
        row = {"kind": kind, "owner": owner, "kid": box.kid, "wrapped": box.wrapped, "box": box.box}
        upsert(connection, _table, [row])

    def _drop_box(self, connection: Connection, kind: str, owner: str) -> None:
        connection.execute(delete(_table).where(_table.c.kind == kind, _table.c.owner == owner))
