"""Who may order now, and where: the orders of a run against what each CA lets us have.

A renewal inside the window that the CA suggests takes nothing at all; one for the same names as before takes nothing of the
account's and the domain's. Of the rest, a tenth is kept back for what cannot wait.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from certbroker.failover import minute
from certbroker.limits import WEEK, Ledger, Level, Published, Taken, concerns
from certbroker.names import base_name
from certbroker.policy import can_wait
from certbroker.steps import Hold, Order


def spread(
    orders: Sequence[Order], ledger_of: Callable[[str, Sequence[Order]], Ledger], now: datetime, every: timedelta
) -> list[Order | Hold]:
    """Each order, at the issuer where it is placed now, or why it waits and until when; in the same sequence.

    One for which its issuer has no room in time (`policy.can_wait`) is asked of the issuer that its certificate names next. Where
    none has, it waits for the one that has room first.

    Args:
        ledger_of: what is known of the limits of an issuer, for these orders to it.
        every: the time between two runs.
    """
    asked = list(orders)
    missed: defaultdict[int, list[Hold]] = defaultdict(list)
    while True:
        answers: dict[int, Order | _Wait] = {}
        for issuer in dict.fromkeys(order.issuer for order in asked):
            mine = [number for number, order in enumerate(asked) if order.issuer == issuer]
            wanted = [asked[number] for number in mine]
            answers |= dict(zip(mine, _ration(wanted, ledger_of(issuer, wanted), now), strict=True))
        waits = {number: answer for number, answer in answers.items() if isinstance(answer, _Wait)}
        moving = {number: wait for number, wait in waits.items() if _moves(asked[number], wait, every)}
        for number, wait in moving.items():
            missed[number].append(_hold(asked[number], wait))
            asked[number] = _stepping_in(asked[number], wait)
        if not moving:
            break
    held = {n: min([*missed[n], _hold(asked[n], wait)], key=_until) for n, wait in waits.items()}
    return [held.get(number) or replace(order, otherwise=None) for number, order in enumerate(asked)]


def _moves(order: Order, wait: _Wait, every: timedelta) -> bool:
    return order.otherwise is not None and not wait.ours and not can_wait(wait.until, order.latest, every)


@dataclass(frozen=True, slots=True)
class _Wait:
    """No room before `until`."""

    until: datetime
    why: str
    ours: bool
    """Proofs failed: another CA would see no more than this one did."""


def _until(hold: Hold) -> datetime:
    assert hold.until is not None
    return hold.until


def _hold(order: Order, wait: _Wait) -> Hold:
    until = wait.until if order.latest is None else min(wait.until, order.latest)
    text = f"{order.why}; waits for the limits of {order.issuer}: {wait.why}"
    return Hold(order.certificate, None, text, until=until, key_type=order.key_type, awaited=order.issuer)


def _stepping_in(order: Order, wait: _Wait) -> Order:
    following = order.otherwise
    assert following is not None
    why = f"{order.issuer} has no room before {minute(wait.until)} ({wait.why}); {following.issuer} steps in"
    return replace(following, instead=why)


def _ration(orders: Sequence[Order], ledger: Ledger, now: datetime) -> list[Order | _Wait]:
    """Each order to one issuer, or why it waits.

    What cannot wait any longer may take the reserve, and is asked for even if we think that nothing is left: the CA has the last
    word. What can wait is spread: each one held waits behind the one before.
    """
    books = _Books(ledger, ledger.published)
    answers: dict[int, Order | _Wait] = {}
    for number in sorted(range(len(orders)), key=lambda n: (orders[n].latest is None, orders[n].latest or now)):
        answers[number] = _one(orders[number], ledger, books, now)
    return [answers[number] for number in range(len(orders))]


def _one(order: Order, ledger: Ledger, books: _Books, now: datetime) -> Order | _Wait:
    if order.begun:
        return order
    urgent = order.latest is not None and order.latest <= now
    bases = [base_name(name) for name in order.names]
    told = [t for t in ledger.told if t.until > now and concerns(t.subject, bases)] if order.exempt != "window" else []
    reasons = [(t.until, f"it said: {t.why}") for t in told]
    dry = []
    ours = False
    for level, what, failures in books.levels(order):
        again = level.again(now, 0 if urgent else level.bucket.reserve)
        if again > now:
            dry.append((level, again))
            ours |= failures
            reasons.append((again, f"{level.bucket.size} {what} in {_period(level.bucket.period)}"))
    if not reasons or urgent:
        books.take(order, now)
        return order
    for level, again in dry:  # whoever waits for the same bucket waits behind this one
        level.take(again)
    return _Wait(*max(reasons), ours=ours)


class _Books:
    """How full every bucket is, kept while orders are handed out."""

    def __init__(self, ledger: Ledger, published: Published | None) -> None:
        self._ledger = ledger
        if published is None:
            return
        self.orders = Level(published.orders)
        self.domains: defaultdict[str, Level] = defaultdict(lambda: Level(published.domain))
        self._names: defaultdict[frozenset[str], Level] = defaultdict(lambda: Level(published.names))
        self._failures: defaultdict[str, Level] = defaultdict(lambda: Level(published.failures))
        for taken in sorted(ledger.taken, key=lambda taken: taken.at):
            self._enter(taken)

    def take(self, order: Order, at: datetime) -> None:
        if self._ledger.published is not None:
            self._enter(Taken(at, frozenset(order.names), order.exempt))

    def _enter(self, taken: Taken) -> None:
        for name in taken.unproven:
            self._failures[base_name(name)].take(taken.at)
        if taken.exempt == "window":
            return
        if taken.exempt is None:
            self.orders.take(taken.at)
        if taken.failed:
            return  # the domain and the set of names count certificates, not orders
        self._names[taken.names].take(taken.at)
        if taken.exempt is None:
            for domain in self._ledger.domains_of(taken.names):
                self.domains[domain].take(taken.at)

    def levels(self, order: Order) -> list[tuple[Level, str, bool]]:
        """The buckets that this order takes from, what each counts, and whether that is failed proofs."""
        if self._ledger.published is None:
            return []
        bases = dict.fromkeys(base_name(name) for name in order.names)
        found = [(self._failures[base], f"failed proofs of {base}", True) for base in bases if base in self._failures]
        if order.exempt == "window":
            return found
        found.append((self._names[frozenset(order.names)], "certificates for the same names", False))
        if order.exempt is None:
            found.append((self.orders, "orders", False))
            domains = self._ledger.domains_of(order.names)
            found += [(self.domains[domain], f"certificates for {domain}", False) for domain in domains]
        return found


def orders_left(ledger: Ledger, now: datetime) -> int | None:
    """How many more orders of the account the CA takes at `now`; None for a CA whose limits we do not know."""
    return None if ledger.published is None else _Books(ledger, ledger.published).orders.free(now)


def cost(orders: Collection[Order], ledger: Ledger, now: datetime) -> str | None:
    """What is taken once `orders` are placed, in words; None for a CA whose limits we do not know.

    `9 of 300 orders in 3 h, 1 of 50 per domain in a week`
    """
    p = ledger.published
    if p is None:
        return None
    books = _Books(ledger, p)
    for order in orders:
        books.take(order, now)
    used = p.orders.size - books.orders.free(now)
    most = {domain: p.domain.size - level.free(now) for domain, level in books.domains.items()}
    domain = max(most, key=lambda each: most[each], default="")
    said = f"{used} of {p.orders.size} orders in {_period(p.orders.period)}"
    said += f", {most.get(domain, 0)} of {p.domain.size} per domain in {_period(p.domain.period)}"
    if domain:
        said += f" ({domain}{', a guess' if domain in ledger.guessed else ''})"
    free = sum(order.exempt == "window" for order in orders)
    return f"{said}; {free} inside the window that it suggested, which count for nothing" if free else said


def _period(period: timedelta) -> str:
    if period == WEEK:
        return "a week"
    hours = period / timedelta(hours=1)
    return f"{hours:g} h" if hours >= 1 else f"{period.total_seconds():g} s"
