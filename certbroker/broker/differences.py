"""Where wanted, said and served differ: each name of each target asked and looked at now, the cause named, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from certbroker.broker.desk import Desk
from certbroker.broker.facts import pin_at
from certbroker.broker.report import State, day, minute, served_now
from certbroker.deploy import verify
from certbroker.deploy.drift import Cause, Drift, Said, Unasked, Wanted, compare, of_ours
from certbroker.errors import ProviderError
from certbroker.model import Assignment, Certificate, Live, Owner, Version
from certbroker.probe import Seen, Verdict

WORKERS: Final = 8


@dataclass(frozen=True, slots=True)
class Difference:
    """One name on one target. `wanted`, `said`, `served` in words; `now` and `hint` are empty where all is well."""

    state: State
    certificate: str
    target: str
    name: str
    cause: Cause
    wanted: str
    said: str
    served: str
    what: str = ""
    now: str = ""
    hint: str = ""


def differences(desk: Desk, certificates: Sequence[Certificate]) -> list[Difference]:
    """Ask every platform and look at every edge of these certificates now; targets in parallel. Worst first.

    Changes nothing but the store's last looks.
    """
    by_target: dict[str, list[tuple[Certificate, Assignment]]] = {}
    for certificate in certificates:
        for assignment in certificate.assignments:
            by_target.setdefault(assignment.target, []).append((certificate, assignment))

    def work(pairs: list[tuple[Certificate, Assignment]]) -> list[Difference]:
        return [each for certificate, assignment in pairs for each in differences_at(desk, certificate, assignment)]

    with ThreadPoolExecutor(WORKERS) as pool:
        found = [each for part in pool.map(work, by_target.values()) for each in part]
    order = list(Cause)
    return sorted(found, key=lambda each: (order.index(each.cause), each.certificate, each.target))


def differences_at(desk: Desk, certificate: Certificate, assignment: Assignment) -> list[Difference]:
    """The same of one target, in the order of its names."""
    version = wanted_at(desk, certificate, assignment.target)
    if version is None:
        return [_told(desk, assignment, name, None, None, (), Drift(Cause.NEVER_ISSUED)) for name in assignment.names]
    said = _ask(desk, assignment)
    looks, edge_trouble = _look(desk, assignment, version)
    ours = {each.fingerprint: each for each in desk.store.versions(certificate.name)}
    found = []
    for name in assignment.names:
        wanted = Wanted(version, desk.store.deployment(version.id, assignment.target, name), ours)
        there: Said = Unasked(said) if isinstance(said, str) else said.get(name)
        if edge_trouble and not isinstance(there, Unasked):
            there = Unasked(edge_trouble)
        drift = compare(wanted, there, looks[name])
        found.append(_told(desk, assignment, name, wanted, there, looks[name], drift))
    return found


def wanted_at(desk: Desk, certificate: Certificate, target: str) -> Version | None:
    """What it was rolled back to, else the wanted version of the first key type that the target accepts."""
    pin = pin_at(desk, certificate, target)
    if pin is not None:
        return pin.version
    variants = desk.store.variants(certificate.name)
    accepted = desk.target(target).traits.key_types
    known = next((variants.get(key) for key in certificate.keys if key in accepted), None)
    return known.wanted if known else None


def _ask(desk: Desk, assignment: Assignment) -> dict[str, Live] | str:
    try:
        return desk.saga.inspect(desk.target(assignment.target), assignment)
    except ProviderError as error:
        return error.what


def _look(desk: Desk, assignment: Assignment, version: Version) -> tuple[dict[str, list[Seen]], str]:
    """The looks by name, or why the edges are not known."""
    try:
        edges = desk.target(assignment.target).edges(assignment)
    except ProviderError as error:
        return {name: [] for name in assignment.names}, f"its edges are not known: {error.what}"
    return desk.saga.looking.look_all(edges, assignment, version), ""


# ---- words -------------------------------------------------------------------------------------------------------------


def _told(
    desk: Desk,
    assignment: Assignment,
    name: str,
    wanted: Wanted | None,
    said: Said,
    looks: Sequence[Seen],
    drift: Drift,
) -> Difference:
    cause = drift.cause
    state = State.OK if cause.fine else State.WARN if cause.unknown else State.FAIL
    place = (assignment.certificate, assignment.target)
    if wanted is None:
        return Difference(
            state,
            *place,
            name,
            cause,
            "-",
            "-",
            "-",
            "no certificate was ever issued",
            served_now(desk.store, assignment.certificate),
            f"certbroker issue {assignment.certificate}",
        )
    there = said_words(wanted, said)
    now = served_now(desk.store, *place)
    if not looks:
        unasked = isinstance(said, Unasked)
        now = f"last seen: {now}" if unasked else f"{said_words(wanted, said, by=True)}, by the target's own word"
    return Difference(
        state,
        *place,
        name,
        cause,
        wanted.version.label,
        there,
        _served(wanted, looks),
        what_words(wanted, said, drift),
        "" if cause.fine else now,
        "" if cause.fine else _hint(wanted, said, drift, *place),
    )


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


def _served(wanted: Wanted, looks: Sequence[Seen]) -> str:
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


def _hint(wanted: Wanted, said: Said, drift: Drift, certificate: str, target: str) -> str:
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
