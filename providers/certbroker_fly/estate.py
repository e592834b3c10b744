"""What the Fly simulator holds: apps, hostnames, certificates, and the rules Fly states about them.

Written from the contract's other side: nothing here is shared with the adapter.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from certbroker.secret import Secret

Lookup = Callable[[str, str], Sequence[str]]
"""DNS as Fly sees it: name and record type to the values; TXT values with or without their quotes."""

Pair = tuple[str, Secret]
"""A chain, leaf first, and its key, both PEM."""

_NAME = re.compile(r"^(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)+[a-z0-9-]+$")


class Refusal(Exception):
    """What was sent cannot be used; the text is what Fly would say."""


@dataclass(frozen=True, slots=True)
class FlyApp:
    """One app. Its id is in the values that prove ownership and in its DNS targets."""

    name: str
    org: str = "personal"
    v4: tuple[str, ...] = ()
    v6: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return short_id(f"app {self.name}")

    @property
    def org_id(self) -> str:
        return short_id(f"org {self.org}")

    @property
    def proofs(self) -> tuple[str, str]:
        return f"app-{self.id}", f"org-{self.org_id}"


@dataclass(slots=True)
class Custom:
    """An uploaded certificate."""

    pair: Pair = field(repr=False)
    issuer: str
    ends: datetime
    created: datetime
    active: bool = False


@dataclass(slots=True)
class Managed:
    """Fly's own. `pair` is None where nobody in this world issues for Fly: it is listed, and no edge can serve it."""

    pair: Pair | None = field(repr=False)
    created: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look at DNS found."""

    a: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()
    cname: tuple[str, ...] = ()
    challenge: str | None = None
    txt: str | None = None
    dns: bool = False
    """The `_acme-challenge` CNAME points at Fly."""
    routed: bool = False
    proven: bool = False
    """The ownership TXT stands."""
    six: bool = False
    """An AAAA of the name points at the app."""


@dataclass(slots=True)
class Held:
    """One hostname of one app."""

    name: str
    created: datetime
    updated: datetime
    acme_requested: bool = False
    custom: Custom | None = None
    managed: Managed | None = None
    sight: Sight = Sight()
    looked: datetime | None = None

    def copy(self) -> Held:
        return replace(
            self,
            custom=replace(self.custom) if self.custom else None,
            managed=replace(self.managed) if self.managed else None,
        )

    @property
    def base(self) -> str:
        return self.name.removeprefix("*.")

    @property
    def owned(self) -> bool:
        """A wildcard is proven by the TXT alone."""
        return self.sight.proven or (self.sight.six and not self.name.startswith("*."))

    @property
    def configured(self) -> bool:
        return bool((self.custom and self.custom.active) or self.managed)


def short_id(text: str) -> str:
    """Seven lower-case letters and digits, always the same for the same text."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:7]


def cname_target(app: FlyApp) -> str:
    return f"{app.id}.{app.name}.fly.dev"


def challenge_target(app: FlyApp, held: Held) -> str:
    return f"{held.base}.{app.id}.flydns.net"


def look(app: FlyApp, held: Held, lookup: Lookup) -> Sight:
    """Fly's DNS check of one hostname: one TXT may hold several values, joined by semicolons."""

    def ask(name: str, kind: str) -> tuple[str, ...]:
        return tuple(value.strip('"').rstrip(".") for value in lookup(name, kind))

    a, aaaa, cname = (ask(held.name, kind) for kind in ("A", "AAAA", "CNAME"))
    challenge = ask(f"_acme-challenge.{held.base}", "CNAME")
    texts = ask(f"_fly-ownership.{held.base}", "TXT")
    values = {value.strip() for text in texts for value in text.split(";")}
    six = bool(set(aaaa) & set(app.v6))
    return Sight(
        a=a,
        aaaa=aaaa,
        cname=cname,
        challenge=challenge[0] if challenge else None,
        txt=texts[0] if texts else None,
        dns=challenge_target(app, held) in challenge,
        routed=six or bool(set(a) & set(app.v4)) or cname_target(app) in cname,
        proven=bool(values & set(app.proofs)),
        six=six,
    )


def read_upload(
    hostname: str, fullchain: str, private_key: str, now: datetime, *, wildcards: bool, old_keys: bool
) -> Custom:
    """Fly's stated rules: key matches, not expired, hostname in SAN or CN. Whoever signed it and whoever owns the name.

    Args:
        wildcards: whether `*.a` in the certificate covers the hostname `x.a`.
        old_keys: whether PKCS#1 and SEC1 keys are taken besides PKCS#8.

    Raises:
        Refusal: in plausible words; the real ones are not known.
    """
    if not _NAME.match(hostname):
        raise Refusal("hostname is not valid")
    try:
        leaf = x509.load_pem_x509_certificates(fullchain.encode())[0]
    except ValueError:
        raise Refusal("fullchain is not a valid PEM certificate chain") from None
    if not old_keys and "-----BEGIN PRIVATE KEY-----" not in private_key:
        raise Refusal("private key must be PKCS#8")
    try:
        key = serialization.load_pem_private_key(private_key.encode(), None)
    except (ValueError, TypeError):
        raise Refusal("private key could not be parsed") from None
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise Refusal("private key does not match certificate")
    if leaf.not_valid_after_utc <= now:
        raise Refusal("certificate has expired")
    names = certified(leaf)
    if hostname not in names and not (wildcards and f"*.{hostname.partition('.')[2]}" in names):
        raise Refusal("certificate does not cover hostname")
    issuer = leaf.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Custom(
        pair=(fullchain, Secret(private_key)),
        issuer=str(issuer[0].value) if issuer else leaf.issuer.rfc4514_string(),
        ends=leaf.not_valid_after_utc,
        created=now,
    )


def certified(leaf: x509.Certificate) -> set[str]:
    """The names in SAN and CN, lower case."""
    names = {str(cn.value).lower() for cn in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return names
    return names | {name.lower() for name in san.get_values_for_type(x509.DNSName)}
