"""What checks last found: state, so that `status` and alerts can tell it without asking anybody again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import case, select

from certbroker.events import Event
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.rows import FindingRow, FindingState
from certbroker.store.standings import Standings

_table: Final = schema.finding


class Findings(Standings):
    """By kind and name: ("target", "fastly"), ("dns", "example.com") ..."""

    def put_finding(
        self,
        kind: str,
        name: str,
        state: FindingState,
        what: str,
        hint: str | None = None,
        events: Sequence[Event] = (),
    ) -> bool:
        """Keep it. True if the state is another than before (`events` are recorded only then)."""
        now = self.now()
        with self.restanding(names={name} if kind == "certificate" else ()) as (connection, _):
            known = self.first(connection, select(_table).where(_table.c.kind == kind, _table.c.name == name))
            changed = known is None or known.state != state
            row = {"kind": kind, "name": name, "state": state, "what": what, "hint": hint, "at": now}
            upsert(connection, _table, [{**row, "since": now if changed or known is None else known.since}])
            if changed:
                self.append(connection, events)
        return changed

    def findings(self, state: FindingState | None = None) -> list[FindingRow]:
        """Worst first, then by kind and name."""
        worst = case({"fail": 0, "warn": 1}, value=_table.c.state, else_=2)
        statement = select(_table).order_by(worst, _table.c.kind, _table.c.name)
        if state is not None:
            statement = statement.where(_table.c.state == state)
        return [FindingRow(**row._mapping) for row in self.rows(statement)]
