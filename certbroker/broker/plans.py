"""`plan`: what a run would do, shown instead of carried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from certbroker.broker.desk import Desk, nearest
from certbroker.broker.facts import gather
from certbroker.broker.foresight import foresee
from certbroker.broker.rationing import ration
from certbroker.errors import UsageError
from certbroker.model import Certificate
from certbroker.plan import Plan, Selection, plan


@dataclass(frozen=True, slots=True)
class Plans:
    """One plan a certificate, in the file's order, and what they cost together."""

    plans: tuple[Plan, ...]
    orders: int
    pushes: int
    foreign: int
    """Pushes that wait for `--yes` because they would replace a certificate that is not ours."""
    limits: Mapping[str, str]
    """By issuer, what these orders and those before take of its published limits."""
    exit_code: int
    """4 if something would change, 1 if something stands in the way, else 0."""


def show(
    desk: Desk, names: Sequence[str] = (), *, targets: Sequence[str] = (), offline: bool = False, yes: bool = False
) -> Plans:
    """Plan without touching anything. `offline`: the file against the store, no token and no network."""
    for target in targets:
        if target not in desk.config.targets:
            raise UsageError(f"no target is called {target}", hint=nearest(target, desk.config.targets))
    chosen = [desk.certificate(name) for name in names] or [
        c for c in desk.config.certificates.values() if not targets or any(c.names_on(t) for t in targets)
    ]
    selection = Selection(
        order=not targets,
        targets=frozenset(targets) or None,
        ignore_backoff=bool(names),
        yes=yes,
        store_id=desk.store.id,
    )

    def one(certificate: Certificate) -> Plan:
        made = plan(gather(desk, certificate, {}, look=not offline), selection)
        return made if offline or not made.orders else foresee(desk, made)

    with ThreadPoolExecutor(max_workers=8) as pool:
        planned = list(pool.map(one, chosen))
    unknown = _unknown_profiles(desk)
    planned = [
        replace(p, remarks=(*p.remarks, *(unknown[i] for i in p.certificate.issuers if i in unknown))) for p in planned
    ]
    plans, limits = ration(desk, planned, offline=offline)
    orders = sum(len(p.orders) for p in plans)
    pushes = sum(len(p.pushes) for p in plans)
    holds = [hold for p in plans for hold in p.holds]
    foreign = sum(1 for hold in holds if hold.target and hold.person and not hold.failed and not hold.pinned)
    blocked = any(hold.failed and hold.person for hold in holds)
    changes = bool(orders or pushes or foreign)
    return Plans(tuple(plans), orders, pushes, foreign, limits, 1 if blocked else 4 if changes else 0)


def _unknown_profiles(desk: Desk) -> dict[str, str]:
    """By issuer: that its CA did not offer the file's profile when it was last asked. The order asks it again and stops."""
    found = {}
    for name, settings in desk.config.issuers.items():
        kept = desk.store.directory(settings.directory) if settings.profile else None
        if kept is None:
            continue
        meta = kept[0].get("meta")
        offered = meta.get("profiles") if isinstance(meta, Mapping) else None
        known = sorted(map(str, offered)) if isinstance(offered, Mapping) else []
        if settings.profile not in known:
            place = f" ({desk.config.file}:{settings.line})" if settings.line else ""
            found[name] = (
                f"{name} has no profile {settings.profile}{place}; when last asked it offered {', '.join(known) or 'none'}"
            )
    return found
