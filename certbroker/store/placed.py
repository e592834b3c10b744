"""Where something of ours is, as far as the store knows."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, FromClause, and_, exists, false, or_, true

from certbroker.model import Phase
from certbroker.store import schema

_SETTLED: Final = [phase.value for phase in Phase if phase.settled]


def still_there(here: FromClause, *, cautious: bool = False) -> ColumnElement[bool]:
    """`here` is `deployment` by another name: it was put there, and no other version was proven at that place since.

    Args:
        cautious: rather too many than too few. A push that was begun counts, answered or not, for it may have arrived; an older
            version that was proven later does not, for the clock may have been wrong.
    """
    later = schema.deployment.alias("later")
    replaced = exists().where(
        later.c.target == here.c.target,
        later.c.name == here.c.name,
        later.c.version_id != here.c.version_id,
        later.c.phase.in_(_SETTLED),
        or_(later.c.since > here.c.since, and_(later.c.since == here.c.since, later.c.version_id > here.c.version_id)),
        later.c.version_id > here.c.version_id if cautious else true(),
    )
    begun = here.c.begun.is_not(None) if cautious else false()
    return and_(or_(here.c.pushed.is_not(None), here.c.phase.in_(_SETTLED), begun), ~replaced)
