"""The file as last taken in: what it declares, what left it, and what the file of each host says."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, func, select, update

from certbroker.events import Event
from certbroker.model import JsonObject, Phase
from certbroker.safe import DEFAULT, Allowance
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.rows import ClaimRow, DueRow, InForce, TakenIn, plain
from certbroker.store.tally import Tally

Declaration = Mapping[str, Mapping[str, JsonObject]]
"""By kind ("certificate", "target") and name."""


class Declared(Tally):
    """While a host's digest is the one it took in last, and nobody changed it since, only what is due needs a look."""

    def taken_in(self, host: str) -> str | None:
        """The digest of the file that `host` last took in, while all of it is in force; else None."""
        row = self.row(select(schema.host).where(schema.host.c.host == host))
        if row is None or row.generation is None or row.generation != self._generation():
            return None
        return str(row.digest)

    def in_force(self) -> InForce:
        """What is declared, whoever's file says so; what left it is not."""
        table = schema.declared
        found: dict[str, dict[str, JsonObject]] = {"certificate": {}, "target": {}}
        generation = self._generation()
        for row in self.rows(select(table).where(table.c.gone.is_(None))):
            found[row.kind][row.name] = row.data
        return InForce(generation, found["certificate"], found["target"])

    def others(self, host: str, since: datetime) -> list[ClaimRow]:
        """What the files of other hosts say that have begun a run since then, each host's claims together."""
        run, claim = schema.run, schema.claim
        last = func.max(run.c.started).label("last")
        alive = (
            select(run.c.host, last).where(run.c.started >= since, run.c.host != host).group_by(run.c.host).subquery()
        )
        rows = self.rows(select(claim, alive.c.last).join(alive, alive.c.host == claim.c.host).order_by(claim.c.host))
        return [ClaimRow(row.host, row.last, row.kind, row.name, row.digest) for row in rows]

    def knows(self, digest: str) -> bool:
        """Some host took in this very file, and no other since."""
        return bool(self.rows(select(schema.host.c.host).where(schema.host.c.digest == digest).limit(1)))

    def take_in(
        self,
        host: str,
        file: str,
        digest: str,
        certificates: Mapping[str, JsonObject],
        targets: Mapping[str, JsonObject],
        events: Sequence[Event] = (),
        due: Callable[[TakenIn], Sequence[DueRow]] = lambda taken: (),
        *,
        says: Declaration | None = None,
        whole: bool = True,
        after: int | None = None,
        allowance: Allowance = DEFAULT,
    ) -> TakenIn | None:
        """Make this what is declared. What left it is kept as an orphan; what comes back counts as added.

        Args:
            due: what is due because of it. Called inside the transaction, so it must not use the store: a run that dies
                cannot have taken in a certificate that is then never due. What left the file is not due any more.
            says: what the host's file says, where that is not all in force.
            whole: it is, so `taken_in` knows the file from now on.
            after: the generation that all this was weighed against. None is returned, and nothing done, if another host was
                faster.
            allowance: what is set aside before each last safe moment.
        """
        now = self.now()
        table = schema.declared
        given = {
            **{("certificate", name): plain(data) for name, data in certificates.items()},
            **{("target", name): plain(data) for name, data in targets.items()},
        }
        added, changed, gone = defaultdict(list), defaultdict(list), defaultdict(list)
        rows: list[dict[str, Any]] = []
        back: list[str] = []
        moved: list[str] = []
        with self.restanding(events) as (connection, touched):
            generation = self._locked(connection)
            if after is not None and after != generation:
                return None
            known = {(row.kind, row.name): row for row in self.fetch(connection, select(table))}
            for (kind, name), data in given.items():
                row = known.get((kind, name))
                if row is None or row.gone is not None:
                    added[kind].append(name)
                    back += [name] if row is not None and kind == "certificate" else []
                elif row.data != data:
                    changed[kind].append(name)
                    moved += [name] if kind == "target" and _place(row.data) != _place(data) else []
                else:
                    continue
                rows.append({"kind": kind, "name": name, "data": data, "gone": None})
            for (kind, name), row in known.items():
                if (kind, name) not in given and row.gone is None:
                    gone[kind].append(name)
                    rows.append({"kind": kind, "name": name, "data": row.data, "gone": now})
            with self.counted(connection, self._wanted(connection, gone["certificate"] + back)):
                upsert(connection, table, rows)
            touched |= {row["name"] for row in rows if row["kind"] == "certificate"}
            if self._put_allowance(connection, allowance):
                touched |= set(certificates)
            for target in moved:
                touched |= self._anew(connection, target)
            if rows:
                generation += 1
                upsert(connection, schema.meta, [{"key": "generation", "value": str(generation)}])
            stands = generation if whole else None
            mine = {"host": host, "digest": digest, "file": file, "at": now, "generation": stands}
            upsert(connection, schema.host, [mine])
            self._claim(connection, host, says or {"certificate": certificates, "target": targets})
            taken = TakenIn(added=_by_kind(added), changed=_by_kind(changed), gone=_by_kind(gone))
            upsert(connection, schema.due, [{"kind": d.kind, "subject": d.subject, "at": d.at} for d in due(taken)])
            for name in taken.gone["certificate"]:
                connection.execute(delete(schema.drift).where(schema.drift.c.certificate == name))
                connection.execute(
                    delete(schema.due).where(
                        schema.due.c.kind.in_(("certificate", "observe")), schema.due.c.subject == name
                    )
                )
        return taken

    def forget_host(self, host: str) -> bool:
        """Its file has no say any more. False if nothing is known of it."""
        with self.writing() as connection:
            connection.execute(delete(schema.claim).where(schema.claim.c.host == host))
            found = schema.finding.c.kind == "file"
            connection.execute(delete(schema.finding).where(found, schema.finding.c.name == host))
            return connection.execute(delete(schema.host).where(schema.host.c.host == host)).rowcount > 0

    def hosts(self) -> list[str]:
        """Whose files are known."""
        return [row.host for row in self.rows(select(schema.host.c.host).order_by(schema.host.c.host))]

    def declared(self, kind: str, name: str) -> JsonObject | None:
        """What the file says, or last said, about a "certificate" or "target"."""
        table = schema.declared
        row = self.row(select(table.c.data).where(table.c.kind == kind, table.c.name == name))
        return None if row is None else row.data

    def is_declared(self, kind: str, name: str) -> bool:
        """The file of some host has it, and it is in force."""
        table = schema.declared
        mine = and_(table.c.kind == kind, table.c.name == name, table.c.gone.is_(None))
        return bool(self.rows(select(table.c.name).where(mine)))

    def orphans(self) -> list[tuple[str, str, datetime]]:
        """Kind, name and since when: what left the file and has not been removed, the longest gone first."""
        table = schema.declared
        statement = select(table.c.kind, table.c.name, table.c.gone).where(table.c.gone.is_not(None))
        return [
            (row.kind, row.name, row.gone)
            for row in self.rows(statement.order_by(table.c.gone, table.c.kind, table.c.name))
        ]

    def _claim(self, connection: Connection, host: str, says: Declaration) -> None:
        table = schema.claim
        new = {(kind, name): said_digest(data) for kind, named in says.items() for name, data in named.items()}
        old = {
            (row.kind, row.name): row.digest
            for row in self.fetch(connection, select(table).where(table.c.host == host))
        }
        changed = [(key, digest) for key, digest in new.items() if old.get(key) != digest]
        upsert(
            connection,
            table,
            [{"host": host, "kind": kind, "name": name, "digest": digest} for (kind, name), digest in changed],
        )
        for kind, name in old.keys() - new.keys():
            mine = and_(table.c.host == host, table.c.kind == kind, table.c.name == name)
            connection.execute(delete(table).where(mine))

    def _wanted(self, connection: Connection, certificates: Sequence[str]) -> set[int]:
        """The wanted versions of these."""
        variant = schema.variant
        found = set()
        for start in range(0, len(certificates), 500):
            some = variant.c.certificate.in_(certificates[start : start + 500])
            found |= {row.wanted for row in self.fetch(connection, select(variant.c.wanted).where(some)) if row.wanted}
        return found

    def _anew(self, connection: Connection, target: str) -> set[str]:
        """It leads to another place: nothing is known to have been pushed there. Returns the certificates concerned."""
        table = schema.deployment
        here = table.c.target == target
        statement = select(table.c.certificate, table.c.version_id).where(here).distinct()
        rows = self.fetch(connection, statement)
        never: dict[str, Any] = {
            "phase": Phase.PENDING.value,
            "why": "the target leads to another place",
            "before_seen": {},
            "failures": 0,
            **dict.fromkeys(("before", "restorable", "pushed", "deadline", "try_again", "hint", "records")),
        }
        with self.counted(connection, {row.version_id for row in rows}):
            connection.execute(update(table).where(here).values(never))
        for table in (schema.seen, schema.drift):
            connection.execute(delete(table).where(table.c.target == target))
        return {row.certificate for row in rows}

    def _generation(self) -> int:
        row = self.row(select(schema.meta.c.value).where(schema.meta.c.key == "generation"))
        return 0 if row is None else int(row.value)

    def _locked(self, connection: Connection) -> int:
        """Whoever else takes in a file waits."""
        self.first(connection, select(schema.meta.c.key).where(schema.meta.c.key == "id").with_for_update())
        row = self.first(connection, select(schema.meta.c.value).where(schema.meta.c.key == "generation"))
        return 0 if row is None else int(row.value)


def _place(data: JsonObject) -> tuple[Any, Any]:
    return data.get("type"), data.get("options")


def said_digest(data: JsonObject) -> str:
    """Equal for equal declarations."""
    return hashlib.sha256(json.dumps(plain(data), sort_keys=True).encode()).hexdigest()


def _by_kind(names: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(sorted(names.get(kind, ()))) for kind in ("certificate", "target")}
