"""What is known, from the store alone: no network, no vault, no secret. `status`, `history` and `explain` read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from certbroker import failover, policy
from certbroker.broker.drifted import Difference, known_drifts, served_as_wanted
from certbroker.broker.facts import left_out, wishes
from certbroker.broker.orphans import Orphan, left, orphans
from certbroker.broker.report import PHASE_STATE, State, day, minute, readable, served_now, worst
from certbroker.config import Config
from certbroker.errors import UsageError
from certbroker.limits import concerns
from certbroker.model import Certificate, KeyType, Phase, Version
from certbroker.names import base_name
from certbroker.plan import Facts, TargetFacts, VariantFacts, situation
from certbroker.standing.told import told as sentence
from certbroker.store import DeploymentRow, Store, Variant


@dataclass(frozen=True, slots=True)
class Cell:
    """One certificate on one target: state, the version served there as far as we know, and why."""

    state: State
    label: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One certificate (or several that look alike) in the table."""

    name: str
    state: State
    wanted: str
    until: datetime | None
    renews: datetime | None
    cells: Mapping[str, Cell]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The table, worst first, and the truth in one sentence."""

    sentence: str
    targets: tuple[str, ...]
    rows: tuple[Row, ...]
    findings: tuple[tuple[State, str, str, str], ...]
    """state, subject, what, hint."""
    orphans: tuple[Orphan, ...]
    looked_at: datetime | None
    exit_code: int


def status(store: Store, config: Config, now: datetime) -> Status:
    """Everything the file declares, as the store last knew it."""
    targets = tuple(config.targets)
    rows = [_row(store, config, certificate, now) for certificate in config.certificates.values()]
    order = [State.FAIL, State.WAIT, State.WARN, State.NONE, State.OK]
    rows.sort(key=lambda row: (order.index(row.state), row.until or now))
    shown = {"fail": State.FAIL, "warn": State.WARN}
    findings = tuple(
        (shown[f.state], f"{f.kind} {f.name}", f"{f.what}, since {minute(f.since)}", f.hint or "")
        for f in store.findings()
        if f.state in shown
    )
    looked = store.last_look()
    bad = sum(1 for row in rows if row.state is State.FAIL) + sum(1 for f in findings if f[0] is State.FAIL)
    waits = sum(1 for row in rows if row.state is State.WAIT)
    return Status(
        sentence=_sentence(store, rows, bad, waits, looked),
        targets=targets,
        rows=tuple(rows),
        findings=findings,
        orphans=tuple(orphans(store, config, now, left(store))),
        looked_at=looked,
        exit_code=1 if bad else 3 if waits else 0,
    )


def _row(store: Store, config: Config, certificate: Certificate, now: datetime) -> Row:
    variants = store.variants(certificate.name)
    rows = store.deployments(certificate.name)
    wanted = [v.wanted for key in certificate.keys if (v := variants.get(key)) and v.wanted]
    drifts = known_drifts(store, config, certificate.name)
    cells = {
        a.target: _drifted(_cell(config, certificate, a.target, a.names, variants, rows), a.target, drifts)
        for a in certificate.assignments
    }
    states = [cell.state for cell in cells.values()]
    notes = []
    for key in certificate.keys:
        known = variants.get(key)
        if known and known.error:
            states.append(State.FAIL)
            again = f", next try {minute(known.try_again)}" if known.try_again else ""
            hint = f"; {known.hint}" if known.hint else ""
            notes.append(f"cannot be ordered: {known.error}{again}{hint}")
        if known and (held := _held(known, now)):
            states.append(State.WARN)
            notes.append(held)
        passed = failover.in_force(store.passed(certificate.name, key), now)
        notes += [each.words() for each in passed.values() if each.issuer in certificate.issuers]
    notes += map(policy.left_out, left_out(variants, certificate.keys))
    if not wanted:
        state = worst(states) if State.FAIL in states or State.WAIT in states else State.NONE
        return Row(certificate.name, state, "-", None, None, cells, "; ".join(notes) or "never issued")
    until = min(version.lifetime.ends for version in wanted)
    renews = min(renewal_of(store, config, certificate, version, now) for version in wanted)
    windows = [store.window(version.id) for version in wanted]
    notes += dict.fromkeys(f"the CA explains: {w.explanation_url}" for w in windows if w and w.explanation_url)
    if until <= now:
        states.append(State.FAIL)
        notes.append("expired")
    for version in wanted:
        if version.revoked_at is not None:
            states.append(State.FAIL)
            notes.append(f"{version.label} is revoked since {minute(version.revoked_at)}; the next renew replaces it")
    label = "/".join(dict.fromkeys(version.label for version in wanted))
    return Row(certificate.name, worst(states), label, until, renews, cells, "; ".join(notes))


def _held(known: Variant, now: datetime) -> str | None:
    """That it is due and put off, until when, why, and what orders it all the same."""
    if known.held_until is None or known.held_until <= now:
        return None
    at_once = f"at once all the same: certbroker issue {known.certificate}"
    return f"not ordered before {minute(known.held_until)}: {known.held_why}; {at_once}"


def renewal_of(store: Store, config: Config, certificate: Certificate, version: Version, now: datetime) -> datetime:
    """When this version is to be replaced, as far as is known now."""
    window = store.window(version.id)
    s = policy.Situation(now, config.every, version.key_type, certificate.names, certificate.issuers, version, window)
    return policy.renewal_moment(s)


def _cell(
    config: Config,
    certificate: Certificate,
    target: str,
    names: Sequence[str],
    variants: Mapping[KeyType, Variant],
    rows: Sequence[DeploymentRow],
) -> Cell:
    wanted = {v.wanted.id: v.wanted for v in variants.values() if v.wanted}
    here = [row for row in rows if row.target == target and row.name in names]
    mine = [row for row in here if row.version_id in wanted]
    if not mine:
        older = [row for row in here if row.phase.settled]
        return Cell(State.WARN if older else State.NONE, "", "not pushed yet")
    state = worst([PHASE_STATE[row.phase] for row in mine])
    if len(mine) < len(names) and state is State.OK:
        state = State.WARN
    bad = next((row for row in mine if PHASE_STATE[row.phase] is state), mine[0])
    label = wanted[mine[0].version_id].label
    if bad.phase is Phase.DELIVERED:
        return Cell(state, f"{label} delivered", "delivered; nobody can look")
    return Cell(state, label, bad.why or "")


def _drifted(cell: Cell, target: str, drifts: Sequence[Difference]) -> Cell:
    """What stands by its phase, as the last observation found it."""
    here = [each for each in drifts if each.target == target]
    if not here or cell.state is State.FAIL:
        return cell
    names = ", ".join(each.name for each in here if each.what == here[0].what)
    return Cell(here[0].state, cell.label, f"{names}: {here[0].what}")


def _sentence(store: Store, rows: Sequence[Row], bad: int, waits: int, looked: datetime | None) -> str:
    counts = store.count_deployments()
    committed, _ = served_as_wanted(store)
    total = sum(counts.values()) - counts.get(Phase.DELIVERED, 0)
    if not total:
        said = (
            "Nothing has been pushed yet."
            if not counts.get(Phase.DELIVERED)
            else "Everything was delivered; nobody can look."
        )
    else:
        when = f" (looked at {minute(looked)})" if looked else ""
        said = f"{committed} of {total} names are served as wanted{when}."
    ends = [row.until for row in rows if row.until]
    if bad or waits:
        things = bad + waits
        said += f" {things} {'thing needs' if things == 1 else 'things need'} you"
        said += f"; the first certificate ends {day(min(ends))}." if ends else "."
    elif ends:
        upcoming = min((row for row in rows if row.renews), key=lambda row: row.renews or ends[0])
        said += f" Next renewal: {upcoming.name}, {minute(upcoming.renews) if upcoming.renews else ''}."
    return said


def explain(store: Store, config: Config, name: str, now: datetime) -> list[str]:
    """Why one certificate, target, solver or issuer is as it is, in the planner's words, and what happened to it last."""
    if name in config.certificates:
        return _explain_certificate(store, config, config.certificates[name], now)
    kinds = [
        kind
        for kind, table in (("target", config.targets), ("solver", config.solvers), ("issuer", config.issuers))
        if name in table
    ]
    if not kinds:
        raise UsageError(
            f"nothing in the file is called {name}", hint="certbroker status lists the certificates and targets"
        )
    lines = []
    for kind in kinds:
        place = config.targets.get(name) if kind == "target" else config.solvers.get(name) if kind == "solver" else None
        lines.append(
            f"{kind} {name}"
            + (
                f", {place.type}, {config.file}:{place.line}"
                if place is not None
                else f", {config.issuers[name].directory}"
            )
        )
        findings = [f for f in store.findings() if f.name == name and f.kind == kind]
        lines += [
            f"  {f.state}: {f.what}, since {minute(f.since)}, asked {minute(f.at)}"
            + (f"\n  hint: {f.hint}" if f.hint else "")
            for f in findings
        ]
        if not findings:
            lines.append("  never checked: certbroker check " + name)
        due = next((row for row in store.due_of("check") if row.subject == f"{kind}/{name}"), None)
        if due:
            lines.append(f"  asked again {minute(due.at)}")
        if kind == "target":
            users = [c.name for c in config.certificates.values() if c.names_on(name)]
            lines.append(f"  serves {', '.join(users) or 'nothing'}")
    lines += ["", *_story(store, target=name)]
    return lines


def _explain_certificate(store: Store, config: Config, certificate: Certificate, now: datetime) -> list[str]:
    lines = [f"{certificate.name} · {', '.join(map(readable, certificate.names))}"]
    variants = store.variants(certificate.name)
    facts = Facts(
        now=now,
        every=config.every,
        certificate=certificate,
        variants={
            key: VariantFacts(wanted=v.wanted, window=store.window(v.wanted.id) if v.wanted else None)
            for key, v in variants.items()
        },
        targets=dict[str, TargetFacts](),
    )
    for key in certificate.keys:
        known = variants.get(key)
        version = known.wanted if known else None
        s = situation(facts, key)
        why = policy.reason_to_order(s)
        if version is None:
            lines.append(f"  {key.value}: none yet; due now: {why}")
        else:
            lines.append(
                f"  {key.value}: {version.label} {version.fingerprint[:12]} by {version.issued_by} ({version.issuer}), "
                f"{minute(version.lifetime.starts)} to {minute(version.lifetime.ends)}"
            )
            lines.append(f"    its chain of {version.chain_pem.count('BEGIN CERTIFICATE')} ends at {version.root}")
            lines.append(f"    due now: {why}" if why else f"    renews {minute(policy.renewal_moment(s))}: {_when(s)}")
            if version.issuer in config.issuers:
                lines += [f"    {text}" for text in policy.remarks(s, wishes(config.issuers[version.issuer]))]
            if s.window and s.window.explanation_url:
                lines.append(f"    the CA explains: {s.window.explanation_url}")
        passed = failover.in_force(store.passed(certificate.name, key), now)
        lines += [f"    {each.words()}: {each.why}" for each in passed.values() if each.issuer in certificate.issuers]
        if known and (held := _held(known, now)):
            lines.append(f"    {held}")
        if known and known.error:
            lines.append(
                f"    the last order failed: {known.error}"
                + (f"; next try {minute(known.try_again)}" if known.try_again else "")
                + (f"\n    hint: {known.hint}" if known.hint else "")
            )
    bases = [base_name(name) for name in certificate.names]
    away = {
        each.issuer
        for key in certificate.keys
        for each in failover.in_force(store.passed(certificate.name, key), now).values()
    }
    for issuer in certificate.issuers:
        if issuer in away:
            continue  # said above
        told = [t for t in store.told(config.issuers[issuer].directory, now) if concerns(t.subject, bases)]
        lines += [f"  {issuer} limits us until {minute(t.until)}: {t.why}" for t in told]
    lines += [f"  {policy.left_out(version)}" for version in left_out(variants, certificate.keys)]
    lines.append(f"  now: {served_now(store, certificate.name)}")
    wanted = {v.wanted.id: v.wanted.label for v in variants.values() if v.wanted}
    for row in store.deployments(certificate.name):
        if row.version_id in wanted:
            again = f"; next try {minute(row.try_again)}" if row.try_again else ""
            lines.append(
                f"  {row.target} {row.name}: {wanted[row.version_id]} {row.phase.value}, {row.why or ''}{again}"
            )
    for each in known_drifts(store, config, certificate.name):
        since = f", since {minute(each.since)}" if each.since else ""
        lines.append(f"  {each.target} {each.name}: not as wanted{since}: {each.what}")
        lines += [f"    now: {each.now}", f"    hint: {each.hint}"]
    for look in store.seen(certificate.name):
        end = f", until {day(look.ends)}" if look.ends else ""
        version = store.by_fingerprint(look.fingerprint) if look.fingerprint else None
        what = version.label if version else (look.issued_by or look.detail or "")
        lines.append(f"  edge {look.edge} {look.name}: {look.verdict}, {what}{end}, looked at {minute(look.at)}")
    return [*lines, "", *_story(store, certificate=certificate.name)]


def _when(s: policy.Situation) -> str:
    if s.window is not None:
        return f"the CA asks for {minute(s.window.start)} to {minute(s.window.end)}"
    return "the CA gave no window; the backstop is two thirds of its life"


def _story(store: Store, *, certificate: str | None = None, target: str | None = None) -> list[str]:
    rows = store.history(certificate=certificate, target=target, limit=12)
    return [f"  {minute(row.at)}  {sentence(row.kind, row.target, row.name, row.data)}" for row in reversed(rows)]
