"""What is forgotten, and when. Nothing that is wanted, served somewhere or still under way ever is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, delete, select, update

from certbroker.model import Phase
from certbroker.store import schema
from certbroker.store.history import History
from certbroker.store.rows import Swept

HISTORY: Final = timedelta(days=400)
"""A year and the month in which one looks back at it."""

LOOKS: Final = timedelta(days=30)
"""An edge that nobody looked at for so long is gone."""

_CHUNK: Final = 500


class Retention(History):
    """`prune` is called once a day, by its due row."""

    def prune(
        self, now: datetime, *, keep_versions: int, history: timedelta = HISTORY, looks: timedelta = LOOKS
    ) -> Swept:
        """Forget what is old.

        Args:
            keep_versions: how many of each variant stay (rehearsals counted apart), besides those in use anywhere.
            history: how long events, ended runs, closed orders and removed records stay.
            looks: how long the last look at an edge stays that nobody looks at any more.
        """
        old = now - history
        order, published, run = schema.acme_order, schema.published, schema.run
        with self.writing() as connection:
            records = _forget(connection, published, (published.c.state == "removed") & (published.c.at < old))
            standing = select(published.c.order_id).where(published.c.order_id.is_not(None))
            closed = order.c.state.in_(("done", "failed")) & (order.c.updated < old) & order.c.id.not_in(standing)
            self._forget_order_keys(connection, closed)
            orders = _forget(connection, order, closed)
            seen = _forget(connection, schema.seen, schema.seen.c.at < now - looks)
            events = _forget(connection, schema.history, schema.history.c.at < old)
            runs = _forget(connection, run, run.c.started < old)
            versions = self._forget_versions(connection, keep_versions)
        return Swept(versions=versions, orders=orders, records=records, looks=seen, history=events, runs=runs)

    def _forget_order_keys(self, connection: Connection, closed: ColumnElement[bool]) -> None:
        """A failed order's key sealed nothing that is served."""
        box = schema.sealed
        owners = [str(row.id) for row in self.fetch(connection, select(schema.acme_order.c.id).where(closed))]
        for some in _chunks(owners):
            connection.execute(delete(box).where(box.c.kind == "order", box.c.owner.in_(some)))

    def _forget_versions(self, connection: Connection, keep: int) -> int:
        version, order, box = schema.version, schema.acme_order, schema.sealed
        columns = (version.c.id, version.c.certificate, version.c.key_type, version.c.rehearsal, version.c.fingerprint)
        used = self._used(connection)
        served = self._served(connection)
        count: dict[tuple[str, str, bool], int] = {}
        surplus: list[int] = []
        for row in self.fetch(connection, select(*columns).order_by(version.c.id.desc())):
            key = (row.certificate, row.key_type, row.rehearsal)
            count[key] = count.get(key, 0) + 1
            if count[key] > keep and row.id not in used and row.fingerprint not in served:
                surplus.append(row.id)
        for some in _chunks(surplus):
            ids = [str(one) for one in some]
            connection.execute(update(order).where(order.c.version_id.in_(some)).values(version_id=None))
            connection.execute(delete(schema.window).where(schema.window.c.version_id.in_(some)))
            connection.execute(delete(schema.deployment).where(schema.deployment.c.version_id.in_(some)))
            connection.execute(delete(box).where(box.c.kind == "version", box.c.owner.in_(ids)))
            connection.execute(delete(version).where(version.c.id.in_(some)))
        return len(surplus)

    def _used(self, connection: Connection) -> set[int]:
        """Wanted ones, and per target and name the one that was last pushed or is being restored."""
        wanted = select(schema.variant.c.wanted).where(schema.variant.c.wanted.is_not(None))
        used = {row.wanted for row in self.fetch(connection, wanted)}
        table = schema.deployment
        columns = (table.c.version_id, table.c.target, table.c.name, table.c.phase)
        newest = select(*columns).where(table.c.pushed.is_not(None) | table.c.phase.in_(_PLACED))
        placed: dict[tuple[str, str], int] = {}
        for row in self.fetch(connection, newest.order_by(table.c.since, table.c.version_id)):
            placed[row.target, row.name] = row.version_id
            if row.phase == Phase.COMMITTED.value:
                used.discard(-1)
        return used | set(placed.values())

    def _served(self, connection: Connection) -> set[str]:
        """Fingerprints that some edge was last seen to serve, or that a push may have to be taken back to."""
        seen, deployment = schema.seen, schema.deployment
        looked = self.fetch(connection, select(seen.c.fingerprint).where(seen.c.fingerprint.is_not(None)).distinct())
        open_phases = [phase.value for phase in Phase if not phase.settled]
        before = select(deployment.c.before).where(
            deployment.c.phase.in_(open_phases), deployment.c.before.is_not(None)
        )
        lives = [row.before for row in self.fetch(connection, before)]
        return {row.fingerprint for row in looked} | {live["fingerprint"] for live in lives if live["fingerprint"]}


_PLACED: Final = tuple(
    phase.value
    for phase in (Phase.PUSHED, Phase.VERIFYING, Phase.COMMITTED, Phase.DELIVERED, Phase.WAITING, Phase.RESTORING)
)


def _forget(connection: Connection, table: Table, condition: ColumnElement[bool]) -> int:
    return connection.execute(delete(table).where(condition)).rowcount


def _chunks(values: list[Any]) -> list[list[Any]]:
    return [values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK)]
