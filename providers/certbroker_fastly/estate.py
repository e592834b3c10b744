"""What the Fastly simulator holds, and the rules Fastly states about it. Written from the contract's other side.

Rows are frozen and replaced, so that a copy of the tables is what a listing that is behind shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from cryptography import x509

from certbroker.secret import Secret

Pair = tuple[str, Secret]
"""A chain, leaf first, and its key, both PEM."""

T = TypeVar("T")


class Refusal(Exception):
    """Fastly says no. `status` None: the one that the quirks set."""

    def __init__(self, title: str, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.title = title
        self.detail = detail
        self.status = status


@dataclass(frozen=True, slots=True)
class Key:
    """An uploaded key. `public` is the DER of its public key."""

    id: str
    name: str | None
    kind: str
    length: int
    sha1: str
    public: bytes
    pem: Secret = field(repr=False)
    created: datetime


@dataclass(frozen=True, slots=True)
class Certificate:
    """An uploaded certificate; `bulk` is the configuration of one of Platform TLS."""

    id: str
    name: str
    blob: str = field(repr=False)
    leaf: x509.Certificate = field(repr=False)
    names: tuple[str, ...]
    public: bytes = field(repr=False)
    created: datetime
    updated: datetime
    bulk: str | None = None


@dataclass(frozen=True, slots=True)
class Activation:
    """TLS for one domain on one configuration."""

    id: str
    domain: str
    certificate: str
    configuration: str
    created: datetime
    mutual: str | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """`records` are (type, value, region)."""

    id: str
    name: str
    created: datetime
    updated: datetime
    default: bool = False
    bulk: bool = False
    records: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Mutual:
    """A bundle of client CAs."""

    id: str
    name: str
    enforced: bool
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Subscription:
    """A certificate that Fastly manages. `certificate` is the id that other objects call it by, None while it is pending."""

    id: str
    domains: tuple[str, ...]
    configuration: str
    created: datetime
    authorization: str
    certificate: str | None = None
    pair: Pair | None = field(default=None, repr=False)

    @property
    def validation(self) -> str:
        """Where its `_acme-challenge` CNAME has to lead: the same for a name and its wildcard, which share the label."""
        base = self.domains[0].removeprefix("*.")
        return f"{hashlib.sha256(base.encode()).hexdigest()[:17]}.fastly-validations.com"


@dataclass(slots=True)
class Estate:
    """One account. Tables by id, in the order of creation."""

    keys: dict[str, Key] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    activations: dict[str, Activation] = field(default_factory=dict)
    configurations: dict[str, Configuration] = field(default_factory=dict)
    mutuals: dict[str, Mutual] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)

    def copy(self) -> Estate:
        return Estate(
            dict(self.keys),
            dict(self.certificates),
            dict(self.activations),
            dict(self.configurations),
            dict(self.mutuals),
            dict(self.subscriptions),
        )

    # ---- who has what ----------------------------------------------------------------------------------------------

    def key_of(self, certificate: Certificate) -> Key | None:
        return next((key for key in self.keys.values() if key.public == certificate.public), None)

    def key_in_use(self, key: Key) -> bool:
        return any(each.public == key.public for each in self.certificates.values())

    def certificate_in_use(self, certificate: Certificate) -> bool:
        return any(each.certificate == certificate.id for each in self.activations.values())

    def custom(self) -> Iterator[Certificate]:
        return (each for each in self.certificates.values() if each.bulk is None)

    def bulks(self) -> Iterator[Certificate]:
        return (each for each in self.certificates.values() if each.bulk is not None)

    def subscribed(self, domain: str) -> list[Subscription]:
        return [each for each in self.subscriptions.values() if domain in each.domains]

    def domains(self) -> list[str]:
        """Every name of a certificate or a subscription, sorted."""
        names = {name for each in self.custom() for name in each.names}
        return sorted(names | {name for each in self.subscriptions.values() for name in each.domains})

    def default(self) -> Configuration:
        found = next((each for each in self.configurations.values() if each.default), None)
        if found is None:
            raise Refusal("Can't create activation", "sim: there is no default TLS configuration")
        return found

    def subscription_in_use(self, subscription: Subscription) -> bool:
        return any(each.certificate == subscription.certificate for each in self.activations.values())

    def serving(self, configuration: str) -> dict[str, Pair]:
        """What the edges of a configuration present, by domain. Of two bulk certificates the later one."""
        found: dict[str, Pair] = {}
        for bulk in self.bulks():
            key = self.key_of(bulk)
            if bulk.bulk == configuration and key:
                found.update(dict.fromkeys(bulk.names, (bulk.blob, key.pem)))
        managed = {each.certificate: each.pair for each in self.subscriptions.values()}
        for activation in self.activations.values():
            if activation.configuration != configuration:
                continue
            certificate = self.certificates.get(activation.certificate)
            key = self.key_of(certificate) if certificate else None
            pair = (certificate.blob, key.pem) if certificate and key else managed.get(activation.certificate)
            if pair:
                found[activation.domain] = pair
        return found

    # ---- what is refused -------------------------------------------------------------------------------------------

    def check_activation(
        self,
        domain: str,
        certificate: Certificate,
        configuration: Configuration,
        *,
        once: bool,
        everywhere: bool,
        now: datetime,
    ) -> None:
        """Whether `domain` may be activated. `once`: a name may have one activation at all; `everywhere`: or one subscription."""
        taken = any(
            each.domain == domain and (once or each.configuration == configuration.id)
            for each in self.activations.values()
        )
        if taken or any(everywhere or each.configuration == configuration.id for each in self.subscribed(domain)):
            raise Refusal("Can't create activation", "domain_id has already been taken", 400)
        if configuration.bulk:
            raise Refusal("Can't create activation", "sim: this TLS configuration is for bulk certificates")
        self.check_fit(domain, certificate, now)

    def check_fit(self, domain: str, certificate: Certificate, now: datetime) -> None:
        """Whether `certificate` may be served for `domain`."""
        if domain not in certificate.names:
            raise Refusal("Can't save activation", "sim: the domain is not among the certificate's SAN entries")
        if not certificate.leaf.not_valid_before_utc <= now < certificate.leaf.not_valid_after_utc:
            raise Refusal("Can't save activation", "sim: the certificate is not valid now")

    def move(self, activation: Activation, **changes: str | None) -> Activation:
        self.activations[activation.id] = replace(activation, **changes)  # type: ignore[arg-type]
        return self.activations[activation.id]


def row(table: dict[str, T], identity: str, noun: str) -> T:
    """The row, or Fastly's 404 for one that is not there."""
    if identity not in table:
        raise Refusal("Not found", f"The {noun} you requested was not found", 404)
    return table[identity]
