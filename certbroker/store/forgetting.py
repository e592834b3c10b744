"""What has left the file: where something of it still is, and how it is forgotten when somebody says so."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, or_, select, update

from certbroker.events import Event
from certbroker.model import Phase
from certbroker.store import schema
from certbroker.store.placed import still_there
from certbroker.store.rows import Placed
from certbroker.store.tally import Tally


class Forgetting(Tally):
    """Nothing is forgotten by itself but what `Retention` says."""

    def placed(self, *, certificate: str | None = None, target: str | None = None) -> list[Placed]:
        """Where something of ours was put, and no other version was proven since: by certificate, target and name.

        Of several versions the newest is told.
        """
        here = schema.deployment.alias("here")
        statement = select(here.c.certificate, here.c.target, here.c.name, here.c.version_id).where(
            still_there(here), here.c.phase != Phase.RESTORED.value
        )
        if certificate is not None:
            statement = statement.where(here.c.certificate == certificate)
        if target is not None:
            statement = statement.where(here.c.target == target)
        order = (here.c.certificate, here.c.target, here.c.name, here.c.version_id)
        rows = self.rows(statement.order_by(*order))
        newest = {(row.certificate, row.target, row.name): row.version_id for row in rows}
        return [Placed(*place, version_id) for place, version_id in newest.items()]

    def forget_certificate(self, certificate: str, events: Sequence[Event] = ()) -> None:
        """Its versions with their private keys, where they were, and all else but the history. It must not be declared."""
        version, order = schema.version, schema.acme_order
        with self.restanding(events, {certificate}) as (connection, _):
            versions = self._ids_of(connection, version, version.c.certificate == certificate)
            orders = self._ids_of(connection, order, order.c.certificate == certificate)
            with self.counted(connection, set(versions)):
                _drop(connection, schema.deployment, schema.deployment.c.certificate == certificate)
            _drop(connection, schema.pin, schema.pin.c.certificate == certificate)
            _drop(connection, schema.variant, schema.variant.c.certificate == certificate)
            _drop(connection, schema.window, schema.window.c.version_id.in_(versions))
            box = schema.sealed
            for kind, ids in (("version", versions), ("order", orders)):
                _drop(connection, box, and_(box.c.kind == kind, box.c.owner.in_([str(each) for each in ids])))
            mine = order.c.certificate == certificate
            connection.execute(update(order).where(mine).values(version_id=None))
            under_way = and_(mine, order.c.state.not_in(("done", "failed")))
            connection.execute(update(order).where(under_way).values(state="failed", error="forgotten"))
            _drop(connection, version, version.c.certificate == certificate)
            for table in (schema.seen, schema.agreed, schema.passed_over, schema.drift, schema.handover):
                _drop(connection, table, table.c.certificate == certificate)
            due, finding = schema.due.c, schema.finding.c
            pruning = and_(due.kind == "prune", due.subject.endswith(f"/{certificate}", autoescape=True))
            own = and_(due.kind.in_(("certificate", "observe")), due.subject == certificate)
            _drop(connection, schema.due, or_(pruning, own))
            edges = and_(finding.kind == "edge", finding.name.startswith(f"{certificate} → ", autoescape=True))
            _drop(connection, schema.finding, or_(and_(finding.kind != "file", finding.name == certificate), edges))
            self._undeclare(connection, "certificate", certificate)

    def forget_places(self, target: str, places: Collection[tuple[str, str]], events: Sequence[Event] = ()) -> None:
        """That these (certificate, name) were put there; the versions stay."""
        table = schema.deployment
        with self.restanding(events, {certificate for certificate, _ in places}) as (connection, _):
            for certificate, name in sorted(places):
                here = and_(table.c.certificate == certificate, table.c.target == target, table.c.name == name)
                versions = {row.version_id for row in self.fetch(connection, select(table.c.version_id).where(here))}
                with self.counted(connection, versions):
                    _drop(connection, table, here)
                for other in (schema.seen, schema.agreed, schema.drift):
                    spot = and_(other.c.certificate == certificate, other.c.target == target, other.c.name == name)
                    _drop(connection, other, spot)
                left = self.fetch(connection, select(table.c.name).where(_both(table, certificate, target)).limit(1))
                if not left:
                    self._forget_pair(connection, certificate, target)

    def forget_target(self, target: str, events: Sequence[Event] = ()) -> None:
        """That it was declared, and what was found of it. What was put there is forgotten by `forget_places`."""
        with self.writing(events) as connection:
            due, finding = schema.due.c, schema.finding.c
            check = and_(due.kind == "check", due.subject == f"target/{target}")
            pruning = and_(due.kind == "prune", due.subject.startswith(f"{target}/", autoescape=True))
            _drop(connection, schema.due, or_(check, pruning))
            _drop(connection, schema.finding, and_(finding.kind.in_(("target", "store")), finding.name == target))
            self._undeclare(connection, "target", target)

    def _forget_pair(self, connection: Connection, certificate: str, target: str) -> None:
        _drop(connection, schema.pin, _both(schema.pin, certificate, target))
        due, finding = schema.due.c, schema.finding.c
        _drop(connection, schema.due, and_(due.kind == "prune", due.subject == f"{target}/{certificate}"))
        _drop(connection, schema.finding, and_(finding.kind == "edge", finding.name == f"{certificate} → {target}"))

    def _undeclare(self, connection: Connection, kind: str, name: str) -> None:
        """What left the file; what is in it stays declared."""
        for table, more in ((schema.declared, schema.declared.c.gone.is_not(None)), (schema.claim, None)):
            mine = and_(table.c.kind == kind, table.c.name == name)
            _drop(connection, table, mine if more is None else and_(mine, more))

    def _ids_of(self, connection: Connection, table: Table, condition: ColumnElement[bool]) -> list[int]:
        return [row.id for row in self.fetch(connection, select(table.c.id).where(condition))]


def _both(table: Table, certificate: str, target: str) -> ColumnElement[bool]:
    return and_(table.c.certificate == certificate, table.c.target == target)


def _drop(connection: Connection, table: Table, condition: Any) -> None:
    connection.execute(delete(table).where(condition))
