"""Runs and history. Every other noun of the store builds on this: what changes is recorded in the same transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from certbroker.events import Event
from certbroker.store import schema
from certbroker.store.engine import Database
from certbroker.store.rows import HistoryRow, RunRow
from certbroker.world import Clock

ONE_AT_A_TIME: Final = select(schema.meta.c.key).where(schema.meta.c.key == "id").with_for_update()
"""A row that a transaction takes for itself where no other may come between what it reads and what it writes."""


class History(Database):
    """A database with a clock, the run that is under way, and what happened."""

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(url)
        self._clock = clock
        self.run: str | None = None
        """The run under way; every event recorded meanwhile carries it."""

    def now(self) -> datetime:
        """The clock's time. Leases alone go by the database's."""
        return self._clock.now()

    @contextmanager
    def writing(self, events: Sequence[Event] = ()) -> Iterator[Connection]:
        """One transaction, `events` in it. Raises StoreError, and then nothing was written."""
        with self.transaction() as connection:
            yield connection
            self.append(connection, events)

    def append(self, connection: Connection, events: Sequence[Event]) -> None:
        """Put `events` into the history within a transaction that is under way."""
        if events:
            connection.execute(
                insert(schema.history),
                [
                    {
                        "at": event.at,
                        "run": self.run,
                        "kind": event.kind,
                        "certificate": event.certificate,
                        "target": event.target,
                        "name": event.name,
                        "data": event.data(),
                    }
                    for event in events
                ],
            )

    def record(self, *events: Event) -> None:
        """Events that change nothing else."""
        if events:
            with self.writing(events):
                pass

    def knows_run(self, id: str) -> bool:
        """Whether a run of this id is remembered."""
        return bool(self.rows(select(schema.run.c.id).where(schema.run.c.id == id)))

    def begin_run(
        self, id: str, *, command: str, actor: str, host: str, reason: str | None, digest: str, started: datetime
    ) -> None:
        """From now on, events belong to this run."""
        with self.writing() as connection:
            connection.execute(
                insert(schema.run).values(
                    id=id, command=command, actor=actor, host=host, reason=reason, digest=digest, started=started
                )
            )
        self.run = id

    def end_run(self, id: str, *, exit_code: int, summary: str) -> None:
        """It ended with this exit code and this sentence."""
        with self.writing() as connection:
            connection.execute(
                update(schema.run)
                .where(schema.run.c.id == id)
                .values(ended=self.now(), exit_code=exit_code, summary=summary)
            )

    def runs(self, limit: int = 20) -> list[RunRow]:
        """Newest first."""
        table = schema.run
        rows = self.rows(select(table).order_by(table.c.started.desc(), table.c.id.desc()).limit(limit))
        return [RunRow(**row._mapping) for row in rows]

    def last_run(self, command: str) -> datetime | None:
        """When the last run of that command began."""
        table = schema.run
        mine = select(table.c.started).where(table.c.command == command).order_by(table.c.started.desc())
        row = self.row(mine.limit(1))
        return None if row is None else row.started

    def history(
        self,
        *,
        certificate: str | None = None,
        target: str | None = None,
        kind: str | None = None,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[HistoryRow]:
        """Newest first; what is given narrows it. `before`: only what was written before the row of this id."""
        table = schema.history
        order = (table.c.id.desc(),) if before is not None else (table.c.at.desc(), table.c.id.desc())
        statement = select(table).order_by(*order).limit(limit)
        if before is not None:
            statement = statement.where(table.c.id < before)
        if certificate is not None:
            statement = statement.where(table.c.certificate == certificate)
        if target is not None:
            statement = statement.where(table.c.target == target)
        if kind is not None:
            statement = statement.where(table.c.kind == kind)
        if since is not None:
            statement = statement.where(table.c.at >= since)
        return [HistoryRow(**row._mapping) for row in self.rows(statement)]

    def pulse(self) -> str:
        """Another text whenever something happened: an event, a run that ended, a look at an edge. Three look-ups by index."""
        history, run, seen = schema.history, schema.run, schema.seen
        with self.reading() as connection:
            last = self.first(connection, select(func.max(history.c.id).label("id")))
            newest = self.first(connection, select(run.c.id, run.c.exit_code).order_by(run.c.started.desc()).limit(1))
            look = self.first(connection, select(func.max(seen.c.at).label("at")))
        parts = (last and last.id, newest and newest.id, newest and newest.exit_code, look and look.at)
        return " ".join(map(str, parts))
