"""What a CA lets us have, and when: the buckets that it publishes, what our orders have taken out of them, and what it told us.

Token buckets (Let's Encrypt, docs/rate-limits): full at first, an order takes one token, and one comes back every
`period / size`. A renewal inside the window that the CA suggests takes none at all; one for the same names as before takes
none of the account's and the domain's. Of the rest, a tenth is kept back for what cannot wait.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from certbroker.model import base_name
from certbroker.steps import Exemption, Hold, Order

WEEK: Final = timedelta(days=7)
LOOK_BACK: Final = WEEK
"""No bucket remembers longer."""

_ALMOST: Final = 1e-6
"""Of a token: what adding up fractions may lose."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """`size` tokens at most; one comes back every `period / size`."""

    size: int
    period: timedelta

    @property
    def reserve(self) -> int:
        """Kept back for emergencies: a renewal that cannot wait, a re-issue after a revocation."""
        return -(-self.size // 10)

    def free(self, taken: Iterable[datetime], now: datetime) -> int:
        """Whole tokens at `now`."""
        level, _ = self._level([moment for moment in taken if moment <= now], now)
        return int(level + _ALMOST)

    def again(self, taken: Iterable[datetime], now: datetime, keep: int = 0) -> datetime:
        """When one more can be taken and `keep` are left: `now`, or later. What is taken after `now` comes before it."""
        level, at = self._level(taken, now)
        missing = keep + 1 - level
        return at if missing <= _ALMOST else at + missing * (self.period / self.size)

    def _level(self, taken: Iterable[datetime], now: datetime) -> tuple[float, datetime]:
        """The level at `now`, or at the last moment something is taken, if that is later."""
        level = float(self.size)
        at: datetime | None = None
        for moment in sorted(taken):
            level = max(0.0, self._refilled(level, at, moment) - 1)
            at = moment
        then = now if at is None else max(now, at)
        return self._refilled(level, at, then), then

    def _refilled(self, level: float, since: datetime | None, now: datetime) -> float:
        if since is None:
            return level
        return min(float(self.size), level + (now - since) / (self.period / self.size))


@dataclass(frozen=True, slots=True)
class Published:
    """The buckets of a CA: new orders of an account, certificates of a registered domain, of one exact set of names, and
    failed proofs of one name."""

    orders: Bucket
    domain: Bucket
    names: Bucket
    failures: Bucket


LETSENCRYPT: Final = Published(
    orders=Bucket(300, timedelta(hours=3)),
    domain=Bucket(50, WEEK),
    names=Bucket(5, WEEK),
    failures=Bucket(5, timedelta(hours=1)),
)
LETSENCRYPT_STAGING: Final = Published(
    orders=Bucket(1500, timedelta(hours=3)),
    domain=Bucket(30000, timedelta(seconds=1)),
    names=Bucket(30000, WEEK),
    failures=Bucket(200, timedelta(hours=1)),
)

BY_NAME: Final[Mapping[str, Published]] = {"letsencrypt": LETSENCRYPT, "letsencrypt-staging": LETSENCRYPT_STAGING}
"""What `limits` in an issuer's table may say, besides "none"."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One order of ours that the CA has. `failed`: no certificate came of it; `unproven`: names whose proof failed."""

    at: datetime
    names: frozenset[str]
    exempt: Exemption | None = None
    failed: bool = False
    unproven: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What the CA said at `at`: nothing more before `until`, for this domain, or for the account (`subject` is empty)."""

    subject: str
    at: datetime
    until: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that is known of one issuer's limits. `domains`: base name to its registered domain, as far as we can tell."""

    issuer: str
    published: Published | None = None
    taken: tuple[Taken, ...] = ()
    told: tuple[Told, ...] = ()
    domains: Mapping[str, str] = field(default_factory=dict)
    guessed: frozenset[str] = frozenset()
    """Domains of which nobody told us: the last two labels."""

    def domains_of(self, names: Iterable[str]) -> list[str]:
        """The registered domains of these names, each once."""
        bases = [base_name(name) for name in names]
        return list(dict.fromkeys(self.domains.get(base) or guess(base) for base in bases))


def concerns(subject: str, names: Iterable[str]) -> bool:
    """Whether a limit on `subject` (a domain, or "" for the account) is met by an order for these base names."""
    return not subject or any(name == subject or name.endswith(f".{subject}") for name in names)


def guess(name: str) -> str:
    """The registered domain where nobody tells: the last two labels. Wrong under suffixes such as co.uk, and said so.

    An IPv4 address is counted by itself, an IPv6 address by its /64.
    """
    if (address := address_of(name)) is not None:
        return str(address) if address.version == 4 else str(IPv6Network((address, 64), strict=False))
    return ".".join(name.split(".")[-2:])


def address_of(name: str) -> IPv4Address | IPv6Address | None:
    """The IP address that `name` is, if it is one."""
    try:
        return ip_address(name)
    except ValueError:
        return None


def ration(orders: Sequence[Order], ledger: Ledger, now: datetime) -> list[Order | Hold]:
    """Each order, or why it waits and until when; in the same sequence.

    What cannot wait any longer may take the reserve, and is asked for even if we think that nothing is left: the CA has the last
    word. What can wait is spread: each one held waits behind the one before.
    """
    books = _Books(ledger)
    answers: dict[int, Order | Hold] = {}
    for number in sorted(range(len(orders)), key=lambda n: (orders[n].latest is None, orders[n].latest or now)):
        answers[number] = _one(orders[number], ledger, books, now)
    return [answers[number] for number in range(len(orders))]


def _one(order: Order, ledger: Ledger, books: _Books, now: datetime) -> Order | Hold:
    urgent = order.latest is not None and order.latest <= now
    bases = [base_name(name) for name in order.names]
    told = [t for t in ledger.told if t.until > now and concerns(t.subject, bases)] if order.exempt != "window" else []
    reasons = [(t.until, f"it said: {t.why}") for t in told]
    for bucket, what, taken in books.buckets(order):
        again = bucket.again(taken, now, 0 if urgent else bucket.reserve)
        if again > now:
            reasons.append((again, f"{bucket.size} {what} in {_period(bucket.period)}"))
    if not reasons or urgent:
        books.take(order, now)
        return order
    until, why = max(reasons)
    if order.latest is not None:
        until = min(until, order.latest)
    books.take(order, until)
    text = f"{order.why}; waits for the limits of {order.issuer}: {why}"
    return Hold(order.certificate, None, text, until=until, key_type=order.key_type)


class _Books:
    """Who has taken what, kept while orders are handed out."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._orders: list[datetime] = []
        self._domains: defaultdict[str, list[datetime]] = defaultdict(list)
        self._names: defaultdict[frozenset[str], list[datetime]] = defaultdict(list)
        self._failures: defaultdict[str, list[datetime]] = defaultdict(list)
        for taken in ledger.taken:
            self._enter(taken)

    def _enter(self, taken: Taken) -> None:
        for name in taken.unproven:
            self._failures[base_name(name)].append(taken.at)
        if taken.exempt == "window":
            return
        if taken.exempt is None:
            self._orders.append(taken.at)
        if taken.failed:
            return  # the domain and the set of names count certificates, not orders
        self._names[taken.names].append(taken.at)
        if taken.exempt is None:
            for domain in self._ledger.domains_of(taken.names):
                self._domains[domain].append(taken.at)

    def take(self, order: Order, at: datetime) -> None:
        self._enter(Taken(at, frozenset(order.names), order.exempt))

    def buckets(self, order: Order) -> list[tuple[Bucket, str, Sequence[datetime]]]:
        """Those that this order takes from: the bucket, what it counts, and what was taken."""
        published = self._ledger.published
        if published is None:
            return []
        bases = dict.fromkeys(base_name(name) for name in order.names)
        found: list[tuple[Bucket, str, Sequence[datetime]]] = [
            (published.failures, f"failed proofs of {base}", taken) for base in bases if (taken := self._failures[base])
        ]
        if order.exempt == "window":
            return found
        found.append((published.names, "certificates for the same names", self._names[frozenset(order.names)]))
        if order.exempt is None:
            found.append((published.orders, "orders", self._orders))
            found += [
                (published.domain, f"certificates for {domain}", self._domains[domain])
                for domain in self._ledger.domains_of(order.names)
            ]
        return found

    def used(self, now: datetime) -> tuple[int, str, int]:
        """Tokens taken: of the account's orders, and of the domain that has the fewest left."""
        published = self._ledger.published
        assert published is not None
        orders = published.orders.size - published.orders.free(self._orders, now)
        domains = Counter(
            {
                domain: published.domain.size - published.domain.free(taken, now)
                for domain, taken in self._domains.items()
            }
        )
        domain, most = max(domains.items(), key=lambda item: item[1], default=("", 0))
        return orders, domain, most


def cost(orders: Collection[Order], ledger: Ledger, now: datetime) -> str | None:
    """What is taken once `orders` are placed, in words; None for a CA whose limits we do not know.

    `9 of 300 orders in 3 h, 1 of 50 per domain in a week`
    """
    if ledger.published is None:
        return None
    books = _Books(ledger)
    for order in orders:
        books.take(order, now)
    used, domain, most = books.used(now)
    p = ledger.published
    said = f"{used} of {p.orders.size} orders in {_period(p.orders.period)}"
    said += f", {most} of {p.domain.size} per domain in {_period(p.domain.period)}"
    if domain:
        said += f" ({domain}{', a guess' if domain in ledger.guessed else ''})"
    free = sum(order.exempt == "window" for order in orders)
    return f"{said}; {free} inside the window that it suggested, which count for nothing" if free else said


def _period(period: timedelta) -> str:
    if period == WEEK:
        return "a week"
    hours = period / timedelta(hours=1)
    return f"{hours:g} h" if hours >= 1 else f"{period.total_seconds():g} s"
