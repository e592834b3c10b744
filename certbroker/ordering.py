"""What to order: for each key type of a certificate, whether a rule asks for an order and whether this is the time."""

from __future__ import annotations

from certbroker import policy
from certbroker.facts import Facts, Selection, VariantFacts
from certbroker.model import KeyType
from certbroker.steps import Hold, Order, Step


def orders(facts: Facts, selection: Selection) -> list[Step]:
    """An order for each key type that wants one, or why it has to wait."""
    if not selection.order:
        return []
    c = facts.certificate
    steps: list[Step] = []
    for key_type in c.keys:
        known = facts.variants.get(key_type, VariantFacts())
        why = selection.by_hand or policy.reason_to_order(situation(facts, key_type))
        if why is None and known.open_order:
            why = "an order is under way"
        if why is None:
            continue
        if known.try_again and known.try_again > facts.now and not selection.ignore_backoff:
            text = f"{why}; the last try failed: {known.error or 'see history'}"
            steps.append(Hold(c.name, None, text, until=known.try_again, failed=True))
            continue
        if known.finalized and not known.open_order:
            again = known.finalized + policy.MINIMUM_BETWEEN_ORDERS
            if again > facts.now:
                steps.append(Hold(c.name, None, f"{why}; ordered only a moment ago", until=again))
                continue
        have = known.wanted
        replaces = have if have and have.issuer == c.issuers[0] and not have.revoked_at else None
        steps.append(Order(c.name, key_type, c.issuers[0], c.names, why, replaces))
    return steps


def situation(facts: Facts, key_type: KeyType) -> policy.Situation:
    """What the rules look at."""
    known = facts.variants.get(key_type, VariantFacts())
    c = facts.certificate
    return policy.Situation(facts.now, facts.every, key_type, c.names, c.issuers, known.wanted, known.window)
