"""What the edges say about a push: a pure judgement of looks before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from certbroker.model import Phase, Version
from certbroker.probe import Seen, Verdict

NOTHING: Final = ""
"""What `before_seen` holds for an address that served nothing valid."""


@dataclass(frozen=True, slots=True)
class Regression:
    """An address that served something valid before the push and does not any more."""

    address: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """COMMITTED, VERIFYING or FAILED, and why. `proven` of `looked_at` addresses serve the version."""

    phase: Phase
    why: str
    proven: int
    looked_at: int
    regressions: tuple[Regression, ...] = ()


def remember(looks: Sequence[Seen]) -> dict[str, str]:
    """What each address served before the push: the fingerprint if it was valid, else nothing. Unreachable ones are left out."""
    return {
        address(seen): (seen.fingerprint or NOTHING) if seen.verdict is Verdict.VALID else NOTHING
        for seen in looks
        if seen.verdict is not Verdict.UNREACHABLE
    }


def address(seen: Seen) -> str:
    """How a look is called, in the store too."""
    return seen.where


def judge(
    version: Version, before: Mapping[str, str], looks: Sequence[Seen], *, now: datetime, deadline: datetime | None
) -> Judgement:
    """One name, all its addresses.

    Commit needs one address that proves the version and none that contradicts. An address unreachable before and after is
    skipped, not ok. One that still serves the old valid certificate is slow until the deadline.
    """
    proven = 0
    looked_at = 0
    open_points: list[str] = []
    regressions: list[Regression] = []
    for seen in looks:
        where = address(seen)
        old = before.get(where)
        if seen.verdict is Verdict.UNREACHABLE and old is None:
            continue
        looked_at += 1
        if seen.verdict is Verdict.VALID and seen.fingerprint == version.fingerprint:
            proven += 1
            continue
        open_points.append(f"{where} {_serves(seen, version, old)}")
        if old and seen.fingerprint != old:
            regressions.append(Regression(where, old, _serves(seen, version, old)))
    if proven and not open_points:
        return Judgement(Phase.COMMITTED, f"{proven} of {looked_at} edges serve {version.label}", proven, looked_at)
    if not looked_at:
        open_points = ["no edge can be reached from here"]
    why = "; ".join(open_points)
    late = deadline is not None and now >= deadline
    phase = Phase.FAILED if late else Phase.VERIFYING
    return Judgement(phase, why, proven, looked_at, tuple(regressions))


def _serves(seen: Seen, version: Version, old: str | None) -> str:
    if seen.verdict is Verdict.UNREACHABLE:
        return f"cannot be reached ({seen.detail})"
    if seen.verdict is Verdict.REFUSED:
        return f"refuses the handshake ({seen.detail})"
    if seen.fingerprint == version.fingerprint:
        return f"serves {version.label}, but {seen.detail}"
    if old and seen.fingerprint == old:
        return "still serves the certificate before"
    ends = f", until {seen.ends:%a %d %b %Y}" if seen.ends else ""
    whose = f"one by {seen.issued_by}" if seen.issued_by else "another certificate"
    return f"serves {whose}{ends}" + (f", {seen.detail}" if seen.verdict is Verdict.INVALID else "")
