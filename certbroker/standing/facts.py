"""What a condition follows from: a file of facts, each as one row of the store or one line of the file tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from certbroker.safe import soon
from certbroker.serving import Cell, Standing
from certbroker.standing.orphans import Orphan
from certbroker.standing.words import minute

NINETY: Final = timedelta(days=90)
"""A life that nobody told the length of."""


@dataclass(frozen=True, slots=True)
class Failing:
    """A certificate whose last order failed."""

    certificate: str
    error: str
    hint: str
    since: datetime
    failures: int
    try_again: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found that is not ok. `needed_by`: the certificate that needs it first, where that is known."""

    kind: str
    name: str
    state: Literal["warn", "fail"]
    what: str
    hint: str
    since: datetime
    needed_by: str | None = None


@dataclass(frozen=True, slots=True)
class PinEnd:
    """A target that a person rolled back."""

    certificate: str
    target: str
    label: str
    until: datetime
    since: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate that is due, and whose order is put off."""

    certificate: str
    until: datetime
    why: str

    def words(self) -> str:
        """That it waits, until when, why, and what orders it all the same."""
        return f"not ordered before {minute(self.until)}: {self.why}; {self.at_once()}"

    def at_once(self) -> str:
        return f"at once all the same: certbroker issue {self.certificate}"


@dataclass(frozen=True, slots=True)
class Passed:
    """A CA that is passed over, for these certificates."""

    issuer: str
    words: str
    why: str
    since: datetime
    certificates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class First:
    """The certificate that needs the next renewal first, of those that users are sent to. Known before it is needed, so that
    a store which cannot be read keeps nobody from being woken in time.

    `wakes`: from then on users get a broken certificate, or will soon; `ends`: when they do.
    """

    certificate: str
    act_by: datetime
    wakes: datetime
    ends: datetime

    @classmethod
    def of(cls, standing: Standing) -> First | None:
        """None: nothing of it ends."""
        ends = min((moment for moment in (standing.until, standing.ends) if moment), default=None)
        if ends is None or standing.act_by is None:
            return None
        return cls(standing.certificate, standing.act_by, ends - soon(standing.length or NINETY), ends)


@dataclass(frozen=True, slots=True)
class Outage:
    """The store refused what this run of `host` wrote or read: nothing is done before that is over."""

    host: str
    what: str
    hint: str
    since: datetime
    first: First | None
    ripe: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that may need somebody. `standings`: of every certificate named in the rest."""

    now: datetime
    every: timedelta
    cells: Sequence[Cell] = ()
    overdue: Sequence[str] = ()
    """Certificates past their last safe moment, the earliest first."""
    failing: Sequence[Failing] = ()
    found: Sequence[Found] = ()
    pins: Sequence[PinEnd] = ()
    orphans: Sequence[Orphan] = ()
    passed: Sequence[Passed] = ()
    held: Sequence[Held] = ()
    last_run: datetime | None = None
    """When the last run that renews began; None: none ever did."""
    outage: Outage | None = None
    """Only a run knows of it: where the store says what stands, it stands."""
    standings: Mapping[str, Standing] = field(default_factory=dict)
