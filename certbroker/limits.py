"""What a CA lets us have, and when: the buckets that it publishes, what our orders have taken out of them, and what it told us.

Token buckets (Let's Encrypt, docs/rate-limits): full at first, an order takes one token, and one comes back every
`period / size`. A renewal inside the window that the CA suggests takes none at all; one for the same names as before takes
none of the account's and the domain's. Of the rest, a tenth is kept back for what cannot wait.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from certbroker.names import base_name
from certbroker.pacing import Rate
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

    @property
    def one(self) -> timedelta:
        """How long until one token is back."""
        return self.period / self.size


class Level:
    """How full one bucket is; full at first."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._tokens = float(bucket.size)
        self._at: datetime | None = None

    def take(self, at: datetime) -> None:
        """One token; one after the other, in the order of time. A CA that gave one more than we think had it."""
        self._tokens = max(0.0, self._then(at) - 1)
        self._at = at

    def free(self, now: datetime) -> int:
        """Whole tokens at `now`."""
        return int(self._then(now) + _ALMOST)

    def again(self, now: datetime, keep: int = 0) -> datetime:
        """When one more can be taken and `keep` are left: `now`, or later, and after all that is taken already."""
        start = now if self._at is None else max(now, self._at)
        missing = keep + 1 - self._then(start)
        return start if missing <= _ALMOST else start + missing * self.bucket.one

    def _then(self, now: datetime) -> float:
        if self._at is None:
            return self._tokens
        return min(float(self.bucket.size), self._tokens + max(now - self._at, timedelta()) / self.bucket.one)


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
class Rates:
    """How many requests a CA takes of one address, by what they are for (Let's Encrypt, docs/rate-limits, "overall requests").

    No account has others: whoever is faster is answered 503.
    """

    directory: Rate
    new_nonce: Rate
    new_account: Rate
    new_order: Rate
    revoke: Rate
    renewal_info: Rate
    others: Rate
    """Orders, authorizations, challenges, certificates, accounts."""


LETSENCRYPT_RATES: Final = Rates(
    directory=Rate(40, 40),
    new_nonce=Rate(20, 10),
    new_account=Rate(5, 15),
    new_order=Rate(300, 200),
    revoke=Rate(10, 100),
    renewal_info=Rate(1000, 100),
    others=Rate(250, 125),
)
LETSENCRYPT_STAGING_RATES: Final = replace(LETSENCRYPT_RATES, new_order=Rate(20, 40), others=Rate(20, 20))

RATES_BY_NAME: Final[Mapping[str, Rates]] = {
    "letsencrypt": LETSENCRYPT_RATES,
    "letsencrypt-staging": LETSENCRYPT_STAGING_RATES,
}
"""Under the same names."""


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
    books = _Books(ledger, ledger.published)
    answers: dict[int, Order | Hold] = {}
    for number in sorted(range(len(orders)), key=lambda n: (orders[n].latest is None, orders[n].latest or now)):
        answers[number] = _one(orders[number], ledger, books, now)
    return [answers[number] for number in range(len(orders))]


def _one(order: Order, ledger: Ledger, books: _Books, now: datetime) -> Order | Hold:
    urgent = order.latest is not None and order.latest <= now
    bases = [base_name(name) for name in order.names]
    told = [t for t in ledger.told if t.until > now and concerns(t.subject, bases)] if order.exempt != "window" else []
    reasons = [(t.until, f"it said: {t.why}") for t in told]
    dry = []
    for level, what in books.levels(order):
        again = level.again(now, 0 if urgent else level.bucket.reserve)
        if again > now:
            dry.append((level, again))
            reasons.append((again, f"{level.bucket.size} {what} in {_period(level.bucket.period)}"))
    if not reasons or urgent:
        books.take(order, now)
        return order
    for level, again in dry:  # whoever waits for the same bucket waits behind this one
        level.take(again)
    until, why = max(reasons)
    if order.latest is not None:
        until = min(until, order.latest)
    text = f"{order.why}; waits for the limits of {order.issuer}: {why}"
    return Hold(order.certificate, None, text, until=until, key_type=order.key_type)


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

    def levels(self, order: Order) -> list[tuple[Level, str]]:
        """The buckets that this order takes from, and what each counts."""
        if self._ledger.published is None:
            return []
        bases = dict.fromkeys(base_name(name) for name in order.names)
        found = [(self._failures[base], f"failed proofs of {base}") for base in bases if base in self._failures]
        if order.exempt == "window":
            return found
        found.append((self._names[frozenset(order.names)], "certificates for the same names"))
        if order.exempt is None:
            found.append((self.orders, "orders"))
            found += [
                (self.domains[domain], f"certificates for {domain}") for domain in self._ledger.domains_of(order.names)
            ]
        return found


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
