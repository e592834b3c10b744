"""What is known, from the store alone: no network, no vault, no secret. `status`, `history` and `explain` read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from certbroker import failover, policy
from certbroker.broker.drifted import known_drifts
from certbroker.broker.facts import left_out, wishes
from certbroker.broker.report import readable, served_now
from certbroker.config import Config
from certbroker.errors import UsageError
from certbroker.events import Attempted
from certbroker.limits import concerns
from certbroker.model import Certificate
from certbroker.names import base_name
from certbroker.plan import Facts, TargetFacts, VariantFacts, situation
from certbroker.standing import PAGE, Condition, Orphan, Standing, day, minute, overview
from certbroker.standing.gathering import put_off
from certbroker.standing.orphans import gone_with_what_stays, left, orphans
from certbroker.standing.renewals import whence
from certbroker.standing.told import told as sentence
from certbroker.store import Store


@dataclass(frozen=True, slots=True)
class Status:
    """The table, those to be seen to first leading, and the truth in one sentence."""

    sentence: str
    conditions: tuple[Condition, ...]
    targets: tuple[str, ...]
    rows: tuple[Standing, ...]
    total: int
    """Certificates in all; `rows` may be only the first of them."""
    remarks: Mapping[str, tuple[str, ...]]
    """By certificate: what is worth saying and needs nobody."""
    orphans: tuple[Orphan, ...]
    looked_at: datetime | None
    exit_code: int


def status(store: Store, config: Config, now: datetime, *, whole: bool = False) -> Status:
    """Everything the file declares, as the store last knew it. `whole`: every row, not only the first page."""
    found = overview(store, config, now, size=max(PAGE, len(config.certificates)) if whole else PAGE)
    states = {each.state for each in found.conditions} | {each.stand.sign for each in found.rows}
    return Status(
        sentence=found.line,
        conditions=found.conditions,
        targets=found.targets,
        rows=found.rows,
        total=found.total,
        remarks={
            row.certificate: told
            for row in found.rows
            if (
                told := (
                    *_remarks(store, config.certificates.get(row.certificate)),
                    *found.held.get(row.certificate, ()),
                )
            )
        },
        orphans=tuple(orphans(store, config, now, left(store))),
        looked_at=found.looked_at,
        exit_code=1 if "fail" in states else 3 if "wait" in states else 0,
    )


def _remarks(store: Store, certificate: Certificate | None) -> tuple[str, ...]:
    if certificate is None:
        return ()
    variants = store.variants(certificate.name)
    found = list(map(policy.left_out, left_out(variants, certificate.keys)))
    for key in certificate.keys:
        known = variants.get(key)
        window = store.window(known.wanted.id) if known and known.wanted else None
        if window and window.explanation_url:
            found.append(f"the CA explains: {window.explanation_url}")
    return tuple(dict.fromkeys(found))


def explain(store: Store, config: Config, name: str, now: datetime) -> list[str]:
    """Why one certificate, target, solver or issuer is as it is, in the planner's words, and what happened to it last."""
    if name in config.certificates:
        return _explain_certificate(store, config, config.certificates[name], now)
    kinds = [
        kind
        for kind, table in (("target", config.targets), ("solver", config.solvers), ("issuer", config.issuers))
        if name in table
    ]
    gone = [each for each in gone_with_what_stays(store, now) if each.name == name]
    if gone and not kinds:
        return _explain_orphans(store, gone, now)
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


def _explain_orphans(store: Store, gone: Sequence[Orphan], now: datetime) -> list[str]:
    lines = []
    for orphan in gone:
        lines.append(orphan.what)
        lines += [
            f"  {each.target} {', '.join(each.names)}: {each.certificate} {each.words(now)}" for each in orphan.stays
        ]
        back = f"put [{orphan.kind}.{orphan.name}] back into the file, or: " if orphan.stays else ""
        lines += [f"  hint: {back}{orphan.hint}", ""]
        certificate = orphan.name if orphan.kind == "certificate" else None
        lines += _story(store, certificate=certificate, target=None if certificate else orphan.name)
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
            lines.append(
                f"    due now: {why}" if why else f"    renews {minute(policy.renewal_moment(s))}: {whence(s.window)}"
            )
            if version.issuer in config.issuers:
                lines += [f"    {text}" for text in policy.remarks(s, wishes(config.issuers[version.issuer]))]
            if s.window and s.window.explanation_url:
                lines.append(f"    the CA explains: {s.window.explanation_url}")
        passed = failover.in_force(store.passed(certificate.name, key), now)
        lines += [f"    {each.words()}: {each.why}" for each in passed.values() if each.issuer in certificate.issuers]
        if known and (held := put_off(known, now)):
            lines.append(f"    {held.words()}")
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
    for last in store.history(certificate=certificate.name, kind=Attempted.kind, limit=1):
        said = sentence(last.kind, None, None, last.data)
        lines.append(f"  last {said}; {minute(last.at)}, run {last.run}, trace {last.data['trace']}")
    standing = store.standing(certificate.name)
    if standing is not None and standing.act_by is not None:
        work = f"our own work took {_span(standing.took)}" if standing.took else "our own work was not measured yet"
        lines.append(
            f"  act by {minute(standing.act_by)}: the last safe moment, with time for people and the CA; {work}"
        )
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


def _span(length: timedelta) -> str:
    """`41 s`, `12 min`, `3 h`."""
    seconds = int(length.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _story(store: Store, *, certificate: str | None = None, target: str | None = None) -> list[str]:
    rows = store.history(certificate=certificate, target=target, limit=12)
    return [f"  {minute(row.at)}  {sentence(row.kind, row.target, row.name, row.data)}" for row in reversed(rows)]
