"""The last look at each edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final

from sqlalchemy import func, select

from certbroker.events import Event
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.rows import SeenRow
from certbroker.store.standings import Standings

_table: Final = schema.seen


class Looks(Standings):
    """What was really served, and when somebody looked."""

    def see(self, rows: Sequence[SeenRow], events: Sequence[Event] = ()) -> None:
        """A new look takes the place of the last one at the same edge for the same name."""
        with self.restanding(events, {row.certificate for row in rows}) as (connection, touched):
            places = {(row.target, row.name) for row in rows}
            here = _table.c.target.in_({target for target, _ in places}) & _table.c.name.in_(
                {name for _, name in places}
            )
            others = select(_table.c.certificate).where(here).distinct()  # it was looked at for another certificate
            touched |= {row.certificate for row in self.fetch(connection, others)}
            upsert(connection, _table, [asdict(row) for row in rows])

    def seen(self, certificate: str) -> list[SeenRow]:
        """By target, name and edge."""
        statement = select(_table).where(_table.c.certificate == certificate)
        rows = self.rows(statement.order_by(_table.c.target, _table.c.name, _table.c.edge))
        return [SeenRow(**row._mapping) for row in rows]

    def last_look(self) -> datetime | None:
        """When any edge was last looked at."""
        row = self.row(select(func.max(_table.c.at).label("at")))
        return None if row is None else row.at
