"""What the CA knows: accounts, authorizations, orders, certificates; and how each shows itself as JSON (RFC 8555 7.1)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from josepy.json_util import encode_b64jose
from josepy.jwk import JWK

from certbroker import keys
from certbroker.names import base_name, is_address
from certbroker.sandbox.ca.authority import Authority, Profile, authority_key_id, to_pem
from certbroker.sandbox.ca.badday import BadDays
from certbroker.sandbox.ca.problem import Problem
from certbroker.world import Clock

PROOFS: Final[tuple[str, ...]] = ("dns-01", "dns-account-01", "dns-persist-01", "http-01", "tls-alpn-01")
"""What is offered for a name; for a wildcard only those that prove a whole domain."""
PROOFS_OF_ADDRESSES: Final[tuple[str, ...]] = ("http-01", "tls-alpn-01")
"""RFC 8738 sections 4 to 7."""
PROOFS_OF_WILDCARDS: Final[tuple[str, ...]] = ("dns-01", "dns-account-01", "dns-persist-01")
CAA_IDENTITY: Final = "sandbox.certbroker.test"


def _kind(name: str) -> str:
    return "ip" if is_address(name) else "dns"


def moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Account:
    id: str
    key: JWK
    status: str = "valid"
    eab_kid: str | None = None

    @property
    def path(self) -> str:
        return f"/acct/{self.id}"


@dataclass
class Challenge:
    id: str
    type: str
    token: str
    status: str = "pending"
    validated: datetime | None = None
    error: Problem | None = None
    due: float | None = None
    """The monotonic moment of its outcome, once it was answered."""
    account_uri: str = ""
    """As the client who answered it knows its account: dns-account-01 is bound to that text."""


@dataclass
class Authorization:
    id: str
    account: Account
    name: str
    """The base name; a wildcard's star is `wildcard`."""
    wildcard: bool
    expires: datetime
    challenges: list[Challenge]
    status: str = "pending"

    @property
    def path(self) -> str:
        return f"/authz/{self.id}"


@dataclass
class Order:
    id: str
    account: Account
    names: tuple[str, ...]
    profile: Profile
    expires: datetime
    authorizations: list[Authorization]
    replaces: str | None = None
    status: str = "pending"
    error: Problem | None = None
    key: Any = None
    """The public key of the CSR, from finalize on."""
    due: float | None = None
    """The monotonic moment at which `processing` ends."""
    certificate: Issued | None = None

    @property
    def path(self) -> str:
        return f"/order/{self.id}"


@dataclass
class Issued:
    """One certificate. `chains`: PEM, the default first."""

    leaf: x509.Certificate
    chains: tuple[str, ...]
    names: tuple[str, ...]
    profile: Profile
    account: Account
    order: Order
    revoked_at: datetime | None = None
    reason: int | None = None
    window: tuple[datetime, datetime] | None = None
    """Set by a test; else it follows from the lifetime."""
    explanation: str | None = None
    renewal_info: bytes | None = None
    """Answered as it is when asked for renewal information, however wrong."""

    @property
    def serial(self) -> int:
        return self.leaf.serial_number

    @property
    def fingerprint(self) -> str:
        return keys.fingerprint(self.leaf)

    @property
    def path(self) -> str:
        return f"/cert/{self.serial:x}"

    @property
    def cert_id(self) -> str:
        """RFC 9773 4.1: base64url(key id of the authority) "." base64url(the serial's DER content)."""
        serial = self.serial.to_bytes(self.serial.bit_length() // 8 + 1, "big")
        return f"{encode_b64jose(authority_key_id(self.leaf))}.{encode_b64jose(serial)}"


@dataclass
class Books:
    """Everything at once. Times that people see come from `clock.now()`, waits from `clock.monotonic()`."""

    clock: Clock
    rng: random.Random
    authority: Authority
    bad: BadDays
    profiles: dict[str, Profile]
    lookup_txt: Callable[[str], list[str]]
    fetch: Callable[[str, str], bytes] | None = None
    caa: Callable[[str, bool], str | None] | None = None
    caa_identity: str = CAA_IDENTITY
    order_life: timedelta = timedelta(days=7)
    authorization_life: timedelta = timedelta(days=30)
    accounts: list[Account] = field(default_factory=list)
    authorizations: list[Authorization] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    issued: list[Issued] = field(default_factory=list)
    blocked_keys: set[bytes] = field(default_factory=set)
    """Thumbprints of keys reported as compromised: never signed again."""
    eab_keys: dict[str, str] = field(default_factory=dict)
    """External account binding: kid to the base64url HMAC key."""
    eab_required: bool = False
    new_orders: int = 0
    finalizations: int = 0

    @property
    def persist_identities(self) -> tuple[str, ...]:
        said = self.bad.persist_identities
        return (self.caa_identity,) if said is None else said

    def id(self) -> str:
        return str(self.rng.randrange(10**9, 10**10))

    def authorize(self, account: Account, name: str) -> Authorization:
        """A fresh authorization for one identifier."""
        wildcard = name.startswith("*.")
        types = PROOFS_OF_WILDCARDS if wildcard else PROOFS_OF_ADDRESSES if is_address(name) else PROOFS
        if self.bad.offered is not None:
            types = tuple(kind for kind in types if kind in self.bad.offered)
        offers = [Challenge(self.id(), kind, encode_b64jose(self.rng.randbytes(32))) for kind in types]
        expires = self.clock.now() + self.order_life
        found = Authorization(self.id(), account, base_name(name), wildcard, expires, offers)
        self.authorizations.append(found)
        return found

    def issue(self, order: Order) -> None:
        """Sign, and finish the order."""
        leaf = self.authority.issue(order.key, order.names, order.profile)
        chains = tuple(to_pem(chain) for chain in self.authority.chains(leaf))
        order.certificate = Issued(leaf, chains, order.names, order.profile, order.account, order)
        order.status = "valid"
        self.issued.append(order.certificate)

    # as JSON

    def show_account(self, account: Account) -> dict[str, Any]:
        return {"status": self.bad.shown_status.get("account", account.status)}

    def show_challenge(self, challenge: Challenge, authorization: Authorization, base: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": challenge.type,
            "url": f"{base}/chall/{challenge.id}",
            "status": self.bad.shown_status.get("challenge", challenge.status),
        }
        if challenge.type == "dns-persist-01":
            found |= {
                "issuer-domain-names": list(self.persist_identities),
                "accounturi": base + authorization.account.path,
            }
        else:
            found["token"] = challenge.token
        if challenge.validated:
            found["validated"] = moment(challenge.validated)
        if challenge.error:
            found["error"] = challenge.error.document()
        return found

    def show_authorization(self, authorization: Authorization, base: str) -> dict[str, Any]:
        shown = [c for c in authorization.challenges if authorization.status != "valid" or c.status == "valid"]
        found: dict[str, Any] = {
            "identifier": {"type": self.bad.identifier_type or _kind(authorization.name), "value": authorization.name},
            "status": self.bad.shown_status.get("authorization", authorization.status),
            "expires": moment(authorization.expires),
            "challenges": [self.show_challenge(challenge, authorization, base) for challenge in shown],
        }
        if authorization.wildcard:
            found["wildcard"] = True
        return found

    def show_order(self, order: Order, base: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "status": self.bad.shown_status.get("order", order.status),
            "expires": moment(order.expires),
            "identifiers": [{"type": _kind(name), "value": name} for name in order.names],
            "authorizations": [base + authorization.path for authorization in order.authorizations],
            "finalize": f"{base}{order.path}/finalize",
            "profile": order.profile.name,
        }
        if order.replaces:
            found["replaces"] = order.replaces
        if order.error:
            found["error"] = order.error.document()
        if order.certificate:
            found["certificate"] = base + order.certificate.path
        return found


@dataclass(frozen=True, slots=True)
class Call:
    """One verified request. `payload` is b"" for POST-as-GET; `base` is what all URLs of the CA begin with."""

    path: str
    base: str
    payload: bytes
    json: Mapping[str, Any]
    account: Account | None
    jwk: JWK | None

    @property
    def url(self) -> str:
        return self.base + self.path

    @property
    def owner(self) -> Account:
        """Whose request it is: the router lets no unsigned one through to where this is asked."""
        assert self.account is not None
        return self.account
