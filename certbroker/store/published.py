"""Proofs that we put or were about to put, in DNS or over HTTP; the clean-up after a crash reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, insert, select, update

from certbroker.events import Event
from certbroker.store import schema
from certbroker.store.history import History
from certbroker.store.rows import PublishedRow, Purpose, RecordKind

_table: Final = schema.published

# Made once: an order of a hundred names plans a hundred rows between two questions to the CA.
_IS: Final = ("purpose", "kind", "order_id", "certificate", "target", "solver", "zone", "name", "value")
_SAME: Final = (
    select(_table)
    .where(_table.c.state != "removed", *(_table.c[column].is_not_distinct_from(bindparam(column)) for column in _IS))
    .limit(1)
)
_PLAN: Final = insert(_table).returning(_table)
_CHANGE: Final = update(_table).where(_table.c.id == bindparam("which"))


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
            row = connection.execute(_SAME, values).first()
            if row is None:
                row = connection.execute(_PLAN, {**values, "state": "planned", "at": self.now()}).one()
        return PublishedRow(**row._mapping)

    def record_present(self, id: int, handle: str | None, events: Sequence[Event] = ()) -> None:
        """The solver put it there; `handle` is what removes exactly this one."""
        with self.writing(events) as connection:
            connection.execute(_CHANGE, {"which": id, "state": "present", "handle": handle, "at": self.now()})

    def record_removed(self, id: int, events: Sequence[Event] = ()) -> None:
        """It is gone."""
        with self.writing(events) as connection:
            connection.execute(_CHANGE, {"which": id, "state": "removed", "at": self.now()})

    def unremoved(self, purpose: Purpose | None = None, order_id: int | None = None) -> list[PublishedRow]:
        """What may still stand somewhere, oldest first."""
        statement = select(_table).where(_table.c.state.in_(("planned", "present"))).order_by(_table.c.id)
        if purpose is not None:
            statement = statement.where(_table.c.purpose == purpose)
        if order_id is not None:
            statement = statement.where(_table.c.order_id == order_id)
        return [PublishedRow(**row._mapping) for row in self.rows(statement)]
