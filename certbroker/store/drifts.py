"""Where what stands was last found not as wanted. One row a target and name; what is as wanted again loses it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from typing import Final

from sqlalchemy import Connection, delete, select

from certbroker.events import Event
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.rows import DeploymentRow, DriftChange, DriftRow
from certbroker.store.standings import Standings

_table: Final = schema.drift


class Drifts(Standings):
    """A quiet night reads none of them: there are only those that somebody should know of."""

    def put_drift(
        self,
        certificate: str,
        found: Sequence[DriftRow],
        *,
        targets: Collection[str] | None = None,
        told: Callable[[DriftChange], Sequence[Event]] = lambda change: (),
    ) -> DriftChange:
        """Everything that one observation of `certificate` found at `targets` (None: all), in place of what the last one did.

        A deployment that moved after that look began has the newer word: what was seen there is not kept. That nobody could
        find out does not take the place of a cause that was found.

        Args:
            told: the events of what changed, recorded with it. Called inside the transaction, so it must not use the store.
        """
        with self.restanding(names={certificate}) as (connection, _):
            mine = select(_table).where(_table.c.certificate == certificate)
            if targets is not None:
                mine = mine.where(_table.c.target.in_(sorted(targets)))
            known = {(row.target, row.name): DriftRow(**row._mapping) for row in self.fetch(connection, mine)}
            kept: dict[tuple[str, str], DriftRow] = {}
            for row in found:
                before = known.get((row.target, row.name))
                if before is not None and (row.state, before.state) == ("warn", "fail"):
                    row = before
                if not self._moved(connection, row):
                    same = before is not None and before.cause == row.cause
                    kept[row.target, row.name] = replace(row, since=before.since) if before and same else row
            change = DriftChange(
                begun=tuple(row for at, row in kept.items() if at not in known or known[at].cause != row.cause),
                over=tuple(row for at, row in known.items() if at not in kept),
            )
            for row in change.over:
                _forget(connection, row.target, row.name)
            upsert(connection, _table, [asdict(row) for row in kept.values()])
            self.append(connection, told(change))
        return change

    def drifts(self, certificate: str | None = None) -> list[DriftRow]:
        """By certificate, target and name; None: of all certificates."""
        statement = select(_table).order_by(_table.c.certificate, _table.c.target, _table.c.name)
        if certificate is not None:
            statement = statement.where(_table.c.certificate == certificate)
        return [DriftRow(**row._mapping) for row in self.rows(statement)]

    def _moved(self, connection: Connection, row: DriftRow) -> bool:
        deployment = schema.deployment
        here = (deployment.c.target == row.target) & (deployment.c.name == row.name)
        return self.first(connection, select(deployment.c.name).where(here, deployment.c.since > row.at)) is not None

    def forget_moved(self, connection: Connection, rows: Sequence[DeploymentRow]) -> None:
        """What was seen before these deployments moved is over: while one is under way its phase tells how it stands."""
        certificates = {row.certificate for row in rows}
        known = self.fetch(connection, select(_table).where(_table.c.certificate.in_(certificates)))
        seen = {(drift.target, drift.name): drift.at for drift in known}
        for row in rows:
            at = seen.get((row.target, row.name))
            if at is not None and (not row.phase.settled or (row.pushed is not None and at <= row.pushed)):
                _forget(connection, row.target, row.name)


def _forget(connection: Connection, target: str, name: str) -> None:
    connection.execute(delete(_table).where(_table.c.target == target, _table.c.name == name))
