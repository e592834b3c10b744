"""What is on each page, as values: the same for HTML, JSON and the export. Read from the store and the file alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from certbroker.dashboard.chart import Bar, Chart, chart
from certbroker.dashboard.source import Source
from certbroker.model import Certificate
from certbroker.standing import PAGE, Cell, Condition, Overview, Stand, Standing, as_of, conditions, gather, overview
from certbroker.standing.renewals import Renewal, renewals
from certbroker.standing.told import told
from certbroker.store import FindingRow, HistoryRow, RunRow, SeenRow, Store

MOST: Final = 100
"""Rows of one page of runs or of history."""

SPAN: Final = timedelta(days=90)
"""How far the timeline reaches, back and ahead."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of history, as a sentence."""

    id: int
    at: datetime
    run: str | None
    kind: str
    certificate: str | None
    target: str | None
    name: str | None
    what: str


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A version that is kept. No key, no chain: only what anybody sees in a handshake."""

    label: str
    key_type: str
    issuer: str
    issued_by: str
    fingerprint: str
    starts: datetime
    ends: datetime
    wanted: bool
    rehearsal: bool
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class RenewalLine:
    """When and why a key type renews, in the planner's words."""

    key_type: str
    label: str
    due: str
    at: datetime | None
    why: str
    explanation_url: str | None
    held: str
    """That it is due and put off."""


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Everything, those to be seen to first leading."""

    overview: Overview
    needle: str
    size: int = PAGE


@dataclass(frozen=True, slots=True)
class CertificatePage:
    """All of one certificate. `standing` is None while no run has taken the file in."""

    certificate: str
    names: tuple[str, ...]
    issuers: tuple[str, ...]
    challenge: str
    now: datetime
    standing: Standing | None
    conditions: tuple[Condition, ...]
    renewals: tuple[RenewalLine, ...]
    versions: tuple[VersionLine, ...]
    edges: tuple[SeenRow, ...]
    history: tuple[Happened, ...]
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetPage:
    """All of one target; `cells` is one page of `total`."""

    target: str
    type: str
    standby: bool
    now: datetime
    counts: Mapping[Stand, int]
    edges: int
    proven: int
    cells: tuple[Cell, ...]
    total: int
    offset: int
    findings: tuple[FindingRow, ...]
    history: tuple[Happened, ...]
    commands: tuple[str, ...]
    size: int = PAGE


@dataclass(frozen=True, slots=True)
class RunsPage:
    """The newest runs."""

    runs: tuple[RunRow, ...]


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """What happened, newest first. `older`: the `before` of the next page, None on the last."""

    history: tuple[Happened, ...]
    certificate: str
    target: str
    kind: str
    older: int | None


@dataclass(frozen=True, slots=True)
class Ready:
    """A standby target: would users be served well there?"""

    target: str
    type: str
    counts: Mapping[Stand, int]
    edges: int
    proven: int
    ready: bool
    troubled: tuple[Cell, ...]
    looked_at: datetime | None
    """The longest ago of the last looks at its edges."""


@dataclass(frozen=True, slots=True)
class ReadinessPage:
    """The standby targets, as last looked at."""

    targets: tuple[Ready, ...]


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """Lifetimes, renewal windows and planned work of a page of certificates."""

    chart: Chart
    now: datetime
    total: int
    offset: int
    size: int = PAGE


def overview_page(source: Source, *, offset: int = 0, needle: str = "") -> OverviewPage:
    """Raises StoreError."""
    return OverviewPage(overview(source.store, source.config, source.now(), offset=offset, needle=needle), needle)


def certificate_page(source: Source, name: str) -> CertificatePage | None:
    """None if the file declares no such certificate."""
    store, config, now = source.store, source.config, source.now()
    certificate = config.certificates.get(name)
    if certificate is None:
        return None
    standing = store.standing(name)
    planned = tuple(renewals(store, config, certificate, now))
    wanted = {each.version.id for each in planned if each.version}
    return CertificatePage(
        certificate=name,
        names=certificate.names,
        issuers=certificate.issuers,
        challenge=certificate.challenge.value,
        now=now,
        standing=as_of(standing, now) if standing else None,
        conditions=tuple(c for c in conditions(gather(store, config, now)) if name in c.certificates),
        renewals=tuple(map(_renewal, planned)),
        versions=tuple(
            VersionLine(
                label=each.label,
                key_type=each.key_type.value,
                issuer=each.issuer,
                issued_by=each.issued_by,
                fingerprint=each.fingerprint,
                starts=each.lifetime.starts,
                ends=each.lifetime.ends,
                wanted=each.id in wanted,
                rehearsal=each.rehearsal,
                revoked_at=each.revoked_at,
            )
            for each in store.versions(name)
        ),
        edges=tuple(store.seen(name)),
        history=_happened(store.history(certificate=name, limit=30)),
        commands=_commands(certificate, standing),
    )


def target_page(source: Source, name: str, *, offset: int = 0) -> TargetPage | None:
    """None if the file declares no such target."""
    store, config, now = source.store, source.config, source.now()
    target = config.targets.get(name)
    if target is None:
        return None
    counts, edges, proven = _counted(store, name)
    commands = (f"certbroker check {name}", f"certbroker push --target {name}", f"certbroker explain {name}")
    return TargetPage(
        target=name,
        type=target.type,
        standby=target.standby,
        now=now,
        counts=counts,
        edges=edges,
        proven=proven,
        cells=tuple(store.cells_of(name, offset=offset, limit=PAGE)),
        total=sum(counts.values()),
        offset=offset,
        findings=tuple(f for f in store.findings() if f.kind == "target" and f.name == name),
        history=_happened(store.history(target=name, limit=30)),
        commands=(f"certbroker ready {name}", *commands) if target.standby else commands,
    )


def runs_page(source: Source) -> RunsPage:
    return RunsPage(tuple(source.store.runs(MOST)))


def history_page(
    source: Source, *, certificate: str = "", target: str = "", kind: str = "", before: int | None = None
) -> HistoryPage:
    """What is given narrows it."""
    rows = source.store.history(
        certificate=certificate or None, target=target or None, kind=kind or None, before=before, limit=MOST + 1
    )
    shown = rows[:MOST]
    return HistoryPage(
        _happened(shown), certificate, target, kind, older=shown[-1].id if len(rows) > MOST and shown else None
    )


def readiness_page(source: Source) -> ReadinessPage:
    """From the last look; `certbroker ready` looks now."""
    found, looks = [], source.store.looks()
    for name, target in source.config.targets.items():
        if not target.standby:
            continue
        looked = min((look.oldest for look in looks if look.target == name), default=None)
        counts, edges, proven = _counted(source.store, name)
        troubled = tuple(c for c in source.store.cells_of(name, limit=PAGE) if c.stand is not Stand.SERVED)
        served = bool(counts) and all(stand is Stand.SERVED for stand, many in counts.items() if many)
        found.append(Ready(name, target.type, counts, edges, proven, served and edges == proven > 0, troubled, looked))
    return ReadinessPage(tuple(found))


def timeline_page(source: Source, *, offset: int = 0) -> TimelinePage:
    """Of the same page of certificates as the overview."""
    store, config, now = source.store, source.config, source.now()
    rows = store.standings(now, offset=offset, limit=PAGE)
    bars = [
        bar
        for standing in rows
        if standing.certificate in config.certificates
        for bar in _bars(store, source, config.certificates[standing.certificate], standing, now)
    ]
    total = sum(row.many for row in store.standing_tally() if not row.target)
    return TimelinePage(chart([row.certificate for row in rows], bars, now, SPAN), now, total, offset)


def _bars(store: Store, source: Source, certificate: Certificate, standing: Standing, now: datetime) -> list[Bar]:
    planned = list(renewals(store, source.config, certificate, now))
    wanted = {each.version.id for each in planned if each.version}
    bars = [
        Bar(
            certificate.name,
            "wanted" if version.id in wanted else "past",
            version.lifetime.starts,
            version.lifetime.ends,
            version.label,
        )
        for version in store.versions(certificate.name)
        if not version.rehearsal
    ]
    for each in planned:
        if each.start and each.end:
            bars.append(Bar(certificate.name, "window", each.start, each.end, "the CA's window"))
        if each.at is not None:
            bars.append(Bar(certificate.name, "renewal", max(each.at, now), max(each.at, now), "renewal"))
    if standing.act_by is not None:
        bars.append(Bar(certificate.name, "safe", standing.act_by, standing.act_by, "last safe moment"))
    return bars


def _renewal(each: Renewal) -> RenewalLine:
    label = each.version.label if each.version else ""
    return RenewalLine(each.key_type.value, label, each.due, each.at, each.why, each.explanation_url, each.held)


def _happened(rows: list[HistoryRow]) -> tuple[Happened, ...]:
    return tuple(
        Happened(
            row.id,
            row.at,
            row.run,
            row.kind,
            row.certificate,
            row.target,
            row.name,
            told(row.kind, row.target, row.name, row.data),
        )
        for row in rows
    )


def _counted(store: Store, target: str) -> tuple[dict[Stand, int], int, int]:
    rows = [row for row in store.standing_tally() if row.target == target]
    return {row.stand: row.many for row in rows}, sum(row.edges for row in rows), sum(row.proven for row in rows)


def _commands(certificate: Certificate, standing: Standing | None) -> tuple[str, ...]:
    name = certificate.name
    if standing is None or standing.stand is Stand.UNISSUED:
        return (f"certbroker check {name}", f"certbroker issue {name} --staging", "certbroker plan", "certbroker renew")
    always = (f"certbroker explain {name}", f"certbroker probe {name}", f"certbroker plan {name}")
    return always if standing.stand.fine else (f"certbroker renew {name}", f"certbroker drift {name}", *always)
