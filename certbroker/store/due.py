"""Everything that happens by itself has a row with its moment; a run looks at what is due and at nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select

from certbroker.events import Event
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.history import History
from certbroker.store.rows import DueRow

_table: Final = schema.due


class Due(History):
    """One moment per kind and subject. Both questions are answered from an index."""

    def due(self, now: datetime, limit: int | None = None, *, kind: str | None = None) -> list[DueRow]:
        """What is due at `now`, oldest first."""
        statement = select(_table).where(_table.c.at <= now).order_by(_table.c.at, _table.c.kind, _table.c.subject)
        if kind is not None:
            statement = statement.where(_table.c.kind == kind)
        return [DueRow(**row._mapping) for row in self.rows(statement.limit(limit))]

    def due_of(self, kind: str) -> list[DueRow]:
        """Everything of that kind, whenever it is due, soonest first."""
        statement = select(_table).where(_table.c.kind == kind).order_by(_table.c.at, _table.c.subject)
        return [DueRow(**row._mapping) for row in self.rows(statement)]

    def next_due(self, kind: str | None = None) -> DueRow | None:
        """What comes next, due already or not."""
        statement = select(_table).order_by(_table.c.at).limit(1)
        if kind is not None:
            statement = statement.where(_table.c.kind == kind)
        row = self.row(statement)
        return None if row is None else DueRow(**row._mapping)

    def set_due(self, rows: Sequence[DueRow], events: Sequence[Event] = ()) -> None:
        """An earlier moment of the same kind and subject is replaced; the last of two in `rows` stands."""
        with self.writing(events) as connection:
            values = [{"kind": row.kind, "subject": row.subject, "at": row.at} for row in rows]
            upsert(connection, _table, values)

    def clear_due(self, kind: str, subject: str, events: Sequence[Event] = ()) -> None:
        """It does not happen by itself any more."""
        with self.writing(events) as connection:
            connection.execute(delete(_table).where(_table.c.kind == kind, _table.c.subject == subject))
