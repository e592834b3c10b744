"""Who holds the name where a CA looks for a proof: a solver of ours, a platform, or nobody who would answer for us."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from certbroker.challenges.holders import Holder, holder_of
from certbroker.errors import NothingDone, ProviderError
from certbroker.model import Method, Record

if TYPE_CHECKING:
    from certbroker.challenges.locate import Locator
    from certbroker.challenges.lookup import Lookup
    from certbroker.challenges.means import Means
    from certbroker.world import Clock


class Whose(StrEnum):
    """In whose hands a label is."""

    OURS = "ours"
    """A solver of the file writes where it ends, or what a person created once stands."""
    HELD = "held"
    """It is a CNAME to a platform that we know."""
    ELSEWHERE = "elsewhere"
    """It is a CNAME to somebody whom we do not know and no solver serves."""
    NOBODY = "nobody"
    """Nothing leads away, and nothing of ours can prove anything there."""
    UNKNOWN = "unknown"
    """DNS, or the service of a solver, does not tell."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one look found. `way`: the name and where its CNAMEs lead, one by one; only the name if DNS does not tell."""

    name: str
    whose: Whose
    by: str
    """Who, in words that go on after "held by" or "ours: "."""
    way: tuple[str, ...]
    why: str = ""
    """Why no proof of ours would be found there; empty if it would."""
    hint: str = ""
    holder: Holder | None = None
    wanted: Record | None = None
    """The record that a person has to create so that proofs of ours are found there, where there is one."""

    @property
    def leads_to(self) -> str:
        return self.way[-1]

    @property
    def cname(self) -> str | None:
        """The CNAME that stands at the name, as it is written into a zone."""
        return f"{self.name}.  CNAME  {self.way[1]}." if len(self.way) > 1 else None


def holding(name: str, means: Means, locator: Locator, lookup: Lookup, clock: Clock) -> Holding:
    """Look, for the name (perhaps a wildcard) that is to be proven by `means` in DNS. Never raises for what DNS says."""
    from certbroker.challenges import standing

    owner = means.owner(name)
    if means.method is Method.DNS_PERSIST_01:
        return _permission(name, owner, means, lookup, clock)
    try:
        way = locator.way(owner).names
    except NothingDone as error:
        return Holding(owner, Whose.NOBODY, "nobody", (owner,), error.what, error.hint or "")
    except ProviderError as error:
        return Holding(owner, Whose.UNKNOWN, "", (owner,), error.what, error.hint or "")
    holder = holder_of(way[-1]) if len(way) > 1 else None
    away = Whose.HELD if holder else Whose.ELSEWHERE if len(way) > 1 else Whose.NOBODY
    by = holder.name if holder else way[-1] if len(way) > 1 else "nobody"
    try:
        for verdict, record in standing.wanted(name, means, lookup, clock.now()):
            if verdict.state != "ok":
                return Holding(owner, away, by, way, verdict.why, f"let it be {record}", holder, record)
        landing = locator.locate(owner)
    except NothingDone as error:
        return Holding(owner, away, by, way, error.what, error.hint or "", holder)
    except ProviderError as error:
        return Holding(owner, Whose.UNKNOWN, "", way, error.what, error.hint or "", holder)
    return Holding(owner, Whose.OURS, f"the zone {landing.zone}, by solver {landing.solver}", way, holder=holder)


def _permission(name: str, owner: str, means: Means, lookup: Lookup, clock: Clock) -> Holding:
    """A record that stands needs no solver; without it nobody proves anything."""
    from certbroker.challenges import standing

    try:
        for verdict, record in standing.wanted(name, means, lookup, clock.now()):
            if verdict.state != "ok":
                hint = f"publish {record}"
                return Holding(owner, Whose.NOBODY, "nobody", (owner,), verdict.why, hint, wanted=record)
    except ProviderError as error:
        return Holding(owner, Whose.UNKNOWN, "", (owner,), error.what, error.hint or "")
    return Holding(owner, Whose.OURS, "a record that stands", (owner,))
