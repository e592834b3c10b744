"""What is forgotten, and when. Nothing that is wanted, served somewhere or still under way ever is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, delete, exists, func, select, update

from certbroker.model import Phase
from certbroker.store import schema
from certbroker.store.placed import still_there
from certbroker.store.rows import Swept
from certbroker.store.standings import Standings

HISTORY: Final = timedelta(days=400)
"""A year and the month in which one looks back at it."""

LOOKS: Final = timedelta(days=30)
"""An edge that nobody looked at for so long is gone."""

_CHUNK: Final = 500
_UNSETTLED: Final = [phase.value for phase in Phase if not phase.settled]


class Retention(Standings):
    """`prune` is called once a day, by its due row."""

    def prune(
        self, now: datetime, *, keep_versions: int, history: timedelta = HISTORY, looks: timedelta = LOOKS
    ) -> Swept:
        """Forget what is old.

        Args:
            keep_versions: how many of each variant stay, at least one (rehearsals counted apart), besides those in use.
            history: how long events, runs, closed orders and removed records stay.
            looks: how long the last look at an edge or a label stays that nobody looks at any more, and who was passed over.
        """
        old = now - history
        order, published, run, box = schema.acme_order, schema.published, schema.run, schema.sealed
        with self.restanding() as (connection, touched):
            records = _forget(connection, published, and_(published.c.state == "removed", published.c.at < old))
            standing = select(published.c.order_id).where(published.c.order_id.is_not(None))
            closed = select(order.c.id).where(
                order.c.state.in_(("done", "failed")), order.c.updated < old, order.c.id.not_in(standing)
            )
            orders = self._ids(connection, closed)
            for some in _chunks(orders):
                _forget(connection, box, _owned(box, "order", some))
                _forget(connection, order, order.c.id.in_(some))
            stale = schema.seen.c.at < now - looks
            touched |= self._certificates(connection, schema.seen, stale)
            seen = _forget(connection, schema.seen, stale)
            _forget(connection, schema.ca_limit, schema.ca_limit.c.until < now)
            _forget(connection, schema.label, schema.label.c.at < now - looks)
            _forget(connection, schema.passed_over, schema.passed_over.c.until < now - looks)
            events = _forget(connection, schema.history, schema.history.c.at < old)
            runs = _forget(connection, run, run.c.started < old)
            versions = self._ids(connection, _surplus(max(1, keep_versions)))
            for some in _chunks(versions):
                touched |= self._certificates(connection, schema.version, schema.version.c.id.in_(some))
                connection.execute(update(order).where(order.c.version_id.in_(some)).values(version_id=None))
                _forget(connection, schema.window, schema.window.c.version_id.in_(some))
                _forget(connection, schema.deployment, schema.deployment.c.version_id.in_(some))
                _forget(connection, box, _owned(box, "version", some))
                _forget(connection, schema.version, schema.version.c.id.in_(some))
        return Swept(len(versions), len(orders), records, seen, events, runs)

    def _certificates(self, connection: Connection, table: Table, condition: ColumnElement[bool]) -> set[str]:
        return {
            row.certificate for row in self.fetch(connection, select(table.c.certificate).where(condition).distinct())
        }

    def _ids(self, connection: Connection, statement: Select[Any]) -> list[int]:
        return [row.id for row in self.fetch(connection, statement)]


def _surplus(keep: int) -> Select[Any]:
    """Versions beyond the newest `keep` of their variant that nobody wants, serves, or may have to go back to."""
    version, variant, seen, deployment = schema.version, schema.variant, schema.seen, schema.deployment
    place = func.row_number().over(
        partition_by=(version.c.certificate, version.c.key_type, version.c.rehearsal), order_by=version.c.id.desc()
    )
    ranked = select(version.c.id, version.c.fingerprint, place.label("place")).subquery()
    wanted = select(variant.c.wanted).where(variant.c.wanted.is_not(None))
    looked = select(seen.c.fingerprint).where(seen.c.fingerprint.is_not(None))
    before = deployment.c.before["fingerprint"].as_string()
    back = select(before).where(deployment.c.phase.in_(_UNSETTLED), before.is_not(None))
    return select(ranked.c.id).where(
        ranked.c.place > keep,
        ranked.c.id.not_in(wanted),
        ranked.c.id.not_in(select(schema.pin.c.version_id)),
        ranked.c.fingerprint.not_in(looked),
        ranked.c.fingerprint.not_in(back),
        ~_placed(ranked.c.id),
    )


def _placed(version_id: ColumnElement[int]) -> ColumnElement[bool]:
    """It was put, or may be, on some target for some name, and no newer version was proven there since."""
    here = schema.deployment.alias("here")
    return exists().where(here.c.version_id == version_id, still_there(here, cautious=True))


def _owned(box: Table, kind: str, ids: list[int]) -> ColumnElement[bool]:
    return and_(box.c.kind == kind, box.c.owner.in_([str(one) for one in ids]))


def _forget(connection: Connection, table: Table, condition: ColumnElement[bool]) -> int:
    return connection.execute(delete(table).where(condition)).rowcount


def _chunks(ids: list[int]) -> list[list[int]]:
    return [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]
