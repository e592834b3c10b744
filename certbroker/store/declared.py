"""The file as last taken in: what it declares, and what left it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from certbroker.events import Event
from certbroker.model import JsonObject
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.history import History
from certbroker.store.rows import DueRow, TakenIn, plain


class Declared(History):
    """While a host's digest is the one it took in last, only what is due needs a look."""

    def taken_in(self, host: str) -> str | None:
        """The digest of the file that `host` last took in whole, or None."""
        row = self.row(select(schema.host.c.digest).where(schema.host.c.host == host))
        return None if row is None else str(row.digest)

    def take_in(
        self,
        host: str,
        file: str,
        digest: str,
        certificates: Mapping[str, JsonObject],
        targets: Mapping[str, JsonObject],
        events: Sequence[Event] = (),
        due: Callable[[TakenIn], Sequence[DueRow]] = lambda taken: (),
    ) -> TakenIn:
        """Make this file what is declared. What left it is kept as an orphan; what comes back counts as added.

        Args:
            due: what is due because of it. Called inside the transaction, so it must not use the store: a run that dies
                cannot have taken in a certificate that is then never due. What left the file is not due any more.
        """
        now = self.now()
        table = schema.declared
        given = {
            **{("certificate", name): plain(data) for name, data in certificates.items()},
            **{("target", name): plain(data) for name, data in targets.items()},
        }
        added, changed, gone = defaultdict(list), defaultdict(list), defaultdict(list)
        rows: list[dict[str, Any]] = []
        with self.writing(events) as connection:
            known = {(row.kind, row.name): row for row in self.fetch(connection, select(table))}
            for (kind, name), data in given.items():
                row = known.get((kind, name))
                if row is None or row.gone is not None:
                    added[kind].append(name)
                elif row.data != data:
                    changed[kind].append(name)
                else:
                    continue
                rows.append({"kind": kind, "name": name, "data": data, "gone": None})
            for (kind, name), row in known.items():
                if (kind, name) not in given and row.gone is None:
                    gone[kind].append(name)
                    rows.append({"kind": kind, "name": name, "data": row.data, "gone": now})
            upsert(connection, table, rows)
            upsert(connection, schema.host, [{"host": host, "digest": digest, "file": file, "at": now}])
            taken = TakenIn(added=_by_kind(added), changed=_by_kind(changed), gone=_by_kind(gone))
            upsert(connection, schema.due, [{"kind": d.kind, "subject": d.subject, "at": d.at} for d in due(taken)])
            for name in taken.gone["certificate"]:
                connection.execute(
                    delete(schema.due).where(
                        schema.due.c.kind.in_(("certificate", "observe")), schema.due.c.subject == name
                    )
                )
        return taken

    def declared(self, kind: str, name: str) -> JsonObject | None:
        """What the file says, or last said, about a "certificate" or "target"."""
        table = schema.declared
        row = self.row(select(table.c.data).where(table.c.kind == kind, table.c.name == name))
        return None if row is None else row.data

    def orphans(self) -> list[tuple[str, str, datetime]]:
        """Kind, name and since when: what left the file and has not been removed, the longest gone first."""
        table = schema.declared
        statement = select(table.c.kind, table.c.name, table.c.gone).where(table.c.gone.is_not(None))
        return [
            (row.kind, row.name, row.gone)
            for row in self.rows(statement.order_by(table.c.gone, table.c.kind, table.c.name))
        ]


def _by_kind(names: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(sorted(names.get(kind, ()))) for kind in ("certificate", "target")}
