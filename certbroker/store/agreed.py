"""What the owner agreed to once: to replace a certificate that is not ours. A retry does not ask again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import exists, select

from certbroker.model import Live, Phase
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.history import History
from certbroker.store.rows import decode_live, encode_live

_table: Final = schema.agreed


class Agreed(History):
    """One row per certificate, target and name."""

    def agree(self, certificate: str, target: str, replaced: Mapping[str, Live]) -> None:
        """`replaced`: by name, what is there and may go."""
        now = self.now()
        with self.writing() as connection:
            upsert(
                connection,
                _table,
                [
                    {"certificate": certificate, "target": target, "name": name, "live": encode_live(live), "at": now}
                    for name, live in replaced.items()
                ],
            )

    def agreed(self, certificate: str) -> dict[tuple[str, str], Live]:
        """By target and name: what may be replaced there. Over once something of ours was proven or delivered there since."""
        deployment = schema.deployment
        settled = [phase.value for phase in Phase if phase.settled]
        over = exists().where(
            deployment.c.target == _table.c.target,
            deployment.c.name == _table.c.name,
            deployment.c.phase.in_(settled),
            deployment.c.since >= _table.c.at,
        )
        rows = self.rows(select(_table).where(_table.c.certificate == certificate, ~over))
        return {(row.target, row.name): live for row in rows if (live := decode_live(row.live)) is not None}
