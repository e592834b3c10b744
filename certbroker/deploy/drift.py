"""Drift, three ways: what we want, what the platform says, what the edges serve, and the cause that explains them. Pure.

Where the platform's word contradicts ours, that is the cause, even while the edges have not followed yet. Where it agrees or
is silent, the edges decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from certbroker.deploy.causes import Cause
from certbroker.deploy.verify import address
from certbroker.model import Live, Owner, Version
from certbroker.probe import Seen, Verdict
from certbroker.store import DeploymentRow


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be served, how far its deployment is (None: not begun), and every version of ours by fingerprint."""

    version: Version
    row: DeploymentRow | None = None
    ours: Mapping[str, Version] = field(default_factory=dict)

    @property
    def pushed(self) -> bool:
        return self.row is not None and self.row.pushed is not None

    def was_before(self, seen: Seen) -> bool:
        """That address served the same before the push."""
        return self.row is not None and self.row.before_seen.get(address(seen)) == seen.fingerprint

    def was_reached(self, seen: Seen) -> bool:
        """Somebody answered at that address before the push; else there may be no way from here (IPv6)."""
        return self.row is not None and address(seen) in self.row.before_seen


@dataclass(frozen=True, slots=True)
class Unasked:
    """The platform could not be asked, and why."""

    why: str


Said = Live | Unasked | None
"""None: the platform serves nothing there, by its own word."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The cause, and the looks that show it (empty where the platform's word or the store does)."""

    cause: Cause
    shown_by: tuple[Seen, ...] = ()


class _Glance(Enum):
    """What one look means, the worst first."""

    BROKEN = auto()
    OTHER = auto()
    BEFORE = auto()
    GONE = auto()
    WANTED = auto()
    UNREACHABLE = auto()


_BY_EDGES: Final = {
    _Glance.BROKEN: Cause.BROKEN,
    _Glance.OTHER: Cause.OTHER_CDN,
    _Glance.BEFORE: Cause.STALE,
    _Glance.GONE: Cause.UNREACHABLE,
    _Glance.WANTED: Cause.WELL,
    _Glance.UNREACHABLE: Cause.UNREACHABLE,
}


def compare(wanted: Wanted | None, said: Said, seen: Sequence[Seen]) -> Drift:
    """One name on one target.

    Args:
        said: with the owner filled in from the store (`Saga.inspect`).
        seen: every address of every edge; empty if there is no edge to look at.
    """
    if wanted is None:
        return Drift(Cause.NEVER_ISSUED)
    contradiction = _contradiction(wanted, said)
    if contradiction is not None:
        return Drift(contradiction)
    if not seen:
        return Drift(Cause.UNASKED if isinstance(said, Unasked) else Cause.NOBODY_CAN_LOOK)
    glances = [(_glance(wanted, each), each) for each in seen]
    worst = next(glance for glance in _Glance if any(found is glance for found, _ in glances))
    shown = tuple(each for found, each in glances if found is worst)
    cause = _BY_EDGES[worst]
    if worst is _Glance.OTHER and not all(_unknown_to(said, each) for each in shown):
        cause = Cause.REPLACED
    if isinstance(said, Unasked):
        if cause is Cause.UNREACHABLE:
            cause = Cause.UNASKED
        elif cause is not Cause.WELL and not wanted.pushed:
            cause = Cause.NEVER_PUSHED
    return Drift(cause, shown)


def of_ours(wanted: Wanted, live: Live) -> Version | None:
    """The version of ours that the platform has there, if it tells enough to say which; the wanted one before others."""
    if live.fingerprint is None and live.serial is None and live.ends is None:
        return None
    candidates = (wanted.version, *wanted.ours.values())
    return next((version for version in candidates if live.agrees(version) is not False), None)


def _contradiction(wanted: Wanted, said: Said) -> Cause | None:
    """What the platform says against the wanted version, if it does."""
    if isinstance(said, Unasked):
        return None
    if said is None:
        return Cause.REMOVED if wanted.pushed else Cause.NEVER_PUSHED
    if said.owner is Owner.OTHER_STORE:
        return Cause.OTHER_STORE
    if said.owner is Owner.MANAGED:
        return Cause.MANAGED if wanted.pushed else Cause.NEVER_PUSHED
    version = of_ours(wanted, said)
    if said.owner is Owner.FOREIGN and version is None:
        return Cause.REPLACED if wanted.pushed else Cause.NEVER_PUSHED
    if said.pending:
        return Cause.NOT_ACTIVE
    if said.agrees(wanted.version) is False:
        return Cause.NOT_ACTIVE if wanted.pushed else Cause.NEVER_PUSHED
    return None


def _glance(wanted: Wanted, seen: Seen) -> _Glance:
    if seen.verdict is Verdict.UNREACHABLE:
        return _Glance.GONE if wanted.was_reached(seen) else _Glance.UNREACHABLE
    if seen.fingerprint == wanted.version.fingerprint:
        return _Glance.WANTED if seen.verdict is Verdict.VALID else _Glance.BROKEN
    if seen.fingerprint and (seen.fingerprint in wanted.ours or wanted.was_before(seen)):
        return _Glance.BEFORE
    return _Glance.OTHER if seen.verdict is Verdict.VALID else _Glance.BROKEN


def _unknown_to(said: Said, seen: Seen) -> bool:
    """The platform tells what it serves, and it is not this. One that tells nothing proves nothing."""
    if not isinstance(said, Live):
        return False
    if said.fingerprint is not None:
        return said.fingerprint != seen.fingerprint
    if said.ends is not None and seen.ends is not None:
        return said.ends.replace(microsecond=0) != seen.ends.replace(microsecond=0)
    return False
