"""Pins: what a person rolled back. A target keeps to its pinned version, whatever is wanted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Final

from sqlalchemy import delete, select

from certbroker.events import Event
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.rows import PinRow
from certbroker.store.standings import Standings

_table: Final = schema.pin


class Pins(Standings):
    """One row per certificate and target."""

    def put_pins(self, rows: Sequence[PinRow], events: Sequence[Event] = ()) -> None:
        """A new pin takes the place of the one before."""
        with self.restanding(events, {row.certificate for row in rows}) as (connection, _):
            upsert(connection, _table, [asdict(row) for row in rows])

    def pins(self, certificate: str | None = None) -> list[PinRow]:
        """By certificate and target, also those whose time is over; None: of all certificates."""
        statement = select(_table).order_by(_table.c.certificate, _table.c.target)
        if certificate is not None:
            statement = statement.where(_table.c.certificate == certificate)
        return [PinRow(**row._mapping) for row in self.rows(statement)]

    def lift_pins(self, certificate: str, targets: Collection[str], events: Sequence[Event] = ()) -> None:
        """These targets follow what is wanted again."""
        with self.restanding(events, {certificate}) as (connection, _):
            mine = (_table.c.certificate == certificate) & _table.c.target.in_(sorted(targets))
            connection.execute(delete(_table).where(mine))
