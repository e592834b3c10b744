"""Going back by hand: a version that is kept is served again, and the targets are pinned to it until somebody lifts that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from certbroker import events, policy
from certbroker.broker.desk import Desk, nearest
from certbroker.broker.facts import gather
from certbroker.broker.meanwhile import meanwhile
from certbroker.broker.report import Report, day
from certbroker.broker.running import running
from certbroker.broker.runs import reconcile
from certbroker.broker.taking_in import take_in
from certbroker.broker.telling import tell
from certbroker.errors import UsageError
from certbroker.model import Assignment, Certificate, Phase, Version
from certbroker.plan import Selection, TargetFacts
from certbroker.store import DeploymentRow, PinRow

LEASE_SECONDS: Final = 30.0
"""For writing down what is to be served; the run that then pushes takes its own."""


def rollback(
    desk: Desk,
    name: str,
    *,
    number: int | None = None,
    targets: Sequence[str] = (),
    wait: float | None = None,
    yes: bool = False,
    why: str | None = None,
) -> Report:
    """Serve an older version again at `targets` (all by default): version `number`, else the one before the wanted one.

    `renew` keeps to it until it is lifted, is revoked, or nears its end.

    Raises:
        UsageError: there is no such target or version, or it cannot be served any more. LeaseHeld: a run is under way.
    """
    desk.stay(wait)
    certificate = desk.certificate(name)
    now = desk.world.clock.now()
    with meanwhile(desk.store, name, targets, hint=f"certbroker explain {name} tells what is held and served"):
        chosen = _targets(certificate, targets)
        facts = gather(desk, certificate, {}, look=False)
        places = [(each, _version(desk, certificate, facts.targets[each.target], each, number, now)) for each in chosen]
        desk.check_vault()
    with running(desk, "rollback", why) as run:
        take_in(desk, [name])
        with desk.store.lease(
            f"certificate/{name}", f"{desk.world.host}, run {run.id}", seconds=LEASE_SECONDS
        ) as lease:
            lease.check()
            _prepare(desk, places, now)
            _pin(desk, places, now, why or "")
        selection = Selection(order=False, targets=frozenset(a.target for a in chosen), ignore_backoff=True, yes=yes)
        return tell(run, reconcile(desk, [certificate], selection), [])


def lift(desk: Desk, name: str, *, targets: Sequence[str] = (), why: str | None = None) -> Report:
    """Serve what is wanted again. Raises UsageError if nothing is pinned there."""
    certificate = desk.certificate(name)
    with meanwhile(desk.store, name, targets, hint=f"certbroker explain {name} tells what it serves"):
        chosen = {each.target for each in _targets(certificate, targets)}
        pinned = [row for row in desk.store.pins(name) if row.target in chosen]
        if not pinned:
            where = f" on {', '.join(targets)}" if targets else ""
            raise UsageError(f"{name} is not pinned{where}")
    with running(desk, "rollback --lift", why) as run:
        take_in(desk, [name])
        now = desk.world.clock.now()
        told = [
            events.Unpinned(at=now, certificate=name, target=row.target, why=why or "lifted by hand") for row in pinned
        ]
        desk.store.lift_pins(name, [row.target for row in pinned], events=told)
        for event in told:
            desk.emit(event)
        selection = Selection(order=False, targets=frozenset(row.target for row in pinned), ignore_backoff=True)
        return tell(run, reconcile(desk, [certificate], selection), [])


def _targets(certificate: Certificate, wanted: Sequence[str]) -> list[Assignment]:
    known = {each.target: each for each in certificate.assignments}
    for target in wanted:
        if target not in known:
            raise UsageError(f"{certificate.name} has no target {target}", hint=nearest(target, known))
    return [known[target] for target in dict.fromkeys(wanted)] if wanted else list(known.values())


def _version(
    desk: Desk, certificate: Certificate, target: TargetFacts, assignment: Assignment, number: int | None, now: datetime
) -> Version:
    """The version to go back to at this target. Raises UsageError saying why there is none."""
    key_type = next((key for key in certificate.keys if key in target.key_types), None)
    if key_type is None:
        raise UsageError(f"{target.name} accepts none of {', '.join(certificate.keys)}")
    wanted = desk.store.variant(certificate.name, key_type).wanted
    held = [v for v in desk.store.versions(certificate.name, key_type) if not v.rehearsal]
    if number is not None:
        named = next((v for v in held if v.number == number), None)
        if named is None:
            there = ", ".join(v.label for v in held) or "none"
            raise UsageError(
                f"the store holds no v{number} of {certificate.name}",
                hint=f"it holds {there}: certbroker rollback {certificate.name} --to vN",
            )
        if reason := _unfit(desk, named, target, assignment, now):
            raise UsageError(f"{certificate.name} {named.label} cannot be served by {target.name}: {reason}")
        return named
    older = [v for v in held if wanted is not None and v.number < wanted.number]
    if not older:
        raise UsageError(f"{certificate.name} has no version before {wanted.label if wanted else 'its first'}")
    reasons = []
    for version in older:
        reason = _unfit(desk, version, target, assignment, now)
        if reason is None:
            return version
        reasons.append(f"{version.label}: {reason}")
    raise UsageError(f"{certificate.name} has nothing to go back to on {target.name}: {'; '.join(reasons)}")


def _unfit(desk: Desk, version: Version, target: TargetFacts, assignment: Assignment, now: datetime) -> str | None:
    """Why it may not be served any more; None if it may."""
    if version.revoked_at is not None:
        return "it is revoked"
    if version.lifetime.ends <= now:
        return f"it has ended on {day(version.lifetime.ends)}"
    if version.lifetime.at(policy.LATEST) <= now:
        return f"it nears its end, {day(version.lifetime.ends)}"
    if missing := [name for name in assignment.names if name not in version.names]:
        return f"it does not cover {', '.join(missing)}"
    if not version.trusted and not target.accept_untrusted:
        return "the system does not trust it"
    if desk.store.box("version", str(version.id)) is None:
        return "its key is not held any more"
    return None


def _prepare(desk: Desk, places: Sequence[tuple[Assignment, Version]], now: datetime) -> None:
    """Before the pin is written: its version is to be pushed again, and what is wanted too, once the pin is lifted.

    A run that dies before the pin is there leaves no harm: what is wanted is pushed again.
    """
    rows = []
    for assignment, version in places:
        wanted = desk.store.variant(assignment.certificate, version.key_type).wanted
        both = {each.id: each for each in (wanted, version) if each is not None}
        rows += [
            _anew(assignment.certificate, assignment.target, name, each, now)
            for each in both.values()
            for name in assignment.names
        ]
    desk.store.put_deployments(rows)


def _anew(certificate: str, target: str, name: str, version: Version, now: datetime) -> DeploymentRow:
    """As if it had never been pushed there."""
    return DeploymentRow(
        version_id=version.id,
        target=target,
        name=name,
        certificate=certificate,
        key_type=version.key_type,
        phase=Phase.PENDING,
        since=now,
    )


def _pin(desk: Desk, places: Sequence[tuple[Assignment, Version]], now: datetime, why: str) -> None:
    rows = [
        PinRow(a.certificate, a.target, version.id, now, version.lifetime.at(policy.LATEST), why)
        for a, version in places
    ]
    told = [
        events.Pinned(
            at=now,
            certificate=a.certificate,
            target=a.target,
            version=version.label,
            fingerprint=version.fingerprint,
            until=version.lifetime.at(policy.LATEST),
            why=why,
        )
        for a, version in places
    ]
    desk.store.put_pins(rows, events=told)
    for event in told:
        desk.emit(event)
