"""`plan`: what a run would do, shown instead of carried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from certbroker.broker.desk import Desk, nearest
from certbroker.broker.facts import gather
from certbroker.broker.foresight import foresee
from certbroker.broker.rationing import ration
from certbroker.broker.report import Trouble
from certbroker.broker.taking_in import left_alone, weigh
from certbroker.errors import UsageError
from certbroker.intent import Change
from certbroker.model import Certificate
from certbroker.plan import Plan, Selection, plan
from certbroker.standing.orphans import Orphan, left, orphans


@dataclass(frozen=True, slots=True)
class Plans:
    """One plan a certificate, in the file's order, and what they cost together."""

    plans: tuple[Plan, ...]
    orders: int
    pushes: int
    foreign: int
    """Pushes that replace a certificate that is not ours."""
    limits: Mapping[str, str]
    """By issuer, what these orders and those before take of its published limits."""
    change: Change
    """What the file changes of what is in force."""
    asks: tuple[str, ...]
    """Why the owner is asked for `--yes` once; empty: he is not."""
    orphans: tuple[Orphan, ...]
    """What has left the file, or would, and is still somewhere."""
    troubles: tuple[Trouble, ...]
    """Certificates that are left to another host, and why."""
    exit_code: int
    """4 if something would change, 1 if something stands in the way, else 0."""
    command: str | None
    """What to type to have it done; None if nothing is to do."""


def show(desk: Desk, names: Sequence[str] = (), *, targets: Sequence[str] = (), offline: bool = False) -> Plans:
    """What would be done once the owner agrees. Touches nothing.

    `offline`: the file against the store, with what was observed last: no token, no vault, no network.
    """
    for target in targets:
        if target not in desk.config.targets:
            raise UsageError(f"no target is called {target}", hint=nearest(target, desk.config.targets))
    weighed = weigh(desk)
    change = Change() if names or targets else weighed.change
    chosen = [desk.certificate(name) for name in names] or [
        c for c in desk.config.certificates.values() if not targets or any(c.names_on(t) for t in targets)
    ]
    selection = Selection(
        order=not targets,
        targets=frozenset(targets) or None,
        ignore_backoff=bool(names),
        yes=True,
        store_id=desk.store.id,
    )

    def one(certificate: Certificate) -> Plan:
        made = plan(gather(desk, certificate, {}, look=not offline), selection)
        return made if offline or not made.orders else foresee(desk, made)

    mine = [certificate for certificate in chosen if certificate.name not in weighed.rivals]
    with ThreadPoolExecutor(max_workers=8) as pool:
        planned = list(pool.map(one, mine))
    unknown = _unknown_profiles(desk)
    planned = [
        replace(p, remarks=(*p.remarks, *(unknown[i] for i in p.certificate.issuers if i in unknown))) for p in planned
    ]
    plans, limits = ration(desk, planned, offline=offline)
    orders = sum(len(p.orders) for p in plans)
    pushes = sum(len(p.pushes) for p in plans)
    foreign = sum(1 for p in plans for push in p.pushes if push.foreign)
    holds = [hold for p in plans for hold in p.holds]
    others = tuple(left_alone(desk, c.name, weighed.rivals[c.name]) for c in chosen if c.name in weighed.rivals)
    asks = [f"the file changes {change.asks}"] if change.asks else []
    if foreign:
        asks.append(f"{foreign} {'push replaces' if foreign == 1 else 'pushes replace'} a certificate that is not ours")
    blocked = bool(others) or any(hold.failed and hold.person for hold in holds)
    changes = bool(orders or pushes or change.words)
    code = 1 if blocked else 4 if changes else 0
    gone = left(desk.store) | {("certificate", name): None for name in weighed.before.keys() - weighed.after.keys()}
    gone |= {("target", name): None for name in weighed.places_before.keys() - weighed.targets.keys()}
    staying = (
        () if names or targets else tuple(orphans(desk.store, desk.config, desk.world.clock.now(), gone, planned=True))
    )
    return Plans(
        tuple(plans),
        orders,
        pushes,
        foreign,
        limits,
        change,
        tuple(asks),
        staying,
        others,
        code,
        _command(names, targets, asks) if changes else None,
    )


def _command(names: Sequence[str], targets: Sequence[str], asks: Sequence[str]) -> str:
    words = ["certbroker", "push" if targets else "renew", *names]
    for target in targets:
        words += ["--target", target]
    return " ".join([*words, "--yes"] if asks else words)


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
