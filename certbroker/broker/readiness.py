"""`ready`: whether pointing DNS at a target right now would serve valid TLS for each of its names; plan B, proven before it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from certbroker.broker.desk import Desk, nearest
from certbroker.broker.facts import wanted_at
from certbroker.broker.report import State, day, served_now
from certbroker.config import ReadyCheck
from certbroker.deploy import verify
from certbroker.errors import ProviderError, UsageError
from certbroker.model import Assignment, Certificate, Version
from certbroker.probe import Seen, Verdict

WORKERS: Final = 8


@dataclass(frozen=True, slots=True)
class Answered:
    """What one edge answered to the file's `ready_check` with `name` as Host. `status`: None, and `detail` says why."""

    state: State
    name: str
    edge: str
    status: int | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """One target for one certificate: OK, FAIL, or WAIT where nobody can look. `now`, `hint`: empty where it is ready."""

    state: State
    target: str
    certificate: str
    what: str
    now: str = ""
    hint: str = ""
    answers: tuple[Answered, ...] = ()
    """Where the file has a `ready_check`: of every edge and name that was asked, wildcards apart."""


def ready(desk: Desk, targets: Sequence[str] = ()) -> list[Ready]:
    """Shake hands with every edge of `targets`, for each of their names. Without any: the standby ones, else all.

    An edge that cannot be reached is not ready, whatever the reason: it is not proven. Where the file has a `ready_check`,
    it is also to answer that over the same connection. Worst first.
    """
    known = desk.config.targets
    for target in targets:
        if target not in known:
            raise UsageError(f"no target is called {target}", hint=nearest(target, known))
    chosen = list(dict.fromkeys(targets)) or [t.name for t in known.values() if t.standby] or list(known)
    with ThreadPoolExecutor(WORKERS) as pool:
        found = [each for part in pool.map(lambda target: _target(desk, target), chosen) for each in part]
    order = (State.FAIL, State.WAIT, State.OK)
    return sorted(found, key=lambda each: order.index(each.state))


def _target(desk: Desk, target: str) -> list[Ready]:
    places = [(c, a) for c in desk.config.certificates.values() for a in c.assignments if a.target == target]
    if not places:
        hint = "name it in the targets of a certificate"
        return [Ready(State.FAIL, target, "-", "no certificate is for it", "nothing of ours is served there", hint)]
    return [_place(desk, certificate, assignment) for certificate, assignment in places]


def _place(desk: Desk, certificate: Certificate, assignment: Assignment) -> Ready:
    target, name = assignment.target, certificate.name
    version = wanted_at(desk, certificate, target)
    if version is None:
        now, hint = served_now(desk.store, name, target), f"certbroker issue {name}"
        return Ready(State.FAIL, target, name, "no certificate was ever issued", now, hint)
    try:
        edges = desk.target(target).edges(assignment)
    except ProviderError as error:
        now, hint = f"last seen: {served_now(desk.store, name, target)}", error.hint or f"certbroker check {target}"
        return Ready(State.FAIL, target, name, f"its edges are not known: {error.what}", now, hint)
    if not edges:
        hint = f"give [target.{target}] edges = [...] to look at"
        return Ready(
            State.WAIT, target, name, "nobody can look: it has no edge", f"{version.label} is wanted there", hint
        )
    check = desk.config.targets[target].ready_check
    looks = desk.looking.look_all(edges, assignment, version, check.path if check else None)
    answers = tuple(_answers(check, [seen for each in looks.values() for seen in each])) if check else ()
    missing = [
        f"{each}: {'; '.join(problems)}"
        for each in assignment.names
        if (problems := [*_missing(desk, version, looks[each]), *_unanswered(check, each, answers)])
    ]
    if missing:
        served = all(not _missing(desk, version, each) for each in looks.values())
        heal = f"certbroker drift {name}; to put ours there: certbroker push {name} --target {target}"
        hint = f"TLS is right there; see why it does not answer {check.status}" if check and served else heal
        now = served_now(desk.store, name, target)
        return Ready(State.FAIL, target, name, "; ".join(missing), now, hint, answers)
    count = sum(len(each) for each in looks.values())
    until = day(version.lifetime.ends)
    what = f"{version.label} at {count} of {count} looks, valid until {until}" + _well(check, answers)
    return Ready(State.OK, target, name, what, answers=answers)


def _answers(check: ReadyCheck, looks: Sequence[Seen]) -> Iterator[Answered]:
    for seen in looks:
        if seen.answer is not None:
            state = State.OK if seen.answer.status == check.status else State.FAIL
            yield Answered(state, seen.name, verify.address(seen), seen.answer.status, seen.answer.detail)


def _unanswered(check: ReadyCheck | None, name: str, answers: Sequence[Answered]) -> list[str]:
    """Where `name` is not answered as the file wants it, in words; the edges of one answer together."""
    found: dict[str, list[str]] = {}
    for each in answers:
        if check is not None and each.name == name and each.state is State.FAIL:
            said = f"with {each.status}, not {check.status}" if each.status else f"with nothing: {each.detail}"
            found.setdefault(f"answers GET {check.path} {said}", []).append(each.edge)
    return [f"{', '.join(edges)} {said}" for said, edges in found.items()]


def _well(check: ReadyCheck | None, answers: Sequence[Answered]) -> str:
    if check is None:
        return ""
    if not answers:
        return f"; {check.path} was not asked for: a wildcard names no site"
    return f"; {check.path} answers {check.status} at {len(answers)} of {len(answers)}"


def _missing(desk: Desk, version: Version, looks: Sequence[Seen]) -> list[str]:
    """Where a user would not get `version`, in words; the addresses of one problem together."""
    found: dict[str, list[str]] = {}
    for seen in looks:
        if seen.verdict is not Verdict.VALID or seen.fingerprint != version.fingerprint:
            found.setdefault(_instead(desk, seen), []).append(verify.address(seen))
    return [f"{', '.join(addresses)} {problem}" for problem, addresses in found.items()]


def _instead(desk: Desk, seen: Seen) -> str:
    match seen.verdict:
        case Verdict.UNREACHABLE:
            return f"cannot be reached ({seen.detail})"
        case Verdict.REFUSED:
            return f"no handshake ({seen.detail})"
        case _:
            known = desk.store.by_fingerprint(seen.fingerprint) if seen.fingerprint else None
            until = f", until {day(seen.ends)}" if seen.ends else ""
            problem = seen.detail if seen.verdict is Verdict.INVALID else "not what is wanted"
            return f"with {known.label if known else f'one by {seen.issued_by}'}{until}: {problem}"
