"""What a run has to say, as values; the command line prints them, `--json` gives them as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from certbroker.model import Phase, Version
from certbroker.standing.words import day as day
from certbroker.standing.words import minute as minute
from certbroker.store import DeploymentRow, SeenRow, Store


class State(StrEnum):
    """How a line stands; the command line has a sign for each."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    WAIT = "wait"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Line:
    """One fact: what it is about, what is so, how long it took (seconds)."""

    state: State
    subject: str
    text: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is not fine, in three answers: what happened, what is served now, what to type. `wait`: nothing failed."""

    what: str
    now: str = ""
    hint: str = ""
    wait: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one certificate."""

    certificate: str
    heading: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """One run, told. `summary` is the truth in one sentence."""

    run: str
    store: str
    at: datetime
    digest: str
    entries: tuple[Entry, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    summary: str = ""
    exit_code: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())


WORST_FIRST = (State.FAIL, State.WAIT, State.WARN, State.OK, State.NONE)

PHASE_STATE = {
    Phase.COMMITTED: State.OK,
    Phase.DELIVERED: State.OK,
    Phase.VERIFYING: State.WARN,
    Phase.PUSHED: State.WARN,
    Phase.PENDING: State.WARN,
    Phase.WAITING: State.WAIT,
    Phase.FAILED: State.FAIL,
    Phase.RESTORING: State.FAIL,
    Phase.RESTORED: State.FAIL,
}


def worst(states: Sequence[State]) -> State:
    return next((state for state in WORST_FIRST if state in states), State.NONE)


def target_line(
    target: str, rows: Sequence[DeploymentRow], looks: Sequence[SeenRow], version: Version, seconds: float | None
) -> Line:
    """One target of one certificate: its names share a line while they share a phase; the worst phase leads."""
    state = worst([PHASE_STATE[row.phase] for row in rows])
    phases = Counter(row.phase for row in rows)
    label = version.label
    if set(phases) == {Phase.COMMITTED}:
        names = {row.name for row in rows}
        seen = [
            look for look in looks if look.target == target and look.name in names and look.verdict != "unreachable"
        ]
        edges = {look.edge for look in seen}
        wrong = {look.edge for look in seen if look.fingerprint != version.fingerprint}
        text = f"{len(edges - wrong)} of {len(edges)} edges serve {label}"
        return Line(State.FAIL if wrong else state, target, text, seconds)
    if set(phases) == {Phase.DELIVERED}:
        return Line(state, target, f"{label} delivered; nobody can look", seconds)
    leading = [row for row in rows if PHASE_STATE[row.phase] is state]
    others = len(rows) - len(leading)
    names_text = ", ".join(row.name for row in leading[:3]) + (
        f" and {len(leading) - 3} more" if len(leading) > 3 else ""
    )
    text = f"{leading[0].phase.value}: {names_text}: {leading[0].why or ''}".rstrip(": ")
    return Line(state, target, text + (f" ({others} of {len(rows)} done)" if others else ""), seconds)


def readable(name: str) -> str:
    """A name as it is ordered, and beside it as people write it where that is another: `xn--bcher-kva.example (bücher.example)`."""
    if "xn--" not in name:
        return name
    import idna

    star = "*." if name.startswith("*.") else ""
    try:
        return f"{name} ({star}{idna.decode(name.removeprefix(star))})"
    except UnicodeError:
        return name


def served_now(store: Store, certificate: str, target: str | None = None) -> str:
    """What the edges of a certificate serve, as last seen: `8 of 8 edges serve v1, valid until Thu 7 Jan 2027`."""
    looks = [look for look in store.seen(certificate) if target is None or look.target == target]
    valid = [look for look in looks if look.verdict == "valid"]
    if not looks:
        return "nobody has looked at an edge yet" if store.versions(certificate) else "nothing of ours is served"
    reachable = {(look.target, look.edge, look.name) for look in looks if look.verdict != "unreachable"}
    if not valid:
        return f"none of {len(reachable) or len(looks)} edges serves a valid certificate"
    prints = Counter(look.fingerprint for look in valid)
    common, count = prints.most_common(1)[0]
    version = store.by_fingerprint(common) if common else None
    what = (
        version.label
        if version
        else f"a certificate by {next(look.issued_by for look in valid if look.fingerprint == common)}"
    )
    ends = min(look.ends for look in valid if look.ends and look.fingerprint == common)
    until = f"valid until {day(ends)}" if ends > store.now() else f"which ended {day(ends)}"
    return f"{count} of {len(reachable)} edges serve {what}, {until}"
