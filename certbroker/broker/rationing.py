"""Who may order now: the plans of a run beside the limits of the CAs that they would ask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from certbroker import headroom, limits
from certbroker.broker.desk import Desk
from certbroker.errors import ProviderError
from certbroker.limits import Ledger
from certbroker.model import KeyType
from certbroker.names import base_name
from certbroker.plan import Hold, Order, Plan, rationed

TOGETHER: Final = 8
"""DNS questions at once."""


def ration(desk: Desk, plans: Sequence[Plan], *, offline: bool = False) -> tuple[list[Plan], dict[str, str]]:
    """The plans, where what has to wait for a CA's limits is held, or asked of the next issuer of its list; and by issuer, what
    is taken of its limits, in words.

    `offline`: DNS is not asked which domain a name belongs to.
    """
    now = desk.world.clock.now()
    known: dict[str, Ledger] = {}

    def ledger_of(issuer: str, orders: Sequence[Order]) -> Ledger:
        known[issuer] = _ledger(desk, issuer, orders, offline=offline)
        return known[issuer]

    orders = [order for made in plans for order in made.orders]
    answers = headroom.spread(orders, ledger_of, now, desk.config.every)
    placed: defaultdict[str, list[Order]] = defaultdict(list)
    decided: defaultdict[str, dict[KeyType, Order | Hold]] = defaultdict(dict)
    for order, answer in zip(orders, answers, strict=True):
        decided[order.certificate][order.key_type] = answer
        if isinstance(answer, Order):
            placed[answer.issuer].append(answer)
    costs = {issuer: headroom.cost(placed[issuer], ledger, now) for issuer, ledger in known.items()}
    words = {issuer: said for issuer, said in costs.items() if said is not None}
    return [rationed(made, decided[made.certificate.name]) for made in plans], words


def _ledger(desk: Desk, issuer: str, orders: Sequence[Order], *, offline: bool) -> Ledger:
    settings, now = desk.config.issuers[issuer], desk.world.clock.now()
    told = tuple(desk.store.told(settings.directory, now))
    if settings.limits is None:
        return Ledger(issuer, told=told)
    taken = tuple(desk.store.taken(settings.directory, now))
    asked = {base_name(name) for order in orders if order.exempt is None for name in order.names}
    known = {base_name(name) for each in taken for name in each.names} | asked
    domains = _by_zones(desk.store.zones(), known)
    if not offline:
        domains |= _by_dns(desk, {name for name in asked - domains.keys() if limits.address_of(name) is None})
    unsure = {name for name in known - domains.keys() if limits.address_of(name) is None}
    guessed = frozenset(map(limits.guess, unsure))
    return Ledger(issuer, settings.limits, taken, told, domains, guessed - frozenset(domains.values()))


def _by_zones(zones: Collection[str], names: Collection[str]) -> dict[str, str]:
    """Each name's topmost zone among those that we have written to: the nearest that we can come without a suffix list."""
    found = {}
    for name in names:
        above = [zone for zone in zones if name == zone or name.endswith(f".{zone}")]
        if above:
            found[name] = min(above, key=len)
    return found


def _by_dns(desk: Desk, names: Collection[str]) -> dict[str, str]:
    """Each name's zone, as its SOA says; a name that cannot be asked about is left out."""
    if not names:
        return {}
    lookup = desk.challenges().lookup

    def zone(name: str) -> tuple[str, str] | None:
        try:
            return name, lookup.zone_of(name)
        except ProviderError:
            return None

    with ThreadPoolExecutor(TOGETHER) as pool:
        return dict(pair for pair in pool.map(zone, sorted(names)) if pair is not None)
