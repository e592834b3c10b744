"""Telling a run: from state, not from memory. What the store says at its end decides the sentence and the exit code."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from certbroker import events, policy
from certbroker.broker import labels, lent
from certbroker.broker.desk import Desk
from certbroker.broker.done import Done
from certbroker.broker.drifted import Difference, known_drifts, served_as_wanted, troubles_of
from certbroker.broker.report import Entry, Line, Report, State, Trouble, day, minute, served_now, target_line
from certbroker.errors import RecordWanted
from certbroker.model import Certificate, Phase

ASKED_BY_ITSELF = frozenset({"target", "solver", "issuer", "vault", labels.KIND, lent.KIND})
"""Kinds of findings that `renew` keeps up to date, so that one that is mended goes by itself."""

TOLD = frozenset({Phase.FAILED, Phase.WAITING, Phase.RESTORING, Phase.RESTORED})
"""Phases that somebody should know of."""


@dataclass
class Run:
    """An open run: its id is on every event and lease."""

    desk: Desk
    id: str
    started: datetime
    monotonic: float

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return self.desk.world.clock.monotonic() - self.monotonic

    def end(self, exit_code: int, summary: str) -> None:
        """With the attempts that are still open."""
        desk = self.desk
        desk.close_attempts()
        desk.store.end_run(self.id, exit_code=exit_code, summary=summary)
        now = desk.world.clock.now()
        desk.emit(events.RunEnded(at=now, exit_code=exit_code, summary=summary, seconds=self.seconds))


def tell(run: Run, done: Sequence[Done], notes: Sequence[Line]) -> Report:
    """End the run in the history and say what became of it. `notes`: what else was noticed on the way."""
    desk = run.desk
    entries = tuple(entry for d in done if not d.held_by and (entry := _entry(desk, d)).lines)
    drifts = [each for each in known_drifts(desk.store, desk.config) if not each.cause.unknown]
    troubles = _troubles(desk, done, drifts)
    held = [d for d in done if d.held_by]
    failed = any(not trouble.wait for trouble in troubles)
    exit_code = 1 if failed else 3 if troubles else 0
    summary = _summary(desk, done, troubles, held, drifts)
    run.end(exit_code, summary)
    return Report(
        run=run.id,
        store=desk.store.id,
        at=run.started,
        digest=desk.config.digest,
        entries=entries,
        troubles=troubles,
        summary=summary,
        exit_code=exit_code,
        seconds=run.seconds,
        notes=(
            *(f"{d.certificate} is being worked on by {d.held_by}" for d in held),
            *(f"{n.subject}: {n.text}" for n in notes),
        ),
    )


def _entry(desk: Desk, done: Done) -> Entry:
    lines = [Line(State.OK, "revoke", text) for text in done.revoked]
    lines += [Line(State.WARN, "order", text) for text in done.stepped_in]
    for version in done.imported:
        text = f"{version.label} {version.fingerprint[:6]}, until {day(version.lifetime.ends)}"
        lines.append(Line(State.OK, "import", text))
    lines += done.said
    for version in done.ordered:
        tail = "a rehearsal: never pushed" if version.rehearsal else f"until {day(version.lifetime.ends)}"
        lines.append(
            Line(State.OK, "order", f"{version.label} {version.fingerprint[:6]}, {tail}", done.seconds.get(""))
        )
    lines += [Line(State.WARN, "order", text) for text in _other_chains(desk, done)]
    lines += [Line(State.WAIT, "order", text) for text in done.waits]
    lines += [Line(State.FAIL, "order", error.what, done.seconds.get("")) for error in done.order_errors]
    lines += [Line(State.WARN, "order", f"{why}; not before {minute(until)}") for why, until in _put_off(done)]
    lines += [Line(State.FAIL, "bug", text) for text in done.bugs]
    if done.rehearsal:
        return Entry(done.certificate, "a rehearsal", tuple(lines))
    if done.certificate not in desk.config.certificates:
        return Entry(done.certificate, "not in the file any more", tuple(lines))
    touched = {*done.pushed, *done.verified, *(hold.target for hold in done.holds)}
    if touched:
        lines += _targets(desk, done, touched)
    return Entry(done.certificate, done.why[0] if done.why else "", tuple(lines))


def _targets(desk: Desk, done: Done, touched: Collection[str | None]) -> Iterator[Line]:
    rows = desk.store.deployments(done.certificate)
    looks = desk.store.seen(done.certificate)
    wanted = {v.wanted.id: v.wanted for v in desk.store.variants(done.certificate).values() if v.wanted}
    pinned = {pin.target: desk.store.version(pin.version_id) for pin in desk.store.pins(done.certificate)}
    for target in (a.target for a in desk.config.certificates[done.certificate].assignments if a.target in touched):
        kept = pinned.get(target)
        served = {kept.id: kept} if kept else wanted
        mine = [row for row in rows if row.target == target and row.version_id in served]
        if mine:
            yield target_line(target, mine, looks, served[mine[0].version_id], done.seconds.get(target))


def _other_chains(desk: Desk, done: Done) -> list[str]:
    """What the CA signed and handed out in no chain that the file prefers: good all the same."""
    wanted = {name: issuer.preferred_chain for name, issuer in desk.config.issuers.items()}
    texts = [policy.other_chain(version, wanted.get(version.issuer)) for version in done.ordered]
    return [text for text in texts if text]


def _put_off(done: Done) -> list[tuple[str, datetime]]:
    """Orders that nothing is wrong with, for which it is too early."""
    return [(h.why, h.until) for h in done.holds if h.put_off and h.until is not None]


def _troubles(desk: Desk, done: Sequence[Done], drifts: Sequence[Difference]) -> tuple[Trouble, ...]:
    """Everything that is not fine, one cause told once, worst first."""
    store = desk.store
    found: dict[tuple[str, str], Trouble] = {("drift", each.what): each for each in troubles_of(drifts)}
    drifting = {(each.certificate, each.target) for each in drifts}
    declared = desk.config.certificates
    for row in store.unsettled():
        if row.certificate not in declared or row.phase not in TOLD:
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
    for finding in store.findings(state="warn"):
        if finding.kind == "certificate" and finding.name in declared:
            told = Trouble(
                f"{finding.name}: {finding.what}", served_now(store, finding.name), finding.hint or "", wait=True
            )
            found[("certificate", finding.name)] = told
    for finding in store.findings(state="fail"):
        if finding.kind not in ASKED_BY_ITSELF:
            continue  # only `check` asks again; `status` shows it with its date
        now = f"so since {minute(finding.since)}"
        if finding.kind == lent.KIND:
            now = served_now(store, finding.name)
        if finding.kind == labels.KIND:
            users = labels.needed_by(desk, finding.name)
            if any(finding.name in said for place, said in found if not place):
                continue  # an order that failed for it has told it
            now = "; ".join([_renewal(desk, each) for each in users[:1]] or [now])
        found.setdefault(
            (finding.kind, finding.what),
            Trouble(
                f"{finding.kind} {finding.name}: {finding.what}",
                now,
                finding.hint or "",
            ),
        )
    for d in done:
        for hold in d.holds:
            if (
                hold.person
                and hold.target
                and (d.certificate, hold.target) not in drifting
                and not {(hold.target, hold.why), ("certificate", d.certificate)} & set(found)
            ):
                now = served_now(store, d.certificate, hold.target)
                told = Trouble(f"{d.certificate} → {hold.target}: {hold.why}", now, hold.hint or "", not hold.failed)
                found[(hold.target, hold.why)] = told
        for text in d.bugs:
            found.setdefault(
                ("bug", text), Trouble(f"{d.certificate}: a bug in certbroker: {text}", hint="please report it")
            )
        if d.rehearsal:
            for error in d.order_errors:
                wait = isinstance(error, RecordWanted)
                found[("rehearsal", error.what)] = Trouble(
                    f"the rehearsal of {d.certificate} {'waits' if wait else 'failed'}: {error.what}",
                    "nothing was touched",
                    error.hint or "",
                    wait,
                )
    return tuple(sorted([*desk.told, *found.values()], key=lambda trouble: trouble.wait))


def _renewal(desk: Desk, certificate: Certificate) -> str:
    """What is served, and when it has to be replaced."""
    standing = desk.store.standing(certificate.name)
    served = served_now(desk.store, certificate.name)
    return f"{served}; {certificate.name} renews {minute(standing.renews)}" if standing and standing.renews else served


def _summary(
    desk: Desk,
    done: Sequence[Done],
    troubles: Sequence[Trouble],
    held: Sequence[Done],
    drifts: Sequence[Difference],
) -> str:
    counts = desk.store.count_deployments()
    total = sum(counts.values())
    served, delivered = served_as_wanted(desk.store)
    verifying = counts.get(Phase.VERIFYING, 0) + counts.get(Phase.PUSHED, 0)
    ordered = sum(len([v for v in d.ordered if not v.rehearsal]) for d in done)
    parts = []
    if held and len(held) == len(done):
        parts.append("left to the other run")
    elif ordered:
        parts.append(f"{ordered} ordered")
    elif any(d.said for d in done):
        parts.append(f"{sum(len(d.imported) for d in done)} imported")
    if put_off := sum(len(_put_off(d)) for d in done):
        parts.append(f"{put_off} too early to order")
    elif not ordered and any(d.waits for d in done):
        parts.append("nothing ordered")
    elif (
        not ordered
        and not (held and len(held) == len(done))
        and not any(d.pushed or d.verified or d.order_errors or d.revoked or d.said for d in done)
    ):
        parts.append("nothing due" if not any(d.rehearsal for d in done) else "rehearsed")
    edges = total - counts.get(Phase.DELIVERED, 0)
    if edges:
        parts.append(f"{served} of {edges} served as wanted")
    if not total:
        parts.append("nothing pushed yet")
    if delivered:
        parts.append(f"{delivered} delivered, nobody can look")
    if verifying:
        parts.append(f"{verifying} not seen at the edge yet")
    if drifts:
        parts.append(f"{len(drifts)} drifted")
    waits = sum(1 for t in troubles if t.wait)
    failed = len(troubles) - waits - len(troubles_of(drifts))
    if failed:
        parts.append(f"{failed} failed")
    if waits:
        parts.append(f"{waits} {'waits' if waits == 1 else 'wait'} for a person")
    upcoming = desk.store.next_due("certificate")
    if upcoming:
        parts.append(f"next: {upcoming.subject}, {minute(upcoming.at)}")
    return " · ".join(parts)
