"""Which way back there is after a push that made things worse. Pure: rows and looks in, decisions and words out.

Only what served something valid before and does not any more is put back; never to a version that is expired or revoked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from certbroker.deploy.verify import NOTHING, address
from certbroker.model import Restorable, Version
from certbroker.probe import Seen, Verdict
from certbroker.store import DeploymentRow


@dataclass(frozen=True, slots=True)
class Back:
    """One name can go back: to `previous`, a version of ours, or (None) to what the platform has kept."""

    previous: Version | None
    what: str
    """What it goes back to, in words."""


@dataclass(frozen=True, slots=True)
class NoWay:
    """It cannot, and why."""

    why: str


def way_back(row: DeploymentRow, version: Version, known: Version | None, now: datetime) -> Back | NoWay:
    """Where `row`, whose push of `version` made things worse, can go back to.

    Args:
        known: the version in the store that has the fingerprint of what was there before.
    """
    before = row.before
    if before is None or row.restorable is None:
        return NoWay("the platform served nothing there before")
    if known is not None:
        if known.revoked_at is not None:
            return NoWay(f"{known.label}, which was there before, is revoked")
        if known.lifetime.ends <= now:
            return NoWay(f"{known.label}, which was there before, has expired")
    if before.ends is not None and before.ends <= now:
        return NoWay("what was there before has expired")
    match row.restorable:
        case Restorable.OURS:
            if known is None:
                return NoWay("the store does not hold the version any more that was there before")
            if known.id == version.id:
                return NoWay(f"{known.label} itself was there before")
            return Back(known, known.label)
        case Restorable.KEPT:
            return Back(None, "the certificate that was there before")
        case Restorable.MANAGED:
            return Back(None, "the platform's own certificate")
        case Restorable.NO:
            return NoWay("the platform has not kept what was there before")


def is_back(row: DeploymentRow, looks: Sequence[Seen], version: Version) -> list[str]:
    """What is missing, in words; empty if each address that served something valid before the push does so again.

    A managed certificate may have been renewed by the platform meanwhile: any valid one will do, save the `version` that made
    things worse.
    """
    now = {address(seen): seen for seen in looks}
    missing = []
    for where, old in row.before_seen.items():
        if old == NOTHING:
            continue
        seen = now.get(where)
        if seen is None or seen.verdict is not Verdict.VALID:
            missing.append(f"{where} {'is not looked at any more' if seen is None else 'serves nothing valid'}")
        elif seen.fingerprint == version.fingerprint and seen.fingerprint != old:
            missing.append(f"{where} still serves {version.label}")
        elif seen.fingerprint != old and row.restorable is not Restorable.MANAGED:
            missing.append(f"{where} serves something else than before")
    return missing
