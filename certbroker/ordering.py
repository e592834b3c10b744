"""What to order: for each key type of a certificate, whether a rule asks for an order, whether this is the time, and of whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from certbroker import failover, policy
from certbroker.facts import Facts, Selection, VariantFacts
from certbroker.failover import PassedOver
from certbroker.model import KeyPolicy, KeyType, Version
from certbroker.steps import Exemption, Hold, Order, Step


def orders(facts: Facts, selection: Selection) -> list[Step]:
    """An order for each key type that wants one, or why it has to wait."""
    if not selection.order:
        return []
    found = [_order(facts, selection, key_type) for key_type in facts.certificate.keys]
    return [step for step in found if step is not None]


def _order(facts: Facts, selection: Selection, key_type: KeyType) -> Step | None:
    c = facts.certificate
    known = facts.variants.get(key_type, VariantFacts())
    why = selection.by_hand or policy.reason_to_order(situation(facts, key_type))
    if why is None and known.open_orders:
        why = "an order is under way"
    if why is None:
        return None
    loop = None if selection.by_hand else policy.in_a_loop(situation(facts, key_type))
    if loop is not None:
        text = f"{why}; it said so of the one before, which was new too: it is not believed at once again"
        return Hold(c.name, None, text, until=loop, key_type=key_type)
    if known.try_again and known.try_again > facts.now and not selection.ignore_backoff:
        text = f"{why}; the last try failed: {known.error or 'see history'}"
        return Hold(c.name, None, text, until=known.try_again, failed=True, key_type=key_type)
    away = passed_over(facts, selection, key_type)
    begun = [order.issuer for order in known.open_orders if order.placed]
    turn = failover.in_turn(c.issuers, away, begun)
    if not turn:
        text = f"{why}; no issuer is left: {'; '.join(each.words() for each in away.values())}"
        until = min(each.until for each in away.values())
        return Hold(c.name, None, text, until=until, failed=known.error is not None, key_type=key_type)
    first = turn[0]
    if known.finalized and not any(order.signing and order.issuer == first for order in known.open_orders):
        again = known.finalized + policy.MINIMUM_BETWEEN_ORDERS
        if again > facts.now:
            return Hold(c.name, None, f"{why}; ordered only a moment ago", until=again, key_type=key_type)
    latest = facts.now if selection.by_hand else policy.last_safe_moment(situation(facts, key_type))
    free = failover.worth_waiting_for(c.issuers, away, first, latest, facts.every) if first not in begun else None
    if free is not None:
        text = f"{why}; waits for the limits of {free.issuer}: {free.why}"
        return Hold(c.name, None, text, until=free.until, key_type=key_type, awaited=free.issuer)
    found: Order | None = None
    for issuer in reversed(turn):
        found = replace(
            _order_at(facts, issuer, key_type, why),
            instead=failover.stepped_in(c.issuers, away, issuer),
            latest=latest,
            begun=issuer in begun,
            otherwise=found,
        )
    return found


def _order_at(facts: Facts, issuer: str, key_type: KeyType, why: str) -> Order:
    c = facts.certificate
    known = facts.variants.get(key_type, VariantFacts())
    have = known.wanted
    key_of, key_why = _key(known, c.key_policy)
    return Order(
        c.name,
        key_type,
        issuer,
        c.names,
        why,
        replaces=have if have and have.issuer == issuer and not have.revoked_at else None,
        key_of=key_of,
        key_why=key_why,
        exempt=_exempt(known, issuer, c.names, facts.now),
    )


def _key(known: VariantFacts, wish: KeyPolicy) -> tuple[Version | None, str | None]:
    """The version whose private key the new one keeps (None: a new key), and why; silent where each gets a new one anyway.

    The key of a revoked certificate is never kept: nobody knows who else has it.
    """
    have = known.wanted
    if have is None or wish.versions == 1:
        return None, None
    if have.revoked_at or known.key_revoked:
        return None, f"a new key: the one of {have.label} was revoked"
    if wish.versions is None:
        return have, f"keeps the key of {have.label}"
    if have.key_use < wish.versions:
        return have, f"keeps the key of {have.label} (version {have.key_use + 1} of {wish.versions} with it)"
    return None, f"a new key: {have.key_use} versions have had that of {have.label}"


def _exempt(known: VariantFacts, issuer: str, names: tuple[str, ...], now: datetime) -> Exemption | None:
    """What the CA's limits do not count (Let's Encrypt, docs/rate-limits; boulder asks `start <= now < end`)."""
    have, window = known.wanted, known.window
    if have is None or have.issuer != issuer:
        return None
    inside = window is not None and window.version_id == have.id and window.start <= now < window.end
    if inside and not have.revoked_at and set(have.names) & set(names):
        return "window"
    return "names" if set(have.names) == set(names) else None


def passed_over(facts: Facts, selection: Selection, key_type: KeyType) -> Mapping[str, PassedOver]:
    """By issuer of the certificate's list: who is not asked now. A person who asks begins with the first again,
    but not where the CA said that nothing is to be had for the account."""
    known = facts.variants.get(key_type, VariantFacts())
    names = facts.certificate.names
    limited = [each for each in facts.limited if _exempt(known, each.issuer, names, facts.now) != "window"]
    passed = [
        each for each in known.passed if not selection.ignore_backoff or (key_type, each.issuer) in selection.tried
    ]
    away = failover.in_force([*limited, *passed], facts.now)
    return {issuer: away[issuer] for issuer in facts.certificate.issuers if issuer in away}


def situation(facts: Facts, key_type: KeyType) -> policy.Situation:
    """What the rules look at."""
    known = facts.variants.get(key_type, VariantFacts())
    c = facts.certificate
    return policy.Situation(
        facts.now, facts.every, key_type, c.names, c.issuers, known.wanted, known.window, known.before
    )
