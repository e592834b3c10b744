"""What our orders have taken out of a CA's buckets, read from the journal, and what the CA told us to wait for."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import select

from certbroker.limits import LOOK_BACK, Taken, Told
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.history import History

_table: Final = schema.ca_limit


class CaLimits(History):
    """By directory: the account of every issuer of the file that names it."""

    def taken(self, directory: str, now: datetime) -> list[Taken]:
        """Every order that the CA has had of us as long as any of its buckets remembers, the oldest first."""
        order = schema.acme_order
        placed = (order.c.directory == directory) & (order.c.started > now - LOOK_BACK) & order.c.uri.is_not(None)
        columns = (order.c.started, order.c.names, order.c.exempt, order.c.state, order.c.unproven)
        rows = self.rows(select(*columns).where(placed).order_by(order.c.started))
        return [
            Taken(row.started, frozenset(row.names), row.exempt, row.state == "failed", tuple(row.unproven or ()))
            for row in rows
        ]

    def put_told(self, directory: str, told: Told) -> None:
        """The last word on a subject stands."""
        row = {"directory": directory, "subject": told.subject, "at": told.at, "until": told.until, "why": told.why}
        with self.writing() as connection:
            upsert(connection, _table, [row])

    def told(self, directory: str, now: datetime) -> list[Told]:
        """What is in force at `now`."""
        rows = self.rows(select(_table).where(_table.c.directory == directory, _table.c.until > now))
        return [Told(row.subject, row.at, row.until, row.why) for row in rows]

    def zones(self) -> list[str]:
        """The DNS zones that we ever wrote a record to."""
        return [row.zone for row in self.rows(select(schema.published.c.zone).distinct())]
