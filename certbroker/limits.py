"""What a CA lets us have, and when: the buckets that it publishes, what our orders have taken out of them, and what it told us.

Token buckets (Let's Encrypt, docs/rate-limits): full at first, an order takes one token, and one comes back every
`period / size`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from certbroker.names import base_name
from certbroker.pacing import Rate
from certbroker.steps import Exemption

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
