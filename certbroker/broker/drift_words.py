"""Drift in words: what is wanted, said and served, what happened, and what to type. Pure but for the last looks in the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from certbroker.broker.report import day, minute
from certbroker.deploy import verify
from certbroker.deploy.causes import Cause
from certbroker.deploy.drift import Drift, Said, Unasked, Wanted, of_ours
from certbroker.model import Live, Owner, Version
from certbroker.probe import Seen, Verdict


def said_words(wanted: Wanted, said: Said, *, by: bool = False) -> str:
    """What the platform has there: `v1`, `not ours, until Wed 23 Dec 2026`; `by`: with who issued what is not ours."""
    if said is None:
        return "nothing"
    if isinstance(said, Unasked):
        return "cannot be asked"
    until = f", until {day(said.ends)}" if said.ends else ""
    if said.owner is Owner.OTHER_STORE:
        return f"one of the store {said.store or '?'}{until}"
    if said.owner is Owner.MANAGED:
        return f"the platform's own certificate{until}"
    version = of_ours(wanted, said)
    if version is not None:
        return version.label + (", not active" if said.pending else "")
    issuer = f" by {said.issued_by}" if by and said.issued_by else ""
    return "ours" if said.owner is Owner.OURS else f"one{issuer} that is not ours{until}" if by else f"not ours{until}"


def served_words(wanted: Wanted, looks: Sequence[Seen]) -> str:
    """`4 × v1, 1 × not ours`."""
    if not looks:
        return "nobody can look"
    counts = Counter(_served_at(wanted, each) for each in looks)
    return ", ".join(f"{count} × {what}" for what, count in counts.most_common())


def _served_at(wanted: Wanted, seen: Seen) -> str:
    if seen.verdict is Verdict.UNREACHABLE:
        return "unreachable"
    if seen.verdict is Verdict.REFUSED:
        return "no handshake"
    version = _version_of(wanted, seen)
    return (version.label if version else "not ours") + (", invalid" if seen.verdict is Verdict.INVALID else "")


def _version_of(wanted: Wanted, seen: Seen) -> Version | None:
    if seen.fingerprint == wanted.version.fingerprint:
        return wanted.version
    return wanted.ours.get(seen.fingerprint or "")


def what_words(wanted: Wanted, said: Said, drift: Drift) -> str:
    """What happened, in one line; empty where all is well."""
    label = wanted.version.label
    row = wanted.row
    since = f" {minute(row.pushed)}" if row and row.pushed else ""
    shown = "; ".join(_shown(wanted, each) for each in drift.shown_by)
    there = said_words(wanted, said, by=True)
    match drift.cause:
        case Cause.WELL:
            return "the platform cannot be asked now" if isinstance(said, Unasked) else ""
        case Cause.NOBODY_CAN_LOOK:
            return ""
        case Cause.NEVER_ISSUED:
            return "no certificate was ever issued"
        case Cause.NEVER_PUSHED:
            why = f" ({row.why})" if row and row.why else ""
            return f"{label} was never pushed{why}; there is {shown or there}"
        case Cause.NOT_ACTIVE:
            why = f" ({row.why})" if row and row.why and not row.phase.settled else ""
            return f"{label} was pushed{since}, but is not active: there is {there}{why}"
        case Cause.STALE:
            return f"{label} is active, but stale since the push{since}: {shown}"
        case Cause.REPLACED:
            return f"{label} was replaced by somebody: there is {shown or there}{_newer(wanted, said, drift)}"
        case Cause.REMOVED:
            return f"{label} was pushed{since} and then removed by somebody: there is nothing"
        case Cause.MANAGED:
            return f"{label} was pushed{since}, but there is {there}"
        case Cause.OTHER_CDN:
            return f"another CDN stands in front: {label} is bound at the platform, but {shown}"
        case Cause.OTHER_STORE:
            return f"written by another store: there is {there}"
        case Cause.BROKEN:
            return f"broken at the edge: {shown}"
        case Cause.UNASKED:
            return said.why if isinstance(said, Unasked) else "the platform cannot be asked"
        case Cause.UNREACHABLE:
            return f"cannot be reached from here: {shown}"


def _shown(wanted: Wanted, seen: Seen) -> str:
    where = verify.address(seen)
    if seen.verdict is Verdict.UNREACHABLE:
        return f"{where} ({seen.detail})"
    if seen.verdict is Verdict.REFUSED:
        return f"{where} refuses the handshake ({seen.detail})"
    version = _version_of(wanted, seen)
    until = f", until {day(seen.ends)}" if seen.ends else ""
    problem = f", {seen.detail}" if seen.verdict is Verdict.INVALID else ""
    what = version.label if version else f"one by {seen.issued_by}" if seen.issued_by else "another certificate"
    return f"{where} serves {what}{until}{problem}"


def _newer(wanted: Wanted, said: Said, drift: Drift) -> str:
    """Somebody else's, and it lives longer than ours: perhaps he means it."""
    ends = [each.ends for each in drift.shown_by if each.ends]
    if isinstance(said, Live) and said.owner is Owner.FOREIGN and said.ends:
        ends.append(said.ends)
    return ", newer than ours" if any(end > wanted.version.lifetime.ends for end in ends) else ""


def hint_words(wanted: Wanted, said: Said, drift: Drift, certificate: str, target: str) -> str:
    foreign = isinstance(said, Live) and said.owner is Owner.FOREIGN and of_ours(wanted, said) is None
    heal = f"certbroker drift {certificate} --heal" + (" --yes" if foreign else "")
    match drift.cause:
        case Cause.NOT_ACTIVE if isinstance(said, Live) and said.pending:
            return f"publish {said.pending[0]}"
        case Cause.STALE if wanted.row and wanted.row.deadline and not wanted.row.phase.settled:
            return f"the edges have until {minute(wanted.row.deadline)}; certbroker probe {certificate}"
        case Cause.OTHER_CDN:
            return f"see whose address that is and what stands before {target}: certbroker probe {certificate}"
        case Cause.OTHER_STORE:
            return "use the store that wrote it ([store] url), or restore its backup"
        case Cause.UNASKED:
            return f"certbroker check {target}"
        case Cause.UNREACHABLE:
            return f"certbroker probe {certificate}"
        case _:
            return f"to put ours there: {heal}"
