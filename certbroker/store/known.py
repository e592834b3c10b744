"""All that bears on how a certificate stands, out of the rows that say it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, Row, Select, bindparam, select

from certbroker import policy
from certbroker.known import Drift, Issued, Known, Look, Ordering, Pinned, Place, Put
from certbroker.model import KeyType, Lifetime, Phase
from certbroker.safe import DEFAULT, Allowance
from certbroker.store import schema
from certbroker.store.history import History

ALLOWANCE: Final = "allowance"
"""Where it stands among what is kept of the store itself."""

CHUNK: Final = 500
"""Certificates of one statement."""


class Knowing(History):
    """Whoever adds a table that bears on how a certificate stands reads it here."""

    def all_known(self) -> Iterator[Known]:
        """All that bears on how each declared certificate stands, by name; some hundred are read at a time."""
        names = [
            row.certificate
            for row in self.rows(select(schema.standing.c.certificate).order_by(schema.standing.c.certificate))
        ]
        for some in chunks(names):
            with self.reading() as connection:
                found = {
                    known.certificate: known for known in self._known(connection, some, self._allowance(connection))
                }
            yield from (found[name] for name in some if name in found)

    def _allowance(self, connection: Connection) -> Allowance:
        """What is set aside before the last safe moment."""
        row = self.first(connection, select(schema.meta.c.value).where(schema.meta.c.key == ALLOWANCE))
        if row is None:
            return DEFAULT
        people, ca = (timedelta(seconds=int(part)) for part in row.value.split())
        return Allowance(people, ca)

    def _known(self, connection: Connection, names: Sequence[str], allowance: Allowance) -> Iterator[Known]:
        """Of those that are declared."""
        rows = self.fetch(connection, _declared(), {"names": names})
        found = {row.name: row for row in rows}
        if not found:
            return
        pins: dict[str, dict[str, Pinned]] = defaultdict(dict)
        for row in rows:
            if row.v_id is not None:
                pins[row.name][row.target] = Pinned(_issued(row), row.until)
        orderings = self._orderings(connection, list(found))
        puts, drifts = self._puts(connection, list(found))
        looks = self._looks(connection, list(found))
        for name, row in found.items():
            yield Known(
                certificate=name,
                places=tuple(sorted(_places(row.data), key=lambda place: place.target)),
                keys=tuple(KeyType(key) for key in row.data.get("keys", sorted(orderings.get(name, ())))),
                orderings=orderings.get(name, {}),
                puts=tuple(puts.get(name, ())),
                looks=tuple(looks.get(name, ())),
                drifts=tuple(drifts.get(name, {}).values()),
                pins=pins.get(name, {}),
                waits=row.what,
                allowance=allowance,
            )

    def _orderings(self, connection: Connection, names: Sequence[str]) -> Mapping[str, Mapping[KeyType, Ordering]]:
        found: dict[str, dict[KeyType, Ordering]] = defaultdict(dict)
        for row in self.fetch(connection, _ordered(), {"names": names}):
            wanted = None if row.v_id is None else _issued(row, row.drawn)
            found[row.certificate][KeyType(row.key_type)] = Ordering(wanted, row.error, row.failing_since)
        return found

    def _puts(
        self, connection: Connection, names: Sequence[str]
    ) -> tuple[Mapping[str, Sequence[Put]], Mapping[str, Mapping[tuple[str, str], Drift]]]:
        """Where versions of them were put, and where that was found to have drifted, by target and name."""
        found: dict[str, list[Put]] = defaultdict(list)
        drifts: dict[str, dict[tuple[str, str], Drift]] = defaultdict(dict)
        for row in self.fetch(connection, _put(), {"names": names}):
            if row.d_what is not None:
                at = (row.target, row.name)
                drifts[row.certificate][at] = Drift(*at, row.d_what, row.d_hint, row.d_since)
            ends = (row.before or {}).get("ends")
            put = Put(
                version=_issued(row),
                target=row.target,
                name=row.name,
                phase=Phase(row.phase),
                since=row.since,
                begun=row.begun,
                failures=row.failures,
                why=row.why or "",
                hint=row.hint or "",
                before_ends=datetime.fromisoformat(ends) if ends else None,
            )
            found[row.certificate].append(put)
        return found, drifts

    def _looks(self, connection: Connection, names: Sequence[str]) -> Mapping[str, Sequence[Look]]:
        found: dict[str, list[Look]] = defaultdict(list)
        for row in self.fetch(connection, _LOOKS, {"names": names}):
            look = Look(
                row.target, row.name, row.edge, row.at, row.verdict, row.fingerprint, row.ends, row.detail or ""
            )
            found[row.certificate].append(look)
        return found


_VERSION: Final = ("id", "number", "fingerprint", "starts", "ends", "revoked_at", "took")
_ISSUED: Final = [schema.version.c[name].label(f"v_{name}") for name in _VERSION]

_DRIFT: Final = [schema.drift.c[name].label(f"d_{name}") for name in ("what", "hint", "since")]

# Statements are made once: to make one takes longer than to run it. Each asks about the certificates that it is given.
NAMES: Final[BindParameter[Any]] = bindparam("names", expanding=True)
_SEEN: Final = schema.seen.c
_LOOKS: Final = select(schema.seen).where(_SEEN.certificate.in_(NAMES)).order_by(_SEEN.target, _SEEN.name, _SEEN.edge)


@cache
def _declared() -> Select[Any]:
    """The declared certificates, each with what it waits for and its pins."""
    declared, finding, pin, version = schema.declared, schema.finding, schema.pin, schema.version
    waits = (finding.c.kind == "certificate") & (finding.c.name == declared.c.name) & (finding.c.state == "warn")
    return (
        select(declared.c.name, declared.c.data, finding.c.what, pin.c.target, pin.c.until, *_ISSUED)
        .select_from(
            declared.outerjoin(finding, waits)
            .outerjoin(pin, pin.c.certificate == declared.c.name)
            .outerjoin(version, (version.c.id == pin.c.version_id) & version.c.revoked_at.is_(None))
        )
        .where(declared.c.kind == "certificate", declared.c.name.in_(NAMES), declared.c.gone.is_(None))
    )


@cache
def _ordered() -> Select[Any]:
    """Their variants."""
    variant, version, window = schema.variant, schema.version, schema.window
    return (
        select(
            variant.c.certificate,
            variant.c.key_type,
            variant.c.error,
            variant.c.failing_since,
            *_ISSUED,
            window.c.drawn,
        )
        .select_from(
            variant.outerjoin(version, variant.c.wanted == version.c.id).outerjoin(
                window, window.c.version_id == version.c.id
            )
        )
        .where(variant.c.certificate.in_(NAMES))
    )


@cache
def _put() -> Select[Any]:
    """Their deployments, each with what drifted there."""
    deployment, version, drift = schema.deployment, schema.version, schema.drift
    columns = ("certificate", "target", "name", "phase", "since", "begun", "failures", "why", "hint", "before")
    return (
        select(*(deployment.c[name] for name in columns), *_ISSUED, *_DRIFT)
        .join(version, version.c.id == deployment.c.version_id)
        .outerjoin(
            drift,
            (drift.c.target == deployment.c.target)
            & (drift.c.name == deployment.c.name)
            & (drift.c.certificate == deployment.c.certificate)
            & (drift.c.state == "fail"),
        )
        .where(deployment.c.certificate.in_(NAMES))
        .order_by(deployment.c.version_id, deployment.c.target, deployment.c.name)
    )


def _issued(row: Row[Any], drawn: datetime | None = None) -> Issued:
    life = Lifetime(row.v_starts, row.v_ends)
    renews = row.v_revoked_at or policy.planned(life, drawn)
    took = None if row.v_took is None else timedelta(seconds=row.v_took)
    return Issued(row.v_id, f"v{row.v_number}", row.v_fingerprint, life, row.v_revoked_at, renews, took)


def _places(data: Mapping[str, Any]) -> Iterator[Place]:
    for target, names in data.get("targets", ()):
        yield Place(target, tuple(names), target in data.get("standby", ()))


def chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many at once as one statement may name."""
    for start in range(0, len(names), CHUNK):
        yield names[start : start + CHUNK]
