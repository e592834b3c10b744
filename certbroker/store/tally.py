"""How many deployments of wanted versions stand in which phase, counted as they change.

Counting them when asked would read every one of them; a quiet night is to cost the same for 10 certificates as for 100,000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, Select, bindparam, exists, func, select, update

from certbroker.model import Phase
from certbroker.store import schema
from certbroker.store.engine import ensure
from certbroker.store.history import ONE_AT_A_TIME
from certbroker.store.standings import Standings

_tally: Final = schema.tally


class Tally(Standings):
    """Whatever changes a phase, what is wanted or what is declared does so inside `counted`."""

    def count_deployments(self) -> dict[Phase, int]:
        """Of wanted versions, by phase; of certificates that left the file, none."""
        rows = self.rows(select(_tally).where(_tally.c.many > 0))
        return {Phase(row.phase): row.many for row in rows}

    @contextmanager
    def counted(self, connection: Connection, version_ids: Collection[int]) -> Iterator[None]:
        """Keep the tally right while the deployments of these versions change, or whether they are wanted.

        One transaction at a time: between the count before and the count after nobody else's change may fall.
        """
        self.first(connection, ONE_AT_A_TIME)
        before = self._count(connection, version_ids)
        yield
        after = self._count(connection, version_ids)
        for phase in sorted(before.keys() | after.keys()):
            change = after[phase] - before[phase]
            if change:
                ensure(connection, _tally, {"phase": phase, "many": 0})
                row = update(_tally).where(_tally.c.phase == phase)
                connection.execute(row.values(many=_tally.c.many + change))

    def _count(self, connection: Connection, version_ids: Collection[int]) -> Counter[str]:
        return Counter({row.phase: row.many for row in self.fetch(connection, _counting(), {"ids": list(version_ids)})})


@cache
def _counting() -> Select[Any]:
    """Made once: to make it takes longer than to run it."""
    ids: BindParameter[Any] = bindparam("ids", expanding=True)
    deployment, variant, declared = schema.deployment, schema.variant, schema.declared
    gone = exists().where(
        declared.c.kind == "certificate", declared.c.name == deployment.c.certificate, declared.c.gone.is_not(None)
    )
    return (
        select(deployment.c.phase, func.count().label("many"))
        .join(variant, variant.c.wanted == deployment.c.version_id)
        .where(deployment.c.version_id.in_(ids), variant.c.wanted.in_(ids), ~gone)
        .group_by(deployment.c.phase)
    )
