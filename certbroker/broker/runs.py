"""The runs: `renew` (cron), `issue` and `push` (by hand). Each is a selection over one path, told as a `Report`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from certbroker import events
from certbroker.broker.checks import due_checks, observe
from certbroker.broker.desk import Desk, nearest
from certbroker.broker.reconcile import Done, Reconciler
from certbroker.broker.report import Entry, Line, Report, State, Trouble, day, minute, served_now, target_line
from certbroker.config import Config, TargetSettings
from certbroker.errors import CertbrokerError, UsageError
from certbroker.issuer import OrderRequest
from certbroker.model import Assignment, Certificate, Phase, Version
from certbroker.plan import Selection
from certbroker.store import DueRow, TakenIn

BATCH = 200
"""Certificates reconciled together: bounds memory and the time until the first is served."""

CHECK_EVERY = timedelta(hours=24)

ASKED_BY_ITSELF = frozenset({"target", "solver", "issuer", "edge"})
"""Kinds of findings that `renew` keeps up to date, so that one that is mended goes by itself."""


@dataclass
class Run:
    """An open run: its id is on every event and lease."""

    desk: Desk
    id: str
    started: datetime
    monotonic: float


def renew(
    desk: Desk,
    names: Sequence[str] = (),
    *,
    yes: bool = False,
    refresh_windows: bool = False,
    reason: str | None = None,
) -> Report:
    """Do what is due, and nothing else. `names` narrows it to those certificates, due or not."""
    with _run(desk, "renew", reason) as run:
        take_in(desk)
        selection = Selection(yes=yes, ignore_backoff=bool(names))
        if names:
            chosen = [desk.certificate(name) for name in names]
        elif refresh_windows:
            chosen = list(desk.config.certificates.values())
        else:
            chosen = _due_certificates(desk)
        if yes and not names:
            chosen += [c for c in _waiting_certificates(desk) if c not in chosen]
        done = _reconcile(desk, chosen, selection, refresh_windows=refresh_windows)
        notes = (
            []
            if names
            else [
                *due_checks(desk),
                *observe(desk, skip={d.certificate for d in done if d.pushed or d.verified}),
                *_housekeeping(desk),
            ]
        )
        return _report(run, done, notes)


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
    with _run(desk, "issue", reason) as run:
        take_in(desk)
        certificate = desk.certificate(name)
        if staging:
            return _rehearse(run, certificate)
        if wait is not None:
            desk.patience = wait
        why = "asked for by hand" + (f": {reason}" if reason else "")
        done = _reconcile(desk, [certificate], Selection(by_hand=why, ignore_backoff=True, yes=yes))
        return _report(run, done, [])


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
    with _run(desk, "push", reason) as run:
        take_in(desk)
        if wait is not None:
            desk.patience = wait
        chosen = [desk.certificate(name) for name in names] or [
            c for c in desk.config.certificates.values() if not targets or any(c.names_on(t) for t in targets)
        ]
        selection = Selection(order=False, targets=frozenset(targets) or None, ignore_backoff=True, yes=yes, heal=True)
        return _report(run, _reconcile(desk, chosen, selection), [])


def take_in(desk: Desk) -> None:
    """Read the file into the store if it changed since this host last did: new and changed certificates are due at once."""
    config, store = desk.config, desk.store
    if store.taken_in(desk.world.host) == config.digest:
        return
    certificates = {c.name: _certificate_data(c, config) for c in config.certificates.values()}
    targets = {t.name: _target_data(t) for t in config.targets.values()}
    now = desk.world.clock.now()
    checked = {row.subject for row in store.due_of("check")}
    to_check = {f"target/{name}" for name in config.targets} | {f"solver/{name}" for name in config.solvers}
    to_check |= {f"issuer/{issuer}" for c in config.certificates.values() for issuer in c.issuers[:1]}
    later = [DueRow("check", subject, now + CHECK_EVERY) for subject in sorted(to_check - checked)]
    if all(row.subject != "store" for row in store.due_of("prune")):
        later.append(DueRow("prune", "store", now + CHECK_EVERY))

    def due(taken: TakenIn) -> Sequence[DueRow]:
        touched = {*taken.added["target"], *taken.changed["target"]}
        names = {*taken.added["certificate"], *taken.changed["certificate"]}
        names |= {c.name for c in config.certificates.values() if any(a.target in touched for a in c.assignments)}
        return [*(DueRow("certificate", name, now) for name in sorted(names)), *later]

    store.take_in(desk.world.host, config.file, config.digest, certificates, targets, due=due)
    for subject in checked - to_check:
        store.clear_due("check", subject)


def _certificate_data(certificate: Certificate, config: Config) -> dict[str, Any]:
    return {
        "names": list(certificate.names),
        "keys": list(certificate.keys),
        "issuers": [[name, config.issuers[name].directory] for name in certificate.issuers],
        "targets": [[a.target, list(a.names)] for a in certificate.assignments],
    }


def _target_data(target: TargetSettings) -> dict[str, Any]:
    options = json.loads(json.dumps(target.options.model_dump(), default=str))
    edges = [str(edge) for edge in target.edges]
    return {"type": target.type, "edges": edges, "accept_untrusted": target.accept_untrusted, "options": options}


@contextmanager
def _run(desk: Desk, command: str, reason: str | None) -> Iterator[Run]:
    """A run in the history, from its start to its exit code. An error ends it too."""
    world, store = desk.world, desk.store
    run = Run(desk, _run_id(desk), world.clock.now(), world.clock.monotonic())
    store.begin_run(
        run.id,
        command=command,
        actor=world.actor,
        host=world.host,
        reason=reason,
        digest=desk.config.digest,
        started=run.started,
    )
    desk.emit(
        events.RunStarted(
            at=run.started,
            command=command,
            actor=world.actor,
            host=world.host,
            reason=reason,
            digest=desk.config.digest,
        )
    )
    try:
        yield run
    except CertbrokerError as error:
        store.end_run(run.id, exit_code=2, summary=error.what)
        raise


def _run_id(desk: Desk) -> str:
    """Short enough to be said aloud, so it may be one that the history has already: then another."""
    while True:
        drawn = "".join(desk.world.random.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(6))
        if not desk.store.knows_run(drawn):
            return drawn


def _due_certificates(desk: Desk) -> list[Certificate]:
    due = desk.store.due(desk.world.clock.now(), kind="certificate")
    return [desk.config.certificates[row.subject] for row in due if row.subject in desk.config.certificates]


def _waiting_certificates(desk: Desk) -> list[Certificate]:
    """What waits for the owner's `--yes`, or for anything else that a person does."""
    waiting = {row.certificate for row in desk.store.unsettled() if row.phase is Phase.WAITING}
    waiting |= {finding.name for finding in desk.store.findings(state="warn") if finding.kind == "certificate"}
    return [desk.config.certificates[name] for name in sorted(waiting) if name in desk.config.certificates]


def _reconcile(
    desk: Desk, chosen: Sequence[Certificate], selection: Selection, *, refresh_windows: bool = False
) -> list[Done]:
    done: list[Done] = []
    for start in range(0, len(chosen), BATCH):
        reconciler = Reconciler(desk, selection, refresh_windows=refresh_windows)
        done += reconciler.run(chosen[start : start + BATCH])
    return done


def _rehearse(run: Run, certificate: Certificate) -> Report:
    desk = run.desk
    desk.check_vault()
    requests = [
        OrderRequest(certificate.name, key, certificate.names, "a rehearsal", rehearsal=True)
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
    return _report(run, [done], [])


def _housekeeping(desk: Desk) -> list[Line]:
    """What is swept: proofs of orders that are over, old rows of the store, at each target what nobody uses any more."""
    store, now = desk.store, desk.world.clock.now()
    lines = []
    under_way = {order.id for order in store.open_orders()}
    if left := [row for row in store.unremoved("challenge") if row.order_id not in under_way]:
        for record, error in desk.challenges().remove(left, store, desk.emit):
            lines.append(Line(State.WARN, record.solver, f"the record {record.name} stays for now: {error.what}"))
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
    if certificate is None or not names:
        desk.store.clear_due("prune", row.subject)
        return []
    rows = [d for d in desk.store.deployments(certificate_name) if d.target == target_name]
    wanted = {v.wanted.id for v in desk.store.variants(certificate_name).values() if v.wanted}
    if any(not d.phase.settled for d in rows if d.version_id in wanted):
        desk.store.set_due([replace(row, at=desk.world.clock.now() + CHECK_EVERY)])
        return []
    keep = desk.store.kept_fingerprints(certificate_name, target_name)
    try:
        desk.saga.prune(desk.target(target_name), Assignment(certificate_name, target_name, names), keep)
    except CertbrokerError as error:
        desk.store.set_due([replace(row, at=desk.world.clock.now() + CHECK_EVERY)])
        return [Line(State.WARN, target_name, f"left old objects in place: {error.what}")]
    desk.store.clear_due("prune", row.subject)
    return []


# ---- telling -----------------------------------------------------------------------------------------------------------


def _report(run: Run, done: Sequence[Done], notes: Sequence[Line]) -> Report:
    """From state, not from memory: what the store says now decides the sentence and the exit code."""
    desk = run.desk
    entries = tuple(entry for d in done if not d.held_by and (entry := _entry(desk, d)).lines)
    troubles = _troubles(desk, done)
    held = [d for d in done if d.held_by]
    failed = any(not trouble.wait for trouble in troubles)
    exit_code = 1 if failed else 3 if troubles else 0
    seconds = desk.world.clock.monotonic() - run.monotonic
    summary = _summary(desk, done, troubles, held)
    ended = events.RunEnded(at=desk.world.clock.now(), exit_code=exit_code, summary=summary, seconds=seconds)
    desk.store.end_run(run.id, exit_code=exit_code, summary=summary)
    desk.emit(ended)
    return Report(
        run=run.id,
        store=desk.store.id,
        at=run.started,
        digest=desk.config.digest,
        entries=entries,
        troubles=troubles,
        summary=summary,
        exit_code=exit_code,
        seconds=seconds,
        notes=(
            *(f"{d.certificate} is being worked on by {d.held_by}" for d in held),
            *(f"{n.subject}: {n.text}" for n in notes),
        ),
    )


def _entry(desk: Desk, done: Done) -> Entry:
    lines = []
    for version in done.ordered:
        tail = "a rehearsal: never pushed" if version.rehearsal else f"until {day(version.lifetime.ends)}"
        lines.append(
            Line(State.OK, "order", f"{version.label} {version.fingerprint[:6]}, {tail}", done.seconds.get(""))
        )
    lines += [Line(State.FAIL, "order", error.what, done.seconds.get("")) for error in done.order_errors]
    lines += [Line(State.FAIL, "bug", text) for text in done.bugs]
    if done.rehearsal:
        return Entry(done.certificate, "a rehearsal", tuple(lines))
    rows = desk.store.deployments(done.certificate)
    looks = desk.store.seen(done.certificate)
    wanted = {v.wanted.id: v.wanted for v in desk.store.variants(done.certificate).values() if v.wanted}
    touched = {*done.pushed, *done.verified, *(hold.target for hold in done.holds)}
    for target in (a.target for a in desk.config.certificates[done.certificate].assignments if a.target in touched):
        mine = [row for row in rows if row.target == target and row.version_id in wanted]
        if mine:
            lines.append(target_line(target, mine, looks, wanted[mine[0].version_id], done.seconds.get(target)))
    return Entry(done.certificate, done.why[0] if done.why else "", tuple(lines))


def _troubles(desk: Desk, done: Sequence[Done]) -> tuple[Trouble, ...]:
    """Everything that is not fine, one cause told once, worst first."""
    store = desk.store
    found: dict[tuple[str, str], Trouble] = {}
    declared = desk.config.certificates
    for row in store.unsettled():
        if row.certificate not in declared or row.phase not in (Phase.FAILED, Phase.WAITING):
            continue
        key = (row.target, row.why or "")
        if key in found:
            continue
        wait = row.phase is Phase.WAITING
        what = f"{row.certificate} → {row.target}: {row.why or row.phase.value}" + (f" ({row.name})" if wait else "")
        hint = "; or ".join(f"publish {record}" for record in row.records) if row.records else (row.hint or "")
        if not hint:
            hint = f"the next run tries again, or at once: certbroker push {row.certificate} --target {row.target}"
        found[key] = Trouble(what, served_now(store, row.certificate, row.target), hint, wait)
    for certificate, _, failing in store.failing_variants():
        if certificate in declared and failing.error:
            again = f"; the next try is at {minute(failing.try_again)}" if failing.try_again else ""
            found.setdefault(
                ("", failing.error),
                Trouble(
                    f"{certificate} cannot be ordered: {failing.error}",
                    served_now(store, certificate) + again,
                    failing.hint or "",
                ),
            )
    for finding in store.findings(state="fail"):
        if finding.kind not in ASKED_BY_ITSELF:
            continue  # only `check` asks again; `status` shows it with its date
        found.setdefault(
            (finding.kind, finding.what),
            Trouble(
                f"{finding.kind} {finding.name}: {finding.what}",
                f"so since {minute(finding.since)}",
                finding.hint or "",
            ),
        )
    for d in done:
        for hold in d.holds:
            if hold.person and hold.target and (hold.target, hold.why) not in found:
                now = served_now(store, d.certificate, hold.target)
                told = Trouble(f"{d.certificate} → {hold.target}: {hold.why}", now, hold.hint or "", not hold.failed)
                found[(hold.target, hold.why)] = told
        for text in d.bugs:
            found.setdefault(
                ("bug", text), Trouble(f"{d.certificate}: a bug in certbroker: {text}", hint="please report it")
            )
        if d.rehearsal:
            for error in d.order_errors:
                found[("rehearsal", error.what)] = Trouble(
                    f"the rehearsal of {d.certificate} failed: {error.what}", "nothing was touched", error.hint or ""
                )
    return tuple(sorted(found.values(), key=lambda trouble: trouble.wait))


def _summary(desk: Desk, done: Sequence[Done], troubles: Sequence[Trouble], held: Sequence[Done]) -> str:
    counts = desk.store.count_deployments()
    total = sum(counts.values())
    served = counts.get(Phase.COMMITTED, 0)
    delivered = counts.get(Phase.DELIVERED, 0)
    verifying = counts.get(Phase.VERIFYING, 0) + counts.get(Phase.PUSHED, 0)
    ordered = sum(len([v for v in d.ordered if not v.rehearsal]) for d in done)
    parts = []
    if held and len(held) == len(done):
        parts.append("left to the other run")
    elif ordered:
        parts.append(f"{ordered} ordered")
    elif not any(d.pushed or d.verified or d.order_errors for d in done):
        parts.append("nothing due" if not any(d.rehearsal for d in done) else "rehearsed")
    if total > delivered:
        parts.append(f"{served} of {total - delivered} served as wanted")
    if not total:
        parts.append("nothing pushed yet")
    if delivered:
        parts.append(f"{delivered} delivered, nobody can look")
    if verifying:
        parts.append(f"{verifying} not seen at the edge yet")
    failed = sum(1 for t in troubles if not t.wait)
    waits = len(troubles) - failed
    if failed:
        parts.append(f"{failed} failed")
    if waits:
        parts.append(f"{waits} {'waits' if waits == 1 else 'wait'} for a person")
    upcoming = desk.store.next_due("certificate")
    if upcoming:
        parts.append(f"next: {upcoming.subject}, {minute(upcoming.at)}")
    return " · ".join(parts)
