"""Labels: in whose hands the names are where CAs look for our proofs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from sqlalchemy import select

from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.history import History
from certbroker.store.rows import LabelRow

_table: Final = schema.label


class Labels(History):
    """One row a name, whichever certificates need it."""

    def put_label(self, row: LabelRow) -> None:
        """A new look takes the place of the one before."""
        with self.writing() as connection:
            upsert(connection, _table, [asdict(row)])

    def label(self, name: str) -> LabelRow | None:
        """As it was last seen; None if nobody has looked."""
        row = self.row(select(_table).where(_table.c.name == name))
        return None if row is None else LabelRow(**row._mapping)
