"""The values certbroker thinks in. Frozen, checked when made, stdlib only; they know no clock and do no I/O.

All times are aware UTC datetimes. Fingerprints are the SHA-256 of the leaf's DER, 64 lower-case hex digits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from certbroker.errors import ProviderError
from certbroker.secret import Secret

LABEL = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
"""What a certificate, target, issuer or solver may be called in the file; safe as a file name and in an object's name."""


class KeyType(StrEnum):
    """The kind of key pair of a certificate."""

    P256 = "ecdsa-p256"
    P384 = "ecdsa-p384"
    RSA2048 = "rsa-2048"
    RSA3072 = "rsa-3072"
    RSA4096 = "rsa-4096"


class Method(StrEnum):
    """How control of a name is proven: the words of the CA's challenges and of CAA's `validationmethods` (RFC 8657)."""

    DNS_01 = "dns-01"
    DNS_ACCOUNT_01 = "dns-account-01"
    DNS_PERSIST_01 = "dns-persist-01"
    HTTP_01 = "http-01"

    @property
    def proves_addresses(self) -> bool:
        """What answers at an IP address proves it; no DNS record does (RFC 8738 section 7)."""
        return not self.value.startswith("dns-")


class RevocationReason(StrEnum):
    """Why a certificate is revoked: what a subscriber may say (Let's Encrypt, docs/revoking)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    SUPERSEDED = "superseded"
    CESSATION = "cessationOfOperation"

    @property
    def code(self) -> int:
        """RFC 5280 section 5.3.1."""
        return {"unspecified": 0, "keyCompromise": 1, "superseded": 4, "cessationOfOperation": 5}[self.value]


class Phase(StrEnum):
    """Where a deployment stands (design: the saga of one deployment)."""

    PENDING = "pending"
    PUSHED = "pushed"
    VERIFYING = "verifying"
    COMMITTED = "committed"
    DELIVERED = "delivered"
    WAITING = "waiting"
    FAILED = "failed"
    RESTORING = "restoring"
    RESTORED = "restored"

    @property
    def settled(self) -> bool:
        """Nothing more to do for this version here."""
        return self in (Phase.COMMITTED, Phase.DELIVERED)

    @property
    def under_way(self) -> bool:
        """Something is at the target, and what becomes of it is open."""
        return self in (Phase.PUSHED, Phase.VERIFYING, Phase.RESTORING)


class Owner(StrEnum):
    """Whose certificate a target serves for a name."""

    OURS = "ours"
    OTHER_STORE = "other-store"
    FOREIGN = "foreign"
    MANAGED = "managed"
    UNKNOWN = "unknown"
    """The platform does not tell; the engine finds out from the store and the probe."""


class Restorable(StrEnum):
    """What can bring back the present state once it is replaced."""

    OURS = "ours"
    """We hold that version. Only the engine says this; adapters answer one of the others."""
    MANAGED = "managed"
    """The platform falls back to its own certificate by itself."""
    KEPT = "kept"
    """The old object stays and can be bound again."""
    NO = "no"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """From `starts` to `ends`, both aware UTC."""

    starts: datetime
    ends: datetime

    def __post_init__(self) -> None:
        if self.starts.tzinfo is None or self.ends.tzinfo is None:
            raise ValueError("a lifetime needs aware datetimes")
        if self.ends <= self.starts:
            raise ValueError("a lifetime ends after it starts")

    @property
    def length(self) -> timedelta:
        return self.ends - self.starts

    def at(self, fraction: float) -> datetime:
        """The moment when `fraction` (0..1) of the life is over."""
        return self.starts + self.length * fraction


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """How many versions in a row share one private key; None: all of them."""

    versions: int | None = 1

    def __post_init__(self) -> None:
        if self.versions is not None and self.versions < 1:
            raise ValueError("a key serves at least one version")


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one target serves of one certificate. `names` are in the certificate's order."""

    certificate: str
    target: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the owner wants, by name, from the file."""

    name: str
    names: tuple[str, ...]
    keys: tuple[KeyType, ...]
    issuers: tuple[str, ...]
    assignments: tuple[Assignment, ...]
    line: int | None = None
    challenge: Method = Method.DNS_01
    alias: str | None = None
    """The zone that `_acme-challenge` is a CNAME into, where the file says so."""
    key_policy: KeyPolicy = KeyPolicy()

    def names_on(self, target: str) -> tuple[str, ...]:
        """The names `target` is to serve; empty if it is not a target of this certificate."""
        return next((a.names for a in self.assignments if a.target == target), ())


@dataclass(frozen=True, slots=True)
class Version:
    """One issued certificate. Immutable; its key is sealed in the store under `id`."""

    id: int
    certificate: str
    key_type: KeyType
    number: int
    """v1, v2 ... counted per certificate and key type."""
    issuer: str
    profile: str | None
    fingerprint: str
    serial: int
    issued_by: str
    """The issuing CA certificate's common name."""
    names: tuple[str, ...]
    lifetime: Lifetime
    chain_pem: str
    """Leaf first, then intermediates, no root."""
    roots_pem: str | None
    """What its chain is judged by; None means the system's roots."""
    trusted: bool
    """Whether the chain ends in a root of the system's store. If not, it goes to `accept_untrusted` targets only."""
    rehearsal: bool = False
    """A rehearsal (`issue --staging`) is never wanted and never pushed."""
    account_uri: str | None = None
    revoked_at: datetime | None = None
    key_id: str = ""
    """SHA-256 of its SubjectPublicKeyInfo, hex: equal for equal keys."""
    key_use: int = 1
    """The how-manieth version it is, of this certificate and key type, that has this key."""
    revoked_for: RevocationReason | None = None
    root: str = ""
    """The common name that the topmost certificate of its chain was issued by."""
    roots_seen: tuple[str, ...] = ()
    """The same of every chain that the CA offered with it, where another than its default was looked for."""

    @property
    def label(self) -> str:
        return f"v{self.number}"

    @property
    def compromised(self) -> bool:
        """Somebody else may have its key: neither it nor the key is ever used again."""
        return self.revoked_for is RevocationReason.KEY_COMPROMISE


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a provider is handed: one version, its key, and the names to serve on that target.

    The core has checked before: the key is unencrypted PKCS#8 and belongs to the leaf, the chain is in order, the leaf is
    valid now and covers `assignment.names`, and the key type is one the provider declares.
    """

    assignment: Assignment
    version: Version
    key_pem: Secret

    @property
    def leaf_pem(self) -> str:
        end = "-----END CERTIFICATE-----"
        return self.version.chain_pem[: self.version.chain_pem.index(end) + len(end)] + "\n"

    @property
    def intermediates_pem(self) -> str:
        return self.version.chain_pem[len(self.leaf_pem) - 1 :].lstrip("\n")

    @property
    def fingerprint(self) -> str:
        return self.version.fingerprint


@dataclass(frozen=True, slots=True)
class Record:
    """A DNS record that a person or the engine must publish, e.g. a platform's ownership proof.

    Any one of `values` proves it; `values[0]` is the one to prefer. `separator` says that several writers share one
    record by joining their values with it, instead of one TXT value each.
    """

    name: str
    type: str
    values: tuple[str, ...]
    separator: str | None = None

    def __str__(self) -> str:
        """As it is written into a zone; no character-string is longer than 255 octets (RFC 1035 section 3.3)."""
        value = self.values[0]
        if self.type == "TXT":
            value = " ".join(f'"{value[start : start + 255]}"' for start in range(0, max(len(value), 1), 255))
        return f"{self.name}.  {self.type}  {value}"


@dataclass(frozen=True, slots=True)
class Edge:
    """An address at which a target answers TLS. `host` is a name or an IP; SNI is the DNS name being asked for."""

    host: str
    port: int = 443

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Live:
    """What a platform says it serves for one name. What it does not tell is None: silence is not evidence."""

    owner: Owner
    restorable: Restorable
    reference: str = ""
    """The platform's own id of what is bound now, kept so that it can be bound again."""
    fingerprint: str | None = None
    serial: int | None = None
    issued_by: str | None = None
    ends: datetime | None = None
    store: str | None = None
    """The id of the store that wrote it, where the object's name tells."""
    pending: tuple[Record, ...] = ()
    """It is there but not served until one of these records stands."""

    def agrees(self, version: Version) -> bool | None:
        """True or False if the platform tells enough to compare, else None."""
        if self.fingerprint is not None:
            return self.fingerprint == version.fingerprint
        if self.serial is not None:
            same_end = self.ends is None or self.ends == version.lifetime.ends.replace(microsecond=0)
            return self.serial == version.serial and same_end
        if self.ends is not None and self.ends != version.lifetime.ends.replace(microsecond=0):
            return False
        return None


@dataclass(frozen=True, slots=True)
class Done:
    """The platform took it for this name. Not yet a proof: the probe has the last word."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The platform took it and serves it once one of `records` stands."""

    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The platform refused this name; the other names are not affected."""

    error: ProviderError


Outcome = Done | Waiting | Failed


@dataclass(frozen=True, slots=True)
class Keep:
    """What `prune` must leave alone besides everything that is bound or not ours: these fingerprints."""

    fingerprints: frozenset[str]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a credential check found. `ends` is when the token ends; `remarks` are worth a person's look, not failures."""

    name: str
    """How the platform calls this credential, e.g. `token "certbroker-2"`."""
    account: str = ""
    reach: str = ""
    """What it can see or do, in words."""
    ends: datetime | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Traits:
    """What a provider declares about itself."""

    key_types: tuple[KeyType, ...] = tuple(KeyType)
    most_names: int | None = None
    """Most names of one certificate; None: no limit known."""
    addresses: bool = False
    """It serves certificates for IP addresses too."""
    reads_back: frozenset[str] = frozenset()
    """Which members of `Live` it can fill: fingerprint, serial, issued_by, ends."""
    coexists: bool = False
    """Ours can stand beside the platform's managed certificate for the same name."""
    calls_per_second: float = 5.0
    burst: int = 5
    edge_deadline: timedelta = timedelta(minutes=10)
    """How long its edges may take after a successful push."""
    prune_grace: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Window:
    """A CA's answer to "when shall this be renewed" (RFC 9773), bound to the version it was asked for.

    `drawn` is our moment inside it, drawn once; it changes only when the window does.
    """

    version_id: int
    start: datetime
    end: datetime
    drawn: datetime
    asked_at: datetime
    ask_again: datetime
    explanation_url: str | None = None


def variant(certificate: str, key_type: KeyType) -> str:
    """The name of a variant, e.g. `main/ecdsa-p256`: what is ordered, leased and renewed as one."""
    return f"{certificate}/{key_type.value}"


JsonValue = Any
"""Decoded JSON from outside: looked at member by member, never trusted to have a shape."""

JsonObject = Mapping[str, JsonValue]
