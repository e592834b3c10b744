"""Leases: who works on what. The clock is the database's, so hosts whose clocks differ agree.

A lease is one row. Taking it is one statement, which counts its fence up; a holder that was paused and comes back finds
another fence and writes nothing more. While a store is open it extends the leases it holds (the heartbeat), so that a slow
step loses nothing; a process that died loses its leases after their seconds. Losing one is not a failure.
"""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import ColumnElement, Float, literal, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from certbroker.errors import LeaseHeld, StoreError
from certbroker.store import schema
from certbroker.store.columns import Moment
from certbroker.store.engine import inserting
from certbroker.store.history import History
from certbroker.store.rows import LeaseRow
from certbroker.world import Clock

NOBODY: Final = "nobody"

_table: Final = schema.lease


class _Moment(FunctionElement[datetime]):
    """The database's clock plus some seconds, in the form in which `columns.Moment` lies in the table."""

    name = "moment"
    type = Moment()
    inherit_cache = True

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(literal(float(seconds), Float()))


@compiles(_Moment, "sqlite")
def _sqlite_moment(moment: _Moment, compiler: SQLCompiler, **kw: Any) -> str:
    # %f is seconds with three digits; the column has six. unixepoch('subsec') is NULL before SQLite 3.42.
    seconds = compiler.process(moment.clauses, **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {seconds} || ' seconds')"


@compiles(_Moment, "postgresql")
def _postgresql_moment(moment: _Moment, compiler: SQLCompiler, **kw: Any) -> str:
    # clock_timestamp() is now; now() is when the transaction began.
    seconds = compiler.process(moment.clauses, **kw)
    return f"(timezone('utc', clock_timestamp()) + {seconds} * interval '1 second')"


class Lease:
    """A lease that is held. Leaving its `with` block gives it back."""

    def __init__(self, leases: Leases, name: str, holder: str, fence: int, seconds: float) -> None:
        self.name = name
        self.holder = holder
        self.fence = fence
        """Counts up each time the name changes hands."""
        self.seconds = seconds
        self._leases = leases

    def check(self) -> None:
        """Call before every write outside. Raises LeaseHeld when it is lost."""
        self._leases.check_lease(self)

    def extend(self) -> None:
        """Hold it for its seconds from now on. Raises LeaseHeld when it is lost."""
        self._leases.extend_lease(self)

    def release(self) -> None:
        """Give it back. Nothing happens if it is lost already."""
        self._leases.release_lease(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.release()
        else:
            with contextlib.suppress(StoreError):  # the first failure is the one to tell; the lease ends by itself
                self.release()


class Leases(History):
    """Names are free text: `certificate/main`."""

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(url, clock)
        self._beats: dict[Lease, float] = {}  # what is held, and when it is to be extended
        self._holding = threading.Condition()
        self._heart: threading.Thread | None = None
        self._closing = False

    def lease(self, name: str, holder: str, seconds: float = 120) -> Lease:
        """Take it, if nobody holds it or its holder let it expire. Raises LeaseHeld."""
        insert = inserting("sqlite" if self.sqlite else "postgresql")
        taken = {"holder": holder, "fence": _table.c.fence + 1, "expires": _Moment(seconds)}
        statement = (
            insert(_table)
            .values(name=name, holder=holder, fence=1, expires=_Moment(seconds))
            .on_conflict_do_update(index_elements=["name"], set_=taken, where=_table.c.expires < _Moment())
            .returning(_table.c.fence)
        )
        with self.writing() as connection:
            fence = connection.execute(statement).scalar_one_or_none()
        if fence is None:
            raise self._lost(name)
        lease = Lease(self, name, holder, fence, seconds)
        with self._holding:
            self._beats[lease] = time.monotonic() + seconds / 3
            if self._heart is None:
                self._heart = threading.Thread(target=self._beat, name="lease heartbeat", daemon=True)
                self._heart.start()
            self._holding.notify_all()
        return lease

    def leases(self) -> list[LeaseRow]:
        """Those that are held now, by name."""
        statement = select(_table).where(_table.c.expires >= _Moment()).order_by(_table.c.name)
        return [LeaseRow(**row._mapping) for row in self.rows(statement)]

    def check_lease(self, lease: Lease) -> None:
        """Raises LeaseHeld when it is lost. One that only ran out is taken again: its fence tells that nobody had it."""
        if self.row(select(_table.c.name).where(_ours(lease), _table.c.expires >= _Moment())) is None:
            self.extend_lease(lease)

    def extend_lease(self, lease: Lease) -> None:
        """Raises LeaseHeld when it is lost."""
        with self.writing() as connection:
            done = connection.execute(
                update(_table).where(_ours(lease)).values(expires=_Moment(lease.seconds))
            ).rowcount
        if not done:
            self._forget(lease)
            raise self._lost(lease.name)

    def release_lease(self, lease: Lease) -> None:
        """The row stays, run out, for its fence must go on counting. Nobody's: a heartbeat that comes late changes nothing."""
        self._forget(lease)
        with self.writing() as connection:
            given_back = {"holder": NOBODY, "expires": _Moment(-1.0)}
            connection.execute(update(_table).where(_ours(lease)).values(**given_back))

    def close(self) -> None:
        """Leases that are still held run out by themselves."""
        with self._holding:
            self._beats.clear()
            self._closing = True
            heart, self._heart = self._heart, None
            self._holding.notify_all()
        if heart is not None:
            heart.join()
        super().close()

    def _forget(self, lease: Lease) -> None:
        with self._holding:
            self._beats.pop(lease, None)

    def _lost(self, name: str) -> LeaseHeld:
        row = self.row(select(_table.c.holder, _table.c.expires, _Moment().label("now")).where(_table.c.name == name))
        if row is None:
            return LeaseHeld(name, NOBODY, 0.0)
        return LeaseHeld(name, row.holder, max(0.0, (row.expires - row.now).total_seconds()))

    def _beat(self) -> None:
        """Extend what is held three times within its seconds, until the store is closed."""
        while True:
            with self._holding:
                if self._closing:
                    return
                now = time.monotonic()  # real time, as the database's: a test that moves its clock cannot lose a lease
                moments = self._beats.values()
                pause = min(moments) - now if moments else None
                if pause is None or pause > 0:
                    self._holding.wait(pause)
                    continue
                late = [lease for lease, moment in self._beats.items() if moment <= now]
                self._beats.update({lease: now + lease.seconds / 3 for lease in late})
            for lease in late:
                with contextlib.suppress(LeaseHeld, StoreError):  # the holder's next check tells
                    self.extend_lease(lease)


def _ours(lease: Lease) -> ColumnElement[bool]:
    return (_table.c.name == lease.name) & (_table.c.fence == lease.fence) & (_table.c.holder == lease.holder)
