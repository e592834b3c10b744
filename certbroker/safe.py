"""The last safe moment: until when somebody can begin and still be done before a certificate ends. Pure arithmetic.

    last safe moment = end - what the order, push and verification took when measured - allowance for people and for the CA

Everything is bounded by shares of the life, so that the same defaults fit a year, 90 days, 45 and six: the allowance takes at
most an eighth of it, and so does what was measured. Then three quarters are left in which nobody is called, and a renewal,
which begins at two thirds or when the CA says, is not late before it began.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from certbroker.model import Lifetime

SHARE: Final = 1 / 8
"""Of a life: the most that is set aside for people and the CA, and again the most for our own work. Six days: 20 hours."""

UNMEASURED: Final = timedelta(minutes=15)
"""What an order, its push and its verification take until they were measured once: an order takes seconds, edges minutes."""

SOON: Final = timedelta(hours=24)
"""What ends within that time wakes somebody, if nothing is going to renew it; of short lives a `SHARE`."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Time set aside before the end: until people have come and acted, and for a CA that is away."""

    people: timedelta = timedelta(hours=24)
    ca: timedelta = timedelta(hours=24)

    @property
    def total(self) -> timedelta:
        return self.people + self.ca


DEFAULT: Final = Allowance()


def last_safe_moment(
    ends: datetime, length: timedelta, *, took: timedelta | None = None, allowance: Allowance = DEFAULT
) -> datetime:
    """Never later than `ends`, never earlier than a quarter of the life before it.

    Args:
        ends: when what is served ends.
        length: its whole life.
        took: the slowest order, push and verification of this certificate that was measured; None: nothing was yet.
        allowance: what the file sets aside.
    """
    most = max(length, timedelta()) * SHARE
    work = min(max(UNMEASURED if took is None else took, timedelta()), most)
    aside = min(max(allowance.total, timedelta()), most)
    return ends - work - aside


def soon(length: timedelta) -> timedelta:
    """How long before its end a certificate that nobody renews is worth waking somebody."""
    return min(SOON, max(length, timedelta()) * SHARE)


def of_life(life: Lifetime, *, took: timedelta | None = None, allowance: Allowance = DEFAULT) -> datetime:
    """`last_safe_moment` of a whole lifetime."""
    return last_safe_moment(life.ends, life.length, took=took, allowance=allowance)
