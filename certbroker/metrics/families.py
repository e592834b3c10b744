"""What is measured. Every number is a gauge of what the store says now, or says of the last day: see README.md for why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from prometheus_client.core import GaugeMetricFamily

from certbroker import __version__
from certbroker.config import Config
from certbroker.headroom import orders_left
from certbroker.limits import Ledger
from certbroker.model import Phase
from certbroker.standing import Kind, Stand, conditions, gather
from certbroker.store import Store

DAY: Final = timedelta(days=1)
RUN: Final = "renew"
"""The command that cron runs: the others are somebody's, and their absence tells nothing."""
SUCCESS: Final = (0, 3)
"""Exit codes of a run in which nothing failed; 3: something waits for a person, which is a condition of its own."""

_RESULTS: Final = {
    Phase.COMMITTED: "served",
    Phase.DELIVERED: "delivered",
    Phase.WAITING: "waiting",
    Phase.FAILED: "failed",
    Phase.RESTORED: "restored",
}
"""Phases in which a push has come to an end, as results."""


def families(store: Store, config: Config, now: datetime) -> Iterator[GaugeMetricFamily]:
    """All of them; one that has nothing to say is there without samples. Raises StoreError."""
    yield _one("certbroker_build_info", "1; the label says which certbroker made this.", 1, version=__version__)
    yield _one("certbroker_generated_timestamp_seconds", "When this was made.", now.timestamp())
    yield _one(
        "certbroker_schedule_interval_seconds", "[schedule] every: how often cron runs renew.", _seconds(config.every)
    )
    yield from _certificates(store, now)
    yield from _targets(store, now)
    yield from _conditions(store, config, now)
    yield from _runs(store)
    yield from _work(store, now)
    yield from _limits(store, config, now)


def _certificates(store: Store, now: datetime) -> Iterator[GaugeMetricFamily]:
    expiry = _family("certificate_expiry_timestamp_seconds", "When the certificate that is wanted ends.", "certificate")
    served = _family(
        "certificate_served_expiry_timestamp_seconds",
        "When the first of what its targets serve ends, as last seen.",
        "certificate",
    )
    safe = _family(
        "certificate_last_safe_moment_timestamp_seconds",
        "When a renewal must have begun so that there is time for it, a CA that is away, and people.",
        "certificate",
    )
    renewal = _family("certificate_renewal_timestamp_seconds", "When a run renews it by itself.", "certificate")
    due = 0
    for each in store.moments():
        due += each.renews is not None and each.renews <= now
        for family, moment in ((expiry, each.ends), (served, each.until), (safe, each.act_by), (renewal, each.renews)):
            if moment is not None:
                family.add_metric((each.certificate,), moment.timestamp())
    yield from (expiry, served, safe, renewal)
    yield _one("certbroker_renewals_due", "Certificates whose moment of renewal is over.", due)
    counts = Counter({row.stand: row.many for row in store.standing_tally() if not row.target})
    stands = _family("certificates", "Certificates by how they stand.", "stand")
    for stand in Stand:
        stands.add_metric((stand.value,), counts[stand])
    yield stands


def _targets(store: Store, now: datetime) -> Iterator[GaugeMetricFamily]:
    agrees = _family(
        "certificate_target_agrees",
        "Whether the target serves what is wanted: proven by a handshake, or by its own word where nobody can look.",
        "certificate",
        "target",
    )
    failures: Counter[str] = Counter()
    for each in store.places():
        over = each.until is not None and each.until <= now
        agrees.add_metric((each.certificate, each.target), each.stand.fine and not over)
        failures[each.target] += each.failures
    yield agrees
    stands = _family("target_certificates", "Certificates at the target by how they stand.", "target", "stand")
    answered = _family("target_edges", "Edges of the target that answered when last looked at.", "target")
    valid = _family("target_edges_valid", "Of them, those that serve something valid.", "target")
    edges: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in store.standing_tally():
        if row.target:
            stands.add_metric((row.target, row.stand.value), row.many)
            edges[row.target][0] += row.edges
            edges[row.target][1] += row.proven
    for target, (all_, proven) in edges.items():
        answered.add_metric((target,), all_)
        valid.add_metric((target,), proven)
    retries = _family(
        "target_push_failures", "Pushes in a row that failed, of all certificates of the target.", "target"
    )
    for target, many in sorted(failures.items()):
        retries.add_metric((target,), many)
    yield from (stands, answered, valid, retries)


def _conditions(store: Store, config: Config, now: datetime) -> Iterator[GaugeMetricFamily]:
    found = Counter((each.severity, each.kind) for each in conditions(gather(store, config, now)) if each.ripe)
    family = _family("conditions", "What needs somebody, each cause counted once.", "severity", "kind")
    for severity in ("page", "tell"):
        for kind in Kind:
            family.add_metric((severity, kind.value), found[severity, kind])
    yield family


def _runs(store: Store) -> Iterator[GaugeMetricFamily]:
    started = _family("last_run_timestamp_seconds", "When the last renew that ended began.")
    took = _family("last_run_duration_seconds", "How long it took.")
    code = _family("last_run_exit_code", "How it ended: 0 well, 1 something failed, 2 refused, 3 somebody must act.")
    success = _family("last_success_timestamp_seconds", "When the last renew in which nothing failed ended.")
    last, good = store.last_ended(RUN), store.last_ended(RUN, SUCCESS)
    if last is not None and last.ended is not None and last.exit_code is not None:
        started.add_metric((), last.started.timestamp())
        took.add_metric((), _seconds(last.ended - last.started))
        code.add_metric((), last.exit_code)
    if good is not None and good.ended is not None:
        success.add_metric((), good.ended.timestamp())
    yield from (started, took, code, success)


def _work(store: Store, now: datetime) -> Iterator[GaugeMetricFamily]:
    orders = _family("day_orders", "Orders that ended within the last 24 hours.", "issuer", "result")
    slowest = _family(
        "day_order_duration_seconds", "From its start to its end, the slowest of those orders.", "issuer", "result"
    )
    for each in store.orders_since(now - DAY):
        labels = (each.issuer, "issued" if each.state == "done" else "failed")
        orders.add_metric(labels, each.many)
        slowest.add_metric(labels, each.slowest)
    pushes = _family(
        "day_pushes",
        "Names at the target whose push came to its last end within the last 24 hours.",
        "target",
        "result",
    )
    push_took = _family(
        "day_push_duration_seconds", "From the start of the push until that, the slowest of them.", "target", "result"
    )
    for (target, phase), (many, seconds) in store.pushes_since(now - DAY).items():
        if phase in _RESULTS:
            pushes.add_metric((target, _RESULTS[phase]), many)
            push_took.add_metric((target, _RESULTS[phase]), seconds)
    yield from (orders, slowest, pushes, push_took)
    probes = _family("probes", "Edges by what the last handshake with each showed.", "target", "verdict")
    probe_took = _family(
        "probe_duration_seconds",
        "From connecting to the end of the last look, the slowest of them.",
        "target",
        "verdict",
    )
    oldest = _family("oldest_probe_timestamp_seconds", "When the edge was looked at that waits the longest.", "target")
    first: dict[str, datetime] = {}
    for look in store.looks():
        probes.add_metric((look.target, look.verdict), look.many)
        probe_took.add_metric((look.target, look.verdict), look.slowest)
        first[look.target] = min(look.oldest, first.get(look.target, look.oldest))
    for target, moment in first.items():
        oldest.add_metric((target,), moment.timestamp())
    yield from (probes, probe_took, oldest)
    due = _family("due", "What is due and not done yet, by what it is.", "kind")
    since = _family("due_since_timestamp_seconds", "Since when the first of it is.", "kind")
    for kind, (many, moment) in store.due_by_kind(now).items():
        due.add_metric((kind,), many)
        since.add_metric((kind,), moment.timestamp())
    yield from (due, since)
    failing = store.order_failures()
    yield _one("certbroker_failing_orders", "Certificates whose last order failed.", len(failing))
    yield _one("certbroker_order_failures", "Orders in a row that failed, of all certificates.", failing.total())


def _limits(store: Store, config: Config, now: datetime) -> Iterator[GaugeMetricFamily]:
    size = _family("rate_limit_orders", "Orders that the CA takes of the account at most, at once.", "issuer")
    left = _family("rate_limit_orders_left", "Of them, those that it would take now.", "issuer")
    until = _family(
        "rate_limited_until_timestamp_seconds", "The CA said: nothing more before then, of something.", "issuer"
    )
    for name, issuer in config.issuers.items():
        told = tuple(store.told(issuer.directory, now))
        if told:
            until.add_metric((name,), max(each.until for each in told).timestamp())
        if issuer.limits is not None:
            ledger = Ledger(name, issuer.limits, tuple(store.taken(issuer.directory, now)), told)
            size.add_metric((name,), issuer.limits.orders.size)
            left.add_metric((name,), orders_left(ledger, now) or 0)
    yield from (size, left, until)


def _family(name: str, what: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"certbroker_{name}", what, labels=labels)


def _one(name: str, what: str, value: float, **labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=tuple(labels))
    family.add_metric(tuple(labels.values()), value)
    return family


def _seconds(span: timedelta) -> float:
    return span.total_seconds()
