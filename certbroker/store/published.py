"""Proofs that we put or were about to put, in DNS or over HTTP; the clean-up after a crash reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import insert, select, update

from certbroker.events import Event
from certbroker.store import schema
from certbroker.store.history import History
from certbroker.store.rows import PublishedRow, Purpose, RecordKind

_table: Final = schema.published


class Published(History):
    """Planned before the call, present after it, removed after the clean-up."""

    def plan_record(
        self,
        purpose: Purpose,
        *,
        kind: RecordKind = "txt",
        order_id: int | None,
        certificate: str,
        target: str | None,
        solver: str,
        zone: str,
        name: str,
        value: str,
        events: Sequence[Event] = (),
    ) -> PublishedRow:
        """A row for it: the one there is, if the same value was planned for the same purpose and is not removed."""
        values = {
            "purpose": purpose,
            "kind": kind,
            "order_id": order_id,
            "certificate": certificate,
            "target": target,
            "solver": solver,
            "zone": zone,
            "name": name,
            "value": value,
        }
        with self.writing(events) as connection:
            same = [_table.c[column].is_not_distinct_from(said) for column, said in values.items()]
            row = self.first(connection, select(_table).where(_table.c.state != "removed", *same).limit(1))
            if row is None:
                row = connection.execute(
                    insert(_table).values(**values, state="planned", at=self.now()).returning(_table)
                ).one()
        return PublishedRow(**row._mapping)

    def record_present(self, id: int, handle: str | None, events: Sequence[Event] = ()) -> None:
        """The solver put it there; `handle` is what removes exactly this one."""
        with self.writing(events) as connection:
            connection.execute(
                update(_table).where(_table.c.id == id).values(state="present", handle=handle, at=self.now())
            )

    def record_removed(self, id: int, events: Sequence[Event] = ()) -> None:
        """It is gone."""
        with self.writing(events) as connection:
            connection.execute(update(_table).where(_table.c.id == id).values(state="removed", at=self.now()))

    def unremoved(self, purpose: Purpose | None = None, order_id: int | None = None) -> list[PublishedRow]:
        """What may still stand somewhere, oldest first."""
        statement = select(_table).where(_table.c.state.in_(("planned", "present"))).order_by(_table.c.id)
        if purpose is not None:
            statement = statement.where(_table.c.purpose == purpose)
        if order_id is not None:
            statement = statement.where(_table.c.order_id == order_id)
        return [PublishedRow(**row._mapping) for row in self.rows(statement)]
