"""The steps of takeovers and handbacks: what is done, what is under way, and how each is taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from sqlalchemy import delete, select

from certbroker.events import Event
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.history import History
from certbroker.store.rows import HandoverRow

_table: Final = schema.handover


class Handovers(History):
    """One row per certificate, flow and step."""

    def put_handover(self, rows: Sequence[HandoverRow], events: Sequence[Event] = ()) -> None:
        """Insert or replace, all of them or none."""
        with self.writing(events) as connection:
            upsert(connection, _table, [asdict(row) for row in rows])

    def replace_handover(self, certificate: str, flow: str, rows: Sequence[HandoverRow]) -> None:
        """These are the steps of that flow from now on."""
        with self.writing() as connection:
            connection.execute(delete(_table).where(_table.c.certificate == certificate, _table.c.flow == flow))
            upsert(connection, _table, [asdict(row) for row in rows])

    def handover(self, certificate: str, flow: str | None = None) -> list[HandoverRow]:
        """By flow and number."""
        statement = select(_table).where(_table.c.certificate == certificate)
        if flow is not None:
            statement = statement.where(_table.c.flow == flow)
        return [HandoverRow(**row._mapping) for row in self.rows(statement.order_by(_table.c.flow, _table.c.number))]

    def under_way(self) -> list[HandoverRow]:
        """Steps that were begun, forward or back, and of which no end is known."""
        statement = select(_table).where(_table.c.phase.in_(("begun", "undoing")))
        return [HandoverRow(**row._mapping) for row in self.rows(statement.order_by(_table.c.certificate))]

    def forget_handover(self, certificate: str, flow: str) -> None:
        """It is over: the next one begins anew."""
        with self.writing() as connection:
            connection.execute(delete(_table).where(_table.c.certificate == certificate, _table.c.flow == flow))
