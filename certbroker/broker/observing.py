"""Observation: what stands is asked for and looked at again by the same comparison as `drift`, and what differs is kept.

Six-hourly by the schedule, at every run while something differs, so that what healed by itself goes away by itself; and
whenever a command compares. `status`, `explain`, `plan` and the end of a run read what is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from certbroker import events
from certbroker.broker.desk import Desk
from certbroker.broker.done import Done
from certbroker.broker.drifted import Difference
from certbroker.broker.facts import Looked, wanted_at
from certbroker.broker.report import Line, State
from certbroker.broker.running import bug
from certbroker.deploy.causes import Cause
from certbroker.errors import CertbrokerError
from certbroker.model import Certificate
from certbroker.store import DriftChange, DriftRow, DueRow

if TYPE_CHECKING:
    from certbroker.broker.differences import Caught

OBSERVE: Final = timedelta(hours=6)
BATCH: Final = 200
"""Certificates observed together: bounds memory, and what is lost when a run ends at its deadline."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one comparison found, worst first, and what of it is new or over."""

    found: tuple[Difference, ...]
    changes: tuple[DriftChange, ...]


@dataclass
class Observed:
    """What the due observations found: what changed, what is to be healed, and what was met that nobody foresaw."""

    lines: list[Line] = field(default_factory=list)
    heal: list[Certificate] = field(default_factory=list)
    """They drifted at targets with `heal = true`."""
    bugs: list[Done] = field(default_factory=list)
    looked: Looked = field(default_factory=dict)


def observe(
    desk: Desk,
    certificates: Sequence[Certificate],
    looked: Looked,
    *,
    targets: Collection[str] | None = None,
    standing: bool = False,
    caught: Caught | None = None,
) -> Observation:
    """Compare now, at `targets` (None: all), and keep what differs where something stands.

    `standing`: compare nothing else either. `caught`: as in `differences`; nothing is kept of such a certificate.
    """
    from certbroker.broker.differences import differences  # with all that looking needs

    began = desk.world.clock.now()
    missed: set[str] = set()

    def skip(name: str, error: Exception) -> None:
        missed.add(name)
        if caught is not None:
            caught(name, error)

    stands = {c.name: _standing(desk, c) for c in certificates}
    places = [(c, a) for c in certificates for a in c.assignments if targets is None or a.target in targets]
    if standing:
        places = [(c, a) for c, a in places if any((a.target, name) in stands[c.name] for name in a.names)]
    found = differences(desk, places, looked, skip if caught else None)
    changes = tuple(
        _keep(desk, c, [d for d in found if d.certificate == c.name], stands[c.name], began, targets)
        for c in certificates
        if c.name not in missed
    )
    return Observation(tuple(found), changes)


def observe_due(desk: Desk, names: Collection[str] = ()) -> Observed:
    """What is due, and what differed at the last look; `names` narrows it to those certificates.

    What a run has no time for stays due.
    """
    observed = Observed()

    def caught(name: str, error: Exception) -> None:
        if not isinstance(error, CertbrokerError):  # else the check of the target tells it
            observed.bugs.append(Done(name, bugs=[bug(desk, name, error)]))

    due = _due(desk, names)
    for start in range(0, len(due), BATCH):
        if desk.world.clock.monotonic() >= desk.deadline:
            break
        batch = due[start : start + BATCH]
        seen = observe(desk, batch, observed.looked, standing=True, caught=caught)
        observed.lines += [line for change in seen.changes for line in _lines(change)]
        ill = {d.certificate for d in seen.found if d.cause.healable and desk.config.targets[d.target].heal}
        observed.heal += [c for c in batch if c.name in ill]
    return observed


def _due(desk: Desk, names: Collection[str]) -> list[Certificate]:
    """What drifted comes first. What this run does not have in its file (it left, or is held back) is left alone."""
    due = [row.subject for row in desk.store.due(desk.world.clock.now(), kind="observe")]
    drifting = [row.certificate for row in desk.store.drifts()]
    there = desk.config.certificates
    return [there[each] for each in dict.fromkeys((*drifting, *due)) if each in there and (not names or each in names)]


def _standing(desk: Desk, certificate: Certificate) -> frozenset[tuple[str, str]]:
    """(target, name) at which what is to be served there is committed or delivered."""
    wanted = {a.target: wanted_at(desk, certificate, a.target) for a in certificate.assignments}
    return frozenset(
        (row.target, row.name)
        for row in desk.store.deployments(certificate.name)
        if row.phase.settled and (version := wanted.get(row.target)) is not None and row.version_id == version.id
    )


def _keep(
    desk: Desk,
    certificate: Certificate,
    found: Sequence[Difference],
    stands: Collection[tuple[str, str]],
    began: datetime,
    targets: Collection[str] | None,
) -> DriftChange:
    """What differs where something stands: elsewhere the phase tells how it stands."""
    rows = [_as_row(d, began) for d in found if not d.cause.fine and (d.target, d.name) in stands]
    drifted: list[events.Drifted] = []

    def told(change: DriftChange) -> Sequence[events.Event]:
        drifted.extend(_event(row, row.cause, row.what) for row in change.begun)
        drifted.extend(_event(row, Cause.WELL, "as wanted again") for row in change.over)
        return drifted

    def _event(row: DriftRow, cause: str, what: str) -> events.Drifted:
        at = desk.world.clock.now()
        return events.Drifted(
            at=at, certificate=row.certificate, target=row.target, name=row.name, cause=cause, what=what
        )

    change = desk.store.put_drift(certificate.name, rows, targets=targets, told=told)
    for event in drifted:
        desk.emit(event)
    if stands and targets is None:
        now = desk.world.clock.now()
        desk.store.set_due([DueRow("observe", certificate.name, now + OBSERVE)])
    return change


def _lines(change: DriftChange) -> Iterator[Line]:
    """What no trouble tells: what is over, and what nobody could find out."""
    for row in change.begun:
        if row.state == "warn":
            yield Line(State.WARN, f"{row.certificate} → {row.target}", f"{row.name}: {row.what}")
    for row in change.over:
        yield Line(State.OK, f"{row.certificate} → {row.target}", f"{row.name}: as wanted again")


def _as_row(d: Difference, at: datetime) -> DriftRow:
    return DriftRow(
        target=d.target,
        name=d.name,
        certificate=d.certificate,
        cause=d.cause.value,
        state="warn" if d.cause.unknown else "fail",
        wanted=d.wanted,
        said=d.said,
        served=d.served,
        what=d.what,
        now=d.now,
        hint=d.hint,
        since=at,
        at=at,
    )
