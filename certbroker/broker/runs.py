"""The runs: `renew` (cron), `issue` and `push` (by hand). Each is a selection over one path, told as a `Report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from certbroker import events
from certbroker.broker.checks import ask_failing, due_checks
from certbroker.broker.desk import Desk, nearest
from certbroker.broker.done import Done
from certbroker.broker.facts import Looked
from certbroker.broker.lent import return_lent
from certbroker.broker.observing import observe, observe_due
from certbroker.broker.report import Line, Report, State
from certbroker.broker.running import running
from certbroker.broker.taking_in import CHECK_EVERY, take_in
from certbroker.broker.telling import Run, tell
from certbroker.challenges import Means
from certbroker.errors import ProviderError, UsageError
from certbroker.model import Assignment, Certificate, Phase, Version
from certbroker.plan import Selection
from certbroker.store import DueRow

BATCH = 200
"""Certificates reconciled together: bounds memory and the time until the first is served."""


def renew(
    desk: Desk,
    names: Sequence[str] = (),
    *,
    yes: bool = False,
    refresh_windows: bool = False,
    reason: str | None = None,
) -> Report:
    """Do what is due, and nothing else. `names` narrows it to those certificates, due or not."""
    with running(desk, "renew", reason) as run:
        take_in(desk, names, yes=yes and not names)
        returned = return_lent(desk)
        selection = Selection(yes=yes, ignore_backoff=bool(names))
        if names:
            chosen = [desk.certificate(name) for name in names]
        elif refresh_windows:
            chosen = list(desk.config.certificates.values())
        else:
            chosen = _due_certificates(desk)
        if yes and not names:
            chosen += [c for c in _waiting_certificates(desk) if c not in chosen]
        done = reconcile(desk, chosen, selection, refresh_windows=refresh_windows)
        left = _left(chosen, done)
        seen = observe_due(desk, names)
        done += [*seen.bugs, *reconcile(desk, seen.heal, selection, looked=seen.looked)]
        notes = list(seen.lines) if names else [*due_checks(desk), *seen.lines, *_housekeeping(desk)]
        return tell(run, done, [*left, *returned, *notes])


def issue(
    desk: Desk,
    name: str,
    *,
    staging: bool = False,
    reason: str | None = None,
    wait: float | None = None,
    yes: bool = False,
) -> Report:
    """Order now, by hand, and push. `staging`: rehearse with a test CA; that version is never wanted and never pushed."""
    with running(desk, "issue", reason) as run:
        desk.stay(wait)
        take_in(desk, [name])
        certificate = desk.certificate(name)
        if staging:
            return _rehearse(run, certificate)
        why = "asked for by hand" + (f": {reason}" if reason else "")
        done = reconcile(desk, [certificate], Selection(by_hand=why, ignore_backoff=True, yes=yes))
        return tell(run, done, ask_failing(desk))


def push(
    desk: Desk,
    names: Sequence[str],
    *,
    targets: Sequence[str] = (),
    wait: float | None = None,
    yes: bool = False,
    reason: str | None = None,
) -> Report:
    """Push the present versions; nothing is ordered. `wait`: seconds to stay and look at slow edges."""
    for target in targets:
        if target not in desk.config.targets:
            raise UsageError(f"no target is called {target}", hint=nearest(target, desk.config.targets))
    with running(desk, "push", reason) as run:
        desk.stay(wait)
        take_in(desk, names)
        chosen = [desk.certificate(name) for name in names] or [
            c for c in desk.config.certificates.values() if not targets or any(c.names_on(t) for t in targets)
        ]
        selection = Selection(order=False, targets=frozenset(targets) or None, ignore_backoff=True, yes=yes, heal=True)
        looked: Looked = {}
        observe(desk, chosen, looked, targets=targets or None, standing=True)
        done = reconcile(desk, chosen, selection, looked=looked)
        return tell(run, done, [*_left(chosen, done), *ask_failing(desk)])


def _due_certificates(desk: Desk) -> list[Certificate]:
    due = desk.store.due(desk.world.clock.now(), kind="certificate")
    return [desk.config.certificates[row.subject] for row in due if row.subject in desk.config.certificates]


def _waiting_certificates(desk: Desk) -> list[Certificate]:
    """What waits for the owner's `--yes`, or for anything else that a person does."""
    waiting = {row.certificate for row in desk.store.unsettled() if row.phase is Phase.WAITING}
    waiting |= {finding.name for finding in desk.store.findings(state="warn") if finding.kind == "certificate"}
    return [desk.config.certificates[name] for name in sorted(waiting) if name in desk.config.certificates]


def reconcile(
    desk: Desk,
    chosen: Sequence[Certificate],
    selection: Selection,
    *,
    refresh_windows: bool = False,
    looked: Looked | None = None,
) -> list[Done]:
    """The one path, for these certificates, as long as there is time: what is left is due still when the next run comes.

    `looked`: what platforms said in this run already, just now.
    """
    if not chosen:
        return []
    from certbroker.broker.reconcile import Reconciler  # with all that ordering and pushing needs

    done: list[Done] = []
    for start in range(0, len(chosen), BATCH):
        if start and desk.world.clock.monotonic() >= desk.deadline:
            break
        reconciler = Reconciler(desk, selection, refresh_windows=refresh_windows, looked=looked)
        done += reconciler.run(chosen[start : start + BATCH])
    return done


def _left(chosen: Sequence[Certificate], done: Sequence[Done]) -> list[Line]:
    """That the time of the run was over first."""
    number = len(chosen) - len(done)
    what = "1 certificate is" if number == 1 else f"{number} certificates are"
    return [Line(State.WARN, "time", f"{what} left to the next run")] if number else []


def _rehearse(run: Run, certificate: Certificate) -> Report:
    from certbroker.issuer import OrderRequest

    desk = run.desk
    desk.check_vault()
    requests = [
        OrderRequest(
            certificate.name, key, certificate.names, "a rehearsal", rehearsal=True, means=Means.of(certificate)
        )
        for key in certificate.keys
    ]
    done = Done(certificate.name)
    began = desk.world.clock.monotonic()
    for result in desk.rehearsal_issuer(certificate).obtain(requests):
        if isinstance(result, Version):
            done.ordered.append(result)
        else:
            done.order_errors.append(result)
    done.seconds[""] = desk.world.clock.monotonic() - began
    done.rehearsal = True
    return tell(run, [done], [])


def _housekeeping(desk: Desk) -> list[Line]:
    """What is swept: proofs of orders that are over, old rows of the store, at each target what nobody uses any more."""
    store, now = desk.store, desk.world.clock.now()
    lines = []
    under_way = {order.id for order in store.open_orders()}
    if left := [row for row in store.unremoved("challenge") if row.order_id not in under_way]:
        for record, error in desk.challenges().remove(left, store, desk.emit):
            lines.append(Line(State.WARN, record.solver, f"the record {record.name} stays for now: {error.what}"))
    for pin in store.pins():
        version = store.version(pin.version_id)
        revoked = version is not None and version.revoked_at is not None
        if revoked or pin.until <= now:
            why = "its version is revoked" if revoked else "its version nears its end"
            over = events.Unpinned(at=now, certificate=pin.certificate, target=pin.target, why=why)
            store.lift_pins(pin.certificate, [pin.target], events=[over])
            desk.emit(over)
    for row in store.due(now, kind="prune"):
        if row.subject == "store":
            store.prune(now, keep_versions=desk.config.keep_versions)
            store.set_due([replace(row, at=now + CHECK_EVERY)])
            continue
        lines += _prune_target(desk, row)
    return lines


def _prune_target(desk: Desk, row: DueRow) -> list[Line]:
    """After its own commit and a grace time. A certificate or target that left the file is left alone (an orphan)."""
    target_name, _, certificate_name = row.subject.partition("/")
    certificate = desk.config.certificates.get(certificate_name)
    names = certificate.names_on(target_name) if certificate else ()
    if certificate is None and desk.elsewhere("certificate", certificate_name):
        return []
    if certificate is None or not names:
        desk.store.clear_due("prune", row.subject)
        return []
    rows = [d for d in desk.store.deployments(certificate_name) if d.target == target_name]
    wanted = {v.wanted.id for v in desk.store.variants(certificate_name).values() if v.wanted}
    if any(not d.phase.settled for d in rows if d.version_id in wanted):
        desk.store.set_due([replace(row, at=desk.world.clock.now() + CHECK_EVERY)])
        return []
    keep = desk.store.kept_fingerprints(certificate_name, target_name)
    tomorrow = replace(row, at=desk.world.clock.now() + CHECK_EVERY)
    try:
        removed = desk.saga.prune(desk.target(target_name), Assignment(certificate_name, target_name, names), keep)
    except ProviderError as error:
        desk.store.set_due([tomorrow])
        return [Line(State.WARN, target_name, f"left old objects in place: {error.what}")]
    if removed:
        desk.store.set_due([tomorrow])  # whether they are really gone: only a search that finds nothing is the last one
    else:
        desk.store.clear_due("prune", row.subject)
    return []
