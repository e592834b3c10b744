"""Where something of ours is, as far as the store knows."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, FromClause, and_, exists, or_

from certbroker.model import Phase
from certbroker.store import schema

_SETTLED: Final = [phase.value for phase in Phase if phase.settled]


def still_there(here: FromClause) -> ColumnElement[bool]:
    """`here` is `deployment` by another name: it was put there, and no other version was proven at that place since."""
    later = schema.deployment.alias("later")
    replaced = exists().where(
        later.c.target == here.c.target,
        later.c.name == here.c.name,
        later.c.version_id != here.c.version_id,
        later.c.phase.in_(_SETTLED),
        or_(later.c.since > here.c.since, and_(later.c.since == here.c.since, later.c.version_id > here.c.version_id)),
    )
    return and_(or_(here.c.pushed.is_not(None), here.c.phase.in_(_SETTLED)), ~replaced)
