"""What metrics are made from: each table read with one statement, however many certificates there are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from certbroker.model import Phase
from certbroker.serving import Stand
from certbroker.store import schema
from certbroker.store.rows import RunRow
from certbroker.store.standings import NEVER, Standings


@dataclass(frozen=True, slots=True)
class Moments:
    """When things happen to one certificate. The fields are those of `serving.Standing`."""

    certificate: str
    until: datetime | None
    ends: datetime | None
    renews: datetime | None
    act_by: datetime | None


@dataclass(frozen=True, slots=True)
class At:
    """One certificate at one of its targets. The fields are those of `serving.Cell`."""

    certificate: str
    target: str
    stand: Stand
    until: datetime | None
    failures: int


@dataclass(frozen=True, slots=True)
class Ordered:
    """Orders of one issuer: how many ended so, and the seconds that the slowest of them took."""

    issuer: str
    state: str
    many: int
    slowest: float


@dataclass(frozen=True, slots=True)
class LooksAt:
    """The last looks at the edges of one target, those with one verdict."""

    target: str
    verdict: str
    many: int
    oldest: datetime
    slowest: float
    """Seconds."""


class Measured(Standings):
    """Only reads."""

    def moments(self) -> list[Moments]:
        """Of every certificate, by name."""
        t = schema.standing
        columns = (t.c.certificate, t.c.until, t.c.ends, t.c.renews, t.c.act_by)
        rows = self.rows(select(*columns).order_by(t.c.certificate))
        return [
            Moments(row.certificate, row.until, row.ends, row.renews, None if row.act_by == NEVER else row.act_by)
            for row in rows
        ]

    def places(self) -> list[At]:
        """Of every certificate at each target, by name."""
        t = schema.standing_cell
        columns = (t.c.certificate, t.c.target, t.c.stand, t.c.until, t.c.failures)
        rows = self.rows(select(*columns).order_by(t.c.certificate, t.c.target))
        return [At(row.certificate, row.target, Stand(row.stand), row.until, row.failures) for row in rows]

    def orders_since(self, since: datetime) -> list[Ordered]:
        """Those that ended since then, from the journal; rehearsals do not count."""
        t = schema.acme_order
        ended = t.c.state.in_(("done", "failed")) & (t.c.updated >= since) & t.c.rehearsal.is_(False)
        found: dict[tuple[str, str], list[float]] = {}
        for row in self.rows(select(t.c.issuer, t.c.state, t.c.started, t.c.updated).where(ended)):
            took = (row.updated - row.started).total_seconds()
            found.setdefault((row.issuer, row.state), []).append(took)
        return [Ordered(*key, many=len(took), slowest=max(took)) for key, took in sorted(found.items())]

    def pushes_since(self, since: datetime) -> dict[tuple[str, Phase], tuple[int, float]]:
        """By target and phase: how many deployments came to it since then and are in it still, and the seconds that the
        slowest took from the beginning of its push."""
        t = schema.deployment
        found: dict[tuple[str, Phase], list[float]] = {}
        for row in self.rows(select(t.c.target, t.c.phase, t.c.begun, t.c.since).where(t.c.since >= since)):
            took = 0.0 if row.begun is None else max(0.0, (row.since - row.begun).total_seconds())
            found.setdefault((row.target, Phase(row.phase)), []).append(took)
        return {key: (len(took), max(took)) for key, took in sorted(found.items())}

    def looks(self) -> list[LooksAt]:
        """By target and verdict."""
        t = schema.seen
        counts = (
            func.count().label("many"),
            func.min(t.c.at, type_=t.c.at.type).label("oldest"),
            func.max(t.c.seconds).label("slowest"),
        )
        statement = select(t.c.target, t.c.verdict, *counts).group_by(t.c.target, t.c.verdict)
        rows = self.rows(statement.order_by(t.c.target, t.c.verdict))
        return [LooksAt(row.target, row.verdict, row.many, row.oldest, row.slowest) for row in rows]

    def due_by_kind(self, now: datetime) -> dict[str, tuple[int, datetime]]:
        """What is due at `now`: how many rows of each kind, and the moment of the first."""
        t = schema.due
        counts = (func.count().label("many"), func.min(t.c.at, type_=t.c.at.type).label("first"))
        rows = self.rows(select(t.c.kind, *counts).where(t.c.at <= now).group_by(t.c.kind).order_by(t.c.kind))
        return {row.kind: (row.many, row.first) for row in rows}

    def order_failures(self) -> Counter[str]:
        """How many orders in a row failed, of each certificate that has failing ones."""
        t = schema.variant
        statement = select(t.c.certificate, t.c.failures).where(t.c.failing_since.is_not(None))
        found: Counter[str] = Counter()
        for row in self.rows(statement):
            found[row.certificate] += row.failures
        return found

    def last_ended(self, command: str, exit_codes: tuple[int, ...] = ()) -> RunRow | None:
        """The last run of that command that ended, with one of these exit codes if any is given."""
        t = schema.run
        mine = (t.c.command == command) & t.c.ended.is_not(None)
        if exit_codes:
            mine &= t.c.exit_code.in_(exit_codes)
        row = self.row(select(t).where(mine).order_by(t.c.started.desc(), t.c.id.desc()).limit(1))
        return None if row is None else RunRow(**row._mapping)
