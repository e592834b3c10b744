"""How each certificate stands, kept beside the rows it follows from and made anew in the same transaction.

Working it out when asked would read every deployment and every look; the first page of ten thousand certificates is to cost
what that of ten costs. `serving.stand` decides, this file hands it the rows and keeps what it says.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, func, select

from certbroker.events import Event
from certbroker.safe import Allowance
from certbroker.serving import FIRST_FINE, Cell, Stand, Standing, stand
from certbroker.store import schema
from certbroker.store.engine import inserting, upsert
from certbroker.store.history import ONE_AT_A_TIME
from certbroker.store.known import ALLOWANCE, NAMES, Knowing, chunks
from certbroker.world import Clock

_standing: Final = schema.standing
_cell: Final = schema.standing_cell
_tally: Final = schema.standing_tally

NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""Stands in `act_by` where there is nothing to be late for: the two databases sort what is missing to opposite ends."""


@dataclass(frozen=True, slots=True)
class TallyRow:
    """How many stand so: certificates where `target` is empty, else the cells of that target, with the edges that answered."""

    target: str
    stand: Stand
    many: int
    edges: int
    proven: int


class Standings(Knowing):
    """Whatever changes a row that bears on a certificate's standing does so inside `restanding`."""

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(url, clock)
        self._later = threading.local()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is touched in the block stands anew once, at its end, however often it is touched."""
        if self._under_way() is not None:
            with super().together():
                yield
            return
        with super().together():
            self._later.names = set()
            try:
                yield
                names: set[str] = self._later.names
            finally:
                self._later.names = None
            if names:
                with self.transaction() as connection:
                    self._stand_anew(connection, names)

    @contextmanager
    def restanding(
        self, events: Sequence[Event] = (), names: Collection[str] = ()
    ) -> Iterator[tuple[Connection, set[str]]]:
        """One transaction, `events` in it; at its end the certificates in the set that it gives stand anew.

        One such transaction at a time: between reading what is known and keeping what follows nobody else's change may fall.
        """
        touched = set(names)
        with self.writing(events) as connection:
            self.first(connection, ONE_AT_A_TIME)
            yield connection, touched
            later: set[str] | None = getattr(self._later, "names", None)
            if later is not None:
                later |= touched
            elif touched:
                self._stand_anew(connection, touched)

    def standing(self, certificate: str) -> Standing | None:
        """How it stands; None if the file that was last taken in does not have it."""
        return self._only(select(_standing).where(_standing.c.certificate == certificate))

    def worked_out(self, certificate: str) -> Standing | None:
        """The same, not as it is kept but from the rows it follows from."""
        with self.reading() as connection:
            return next(map(stand, self._known(connection, [certificate], self._allowance(connection))), None)

    def standings(self, now: datetime, *, offset: int = 0, limit: int = 25) -> list[Standing]:
        """A page of them: first what is past its last safe moment, then what needs somebody (the worst first), then the rest,
        each by its last safe moment. Every part is a range of an index."""
        rank, act_by, certificate = _standing.c.rank, _standing.c.act_by, _standing.c.certificate
        parts = (
            (act_by <= now, (act_by, certificate)),
            ((act_by > now) & (rank < FIRST_FINE), (rank, act_by, certificate)),
            ((act_by > now) & (rank >= FIRST_FINE), (act_by, certificate)),
        )
        found: list[Row[Any]] = []
        with self.reading() as connection:
            for condition, order in parts:
                statement = select(_standing).where(condition).order_by(*order).offset(offset)
                found += self.fetch(connection, statement.limit(limit - len(found)))
                if len(found) == limit:
                    break
                if found or not offset:
                    offset = 0
                else:
                    many = select(func.count().label("many")).select_from(_standing).where(condition)
                    offset -= self.fetch(connection, many)[0].many
            return self._with_cells(connection, found)

    def named_standings(self, needle: str, *, offset: int = 0, limit: int = 25) -> list[Standing]:
        """Those whose name holds `needle`, by name."""
        mine = _standing.c.certificate.contains(needle, autoescape=True)
        statement = select(_standing).where(mine).order_by(_standing.c.certificate).offset(offset).limit(limit)
        with self.reading() as connection:
            return self._with_cells(connection, self.fetch(connection, statement))

    def count_named(self, needle: str) -> int:
        """How many those are."""
        mine = _standing.c.certificate.contains(needle, autoescape=True)
        row = self.row(select(func.count().label("many")).select_from(_standing).where(mine))
        return 0 if row is None else int(row.many)

    def standings_of(self, names: Collection[str]) -> list[Standing]:
        """Of these certificates, those that are declared; by name."""
        found: list[Standing] = []
        with self.reading() as connection:
            for some in chunks(sorted(names)):
                mine = select(_standing).where(_standing.c.certificate.in_(some)).order_by(_standing.c.certificate)
                found += self._with_cells(connection, self.fetch(connection, mine))
        return found

    def troubled(self, now: datetime) -> list[Standing]:
        """Past their last safe moment, or with something that may need somebody; those to be seen to first leading."""
        parts = (_standing.c.rank <= Stand.WAITING.rank, _standing.c.act_by <= now)  # an index each
        with self.reading() as connection:
            rows = {
                row.certificate: row for part in parts for row in self.fetch(connection, select(_standing).where(part))
            }
            return self._with_cells(connection, sorted(rows.values(), key=lambda row: (row.act_by, row.certificate)))

    def next_to_renew(self, *, target: str | None = None) -> Standing | None:
        """Whose renewal comes first, of all or of those that `target` serves."""
        statement = select(_standing).where(_standing.c.renews.is_not(None))
        if target is not None:
            statement = statement.join(_cell, _cell.c.certificate == _standing.c.certificate)
            statement = statement.where(_cell.c.target == target)
        return self._only(statement.order_by(_standing.c.renews, _standing.c.certificate).limit(1))

    def first_to_act(self) -> Standing | None:
        """Whose last safe moment comes first, of those that users are sent to."""
        facing = select(_cell.c.target).where(
            _cell.c.certificate == _standing.c.certificate, _cell.c.standby.is_(False)
        )
        statement = select(_standing).where(facing.exists(), _standing.c.act_by < NEVER)
        return self._only(statement.order_by(_standing.c.act_by, _standing.c.certificate).limit(1))

    def undeclared(self, names: Collection[str]) -> list[str]:
        """Of these certificates, those that no file which was taken in has; in the same order."""
        kept = {row.certificate for row in self.rows(select(_standing.c.certificate))}
        return [name for name in names if name not in kept]

    def cells_of(self, target: str, *, offset: int = 0, limit: int = 25) -> list[Cell]:
        """Of one target, the worst first, then by the last safe moment."""
        statement = select(_cell).where(_cell.c.target == target)
        statement = statement.order_by(_cell.c.rank, _cell.c.act_by, _cell.c.certificate)
        return [_as_cell(row) for row in self.rows(statement.offset(offset).limit(limit))]

    def standing_tally(self) -> list[TallyRow]:
        """All counts, by target, the worst first."""
        rows = [
            TallyRow(row.target, Stand(row.stand), row.many, row.edges, row.proven)
            for row in self.rows(select(_tally).where(_tally.c.many > 0))
        ]
        return sorted(rows, key=lambda row: (row.target, row.stand.rank))

    # ---- keeping -----------------------------------------------------------------------------------------------------

    def _put_allowance(self, connection: Connection, allowance: Allowance) -> bool:
        """True if it was another one: then nothing stands as it did."""
        if self._allowance(connection) == allowance:
            return False
        text = f"{allowance.people.total_seconds():.0f} {allowance.ca.total_seconds():.0f}"
        upsert(connection, schema.meta, [{"key": ALLOWANCE, "value": text}])
        return True

    def _stand_anew(self, connection: Connection, names: Collection[str]) -> None:
        allowance = self._allowance(connection)
        for some in chunks(sorted(names)):
            new = {found.certificate: found for found in map(stand, self._known(connection, some, allowance))}
            rows = self.fetch(connection, _STANDINGS, {"names": some})
            old = {found.certificate: found for found in self._with_cells(connection, rows)}
            before = [each for name, each in old.items() if new.get(name) != each]
            after = [each for name, each in new.items() if old.get(name) != each]
            self._drop(connection, before, new)
            upsert(connection, _standing, [_as_row(each) for each in after])
            upsert(connection, _cell, [_as_cell_row(cell) for each in after for cell in each.cells])
            self._recount(connection, before, after)

    def _drop(self, connection: Connection, before: Sequence[Standing], new: Mapping[str, Standing]) -> None:
        """What no row takes the place of."""
        for each in before:
            left = new.get(each.certificate)
            targets = {cell.target for cell in each.cells} - {cell.target for cell in (left.cells if left else ())}
            if targets:
                mine = (_cell.c.certificate == each.certificate) & _cell.c.target.in_(sorted(targets))
                connection.execute(delete(_cell).where(mine))
            if left is None:
                connection.execute(delete(_standing).where(_standing.c.certificate == each.certificate))

    def _recount(self, connection: Connection, before: Sequence[Standing], after: Sequence[Standing]) -> None:
        change: dict[tuple[str, Stand], Counter[str]] = defaultdict(Counter)
        for sign, standings in ((-1, before), (1, after)):
            for each in standings:
                change["", each.stand]["many"] += sign
                for cell in each.cells:
                    counter = change[cell.target, cell.stand]
                    counter["many"] += sign
                    counter["edges"] += sign * cell.edges
                    counter["proven"] += sign * cell.proven
        counts = ("many", "edges", "proven")
        rows = [
            {"target": target, "stand": found.value, **{name: by[name] for name in counts}}
            for (target, found), by in sorted(change.items())
            if any(by.values())
        ]
        if rows:
            statement = inserting(connection.dialect.name)(_tally)
            more = {name: _tally.c[name] + statement.excluded[name] for name in counts}
            connection.execute(statement.on_conflict_do_update(index_elements=["target", "stand"], set_=more), rows)

    # ---- reading what is kept ----------------------------------------------------------------------------------------

    def _only(self, statement: Select[Any]) -> Standing | None:
        with self.reading() as connection:
            return next(iter(self._with_cells(connection, self.fetch(connection, statement))), None)

    def _with_cells(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[Standing]:
        cells: dict[str, list[Cell]] = defaultdict(list)
        for some in chunks([row.certificate for row in rows]):
            for row in self.fetch(connection, _CELLS, {"names": some}):
                cells[row.certificate].append(_as_cell(row))
        return [_as_standing(row, tuple(cells[row.certificate])) for row in rows]


_STANDINGS: Final = select(_standing).where(_standing.c.certificate.in_(NAMES))
_CELLS: Final = select(_cell).where(_cell.c.certificate.in_(NAMES)).order_by(_cell.c.certificate, _cell.c.target)


def _as_row(each: Standing) -> dict[str, Any]:
    return {
        "certificate": each.certificate,
        "rank": each.stand.rank,
        "stand": each.stand.value,
        "wanted": each.wanted,
        "words": each.words,
        "since": each.since,
        "until": each.until,
        "ends": each.ends,
        "renews": each.renews,
        "act_by": each.act_by or NEVER,
        "revoked_at": each.revoked_at,
        "length": None if each.length is None else int(each.length.total_seconds()),
        "took": None if each.took is None else int(each.took.total_seconds()),
        "places": each.places,
        "served": each.served,
    }


def _as_standing(row: Row[Any], cells: tuple[Cell, ...]) -> Standing:
    return Standing(
        certificate=row.certificate,
        stand=Stand(row.stand),
        wanted=row.wanted,
        words=row.words,
        since=row.since,
        until=row.until,
        ends=row.ends,
        renews=row.renews,
        act_by=None if row.act_by == NEVER else row.act_by,
        revoked_at=row.revoked_at,
        length=None if row.length is None else timedelta(seconds=row.length),
        took=None if row.took is None else timedelta(seconds=row.took),
        places=row.places,
        served=row.served,
        cells=cells,
    )


def _as_cell_row(cell: Cell) -> dict[str, Any]:
    return {
        "certificate": cell.certificate,
        "target": cell.target,
        "rank": cell.stand.rank,
        "stand": cell.stand.value,
        "standby": cell.standby,
        "wanted": cell.wanted,
        "served": cell.served,
        "words": cell.words,
        "since": cell.since,
        "until": cell.until,
        "act_by": cell.act_by or NEVER,
        "hint": cell.hint,
        "failures": cell.failures,
        "edges": cell.edges,
        "proven": cell.proven,
    }


def _as_cell(row: Row[Any]) -> Cell:
    of = dict(row._mapping)
    del of["rank"]
    act_by = None if row.act_by == NEVER else row.act_by
    return Cell(**{**of, "stand": Stand(row.stand), "act_by": act_by})
