"""Deployments: one version on one target for one name, with its phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, Select, exists, func, select

from certbroker.events import Event
from certbroker.model import KeyType, Phase, Restorable, Version
from certbroker.store import schema
from certbroker.store.drifts import Drifts
from certbroker.store.engine import upsert
from certbroker.store.rows import DeploymentRow, decode_live, decode_records, encode_live, encode_records
from certbroker.store.tally import Tally
from certbroker.store.versions import as_version

_table: Final = schema.deployment
_SETTLED: Final = tuple(phase.value for phase in Phase if phase.settled)
_UNSETTLED: Final = tuple(phase.value for phase in Phase if not phase.settled)


class Deployments(Tally, Drifts):
    """Written before and after every call to a target."""

    def put_deployments(self, rows: Sequence[DeploymentRow], events: Sequence[Event] = ()) -> None:
        """Insert or replace, all of them or none."""
        touched = {row.certificate for row in rows}
        with (
            self.restanding(events, touched) as (connection, _),
            self.counted(connection, {row.version_id for row in rows}),
        ):
            upsert(connection, _table, [_as_row(row) for row in rows])
            self.forget_moved(connection, rows)

    def deployments(self, certificate: str) -> list[DeploymentRow]:
        """Of every version of it: newest version first, then by target and name."""
        statement = select(_table).where(_table.c.certificate == certificate)
        return self._many(statement.order_by(_table.c.version_id.desc(), _table.c.target, _table.c.name))

    def deployment(self, version_id: int, target: str, name: str) -> DeploymentRow | None:
        found = self._many(
            select(_table).where(_table.c.version_id == version_id, _table.c.target == target, _table.c.name == name)
        )
        return found[0] if found else None

    def unsettled(self) -> list[DeploymentRow]:
        """Of versions that are wanted, or that their target is pinned to: what is neither committed nor delivered."""
        variant = schema.variant
        wanted = exists().where(
            variant.c.certificate == _table.c.certificate,
            variant.c.key_type == _table.c.key_type,
            variant.c.wanted == _table.c.version_id,
        )
        pin = schema.pin
        pinned = exists().where(
            pin.c.certificate == _table.c.certificate,
            pin.c.target == _table.c.target,
            pin.c.version_id == _table.c.version_id,
        )
        statement = select(_table).where(_table.c.phase.in_(_UNSETTLED), wanted | pinned)
        return self._many(statement.order_by(_table.c.certificate, _table.c.target, _table.c.name))

    def count_drifted(self) -> dict[Phase, int]:
        """How many that stand, of versions that are wanted, were observed not to be as wanted."""
        if self.row(select(schema.drift.c.name).limit(1)) is None:
            return {}  # the usual night, which is not to search the deployments
        drift, variant = schema.drift, schema.variant
        rows = self.rows(
            select(_table.c.phase, func.count().label("many"))
            .join(drift, (drift.c.target == _table.c.target) & (drift.c.name == _table.c.name))
            .join(variant, variant.c.wanted == _table.c.version_id)
            .where(drift.c.state == "fail", _table.c.phase.in_(_SETTLED))
            .group_by(_table.c.phase)
        )
        return {Phase(row.phase): row.many for row in rows}

    def last_committed(self, target: str, name: str) -> Version | None:
        """The version that was last proven there or, where there is no edge to look at, delivered."""
        return self._last(target, name, _table.c.phase.in_(_SETTLED), _table.c.since)

    def last_pushed(self, target: str, name: str) -> Version | None:
        """The version whose push the platform last accepted, proven or not."""
        return self._last(target, name, _table.c.pushed.is_not(None), _table.c.pushed)

    def begun(self, target: str, name: str) -> list[Version]:
        """Versions whose push was begun there, newest first: each of them may be what is there, answered or not."""
        rows = self.rows(
            select(schema.version)
            .join(_table, _table.c.version_id == schema.version.c.id)
            .where(_table.c.target == target, _table.c.name == name)
            .order_by(schema.version.c.id.desc())
        )
        return [as_version(row) for row in rows]

    def kept_fingerprints(self, certificate: str, target: str) -> frozenset[str]:
        """What a pruning of that target must leave there: what is wanted, and per name what was last pushed or proven."""
        version, variant = schema.version, schema.variant
        wanted = select(version.c.fingerprint).join(variant, variant.c.wanted == version.c.id)
        rows = self.rows(wanted.where(variant.c.certificate == certificate))
        names = self.rows(
            select(_table.c.name).where(_table.c.certificate == certificate, _table.c.target == target).distinct()
        )
        placed = [(self.last_pushed(target, row.name), self.last_committed(target, row.name)) for row in names]
        return frozenset(
            {row.fingerprint for row in rows} | {one.fingerprint for pair in placed for one in pair if one is not None}
        )

    def _last(self, target: str, name: str, condition: Any, moment: Any) -> Version | None:
        row = self.row(
            select(schema.version)
            .join(_table, _table.c.version_id == schema.version.c.id)
            .where(_table.c.target == target, _table.c.name == name, condition)
            .order_by(moment.desc(), schema.version.c.id.desc())
            .limit(1)
        )
        return None if row is None else as_version(row)

    def _many(self, statement: Select[Any]) -> list[DeploymentRow]:
        return [_as_deployment(row) for row in self.rows(statement)]


def _as_row(row: DeploymentRow) -> dict[str, Any]:
    return {
        "version_id": row.version_id,
        "target": row.target,
        "name": row.name,
        "certificate": row.certificate,
        "key_type": row.key_type.value,
        "phase": row.phase.value,
        "since": row.since,
        "before": encode_live(row.before),
        "before_seen": dict(row.before_seen),
        "restorable": None if row.restorable is None else row.restorable.value,
        "begun": row.begun,
        "pushed": row.pushed,
        "deadline": row.deadline,
        "failures": row.failures,
        "try_again": row.try_again,
        "why": row.why,
        "hint": row.hint,
        "records": encode_records(row.records),
    }


def _as_deployment(row: Row[Any]) -> DeploymentRow:
    return DeploymentRow(
        **{
            **row._mapping,
            "key_type": KeyType(row.key_type),
            "phase": Phase(row.phase),
            "before": decode_live(row.before),
            "before_seen": row.before_seen or {},
            "restorable": None if row.restorable is None else Restorable(row.restorable),
            "records": decode_records(row.records),
        }
    )
