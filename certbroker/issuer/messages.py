"""What is said to a CA, and what it says back (RFC 8555 section 7.1).

`acme` writes what we say. What the CA says is read here, member by member: `acme`'s own readers know a closed list of
statuses and identifier types and fail on legal ones (an `expired` authorization). An answer that cannot be used is an
`IssuanceError` that says what is wrong with it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from acme import messages
from josepy.json_util import JSONObjectWithFields, field

from certbroker.errors import IssuanceError, MethodNotOffered
from certbroker.issuer.problem import Problem, printable
from certbroker.names import NAME, is_address

ORDER_STATUSES: Final = frozenset({"pending", "ready", "processing", "valid", "invalid"})
AUTHORIZATION_STATUSES: Final = frozenset({"pending", "valid", "invalid", "deactivated", "expired", "revoked"})
CHALLENGE_STATUSES: Final = frozenset({"pending", "processing", "valid", "invalid"})

MOST_AUTHORIZATIONS: Final = 200
"""Of one order, each is a request. CAs take a hundred names at most, and may want more than one for each (RFC 8555 section 7.1.3)."""

MOST_SHOWN: Final = 30
"""Challenges, profiles and identities that are read of one answer."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{22,512}\Z")
"""base64url of at least 128 bits (RFC 8555 section 8.1)."""


class NewOrder(messages.NewOrder):
    """`acme`'s, with the member of RFC 9773 section 5."""

    replaces: str = field("replaces", omitempty=True)


class EmptyAnswer(JSONObjectWithFields):
    """Says "my proof stands" to any challenge: `{}`. Without a member it would be falsy and sent as POST-as-GET."""

    unused: str = field("unused", omitempty=True)


class Deactivation(JSONObjectWithFields):
    """Ends the account that it is sent to."""

    status: str = field("status")


def new_order(names: tuple[str, ...], *, profile: str | None, replaces: str | None) -> NewOrder:
    """The order for these DNS names and IP addresses (RFC 8738); `replaces` is the certID of the version that it replaces."""
    identifiers = [
        messages.Identifier(typ=messages.IDENTIFIER_IP if is_address(name) else messages.IDENTIFIER_FQDN, value=name)
        for name in names
    ]
    extras = {"replaces": replaces} if replaces else {}
    return NewOrder(identifiers=identifiers, profile=profile or "", **extras)


@dataclass(frozen=True, slots=True)
class Directory:
    """Where a CA does what. `profiles` maps each profile it offers to its description."""

    new_nonce: str
    new_account: str
    new_order: str
    renewal_info: str | None
    revoke: str | None
    key_change: str | None
    terms: str | None
    profiles: Mapping[str, str]
    caa_identities: tuple[str, ...]
    binding_required: bool

    @classmethod
    def read(cls, ca: str, value: Mapping[str, Any]) -> Directory:
        """Raises IssuanceError if one of the three addresses that we cannot do without is missing."""
        meta = value.get("meta")
        meta = meta if isinstance(meta, Mapping) else {}
        profiles = meta.get("profiles")
        identities = meta.get("caaIdentities")
        return cls(
            new_nonce=_address(ca, "its directory", value, "newNonce"),
            new_account=_address(ca, "its directory", value, "newAccount"),
            new_order=_address(ca, "its directory", value, "newOrder"),
            renewal_info=_address(ca, "its directory", value, "renewalInfo") if "renewalInfo" in value else None,
            revoke=_address(ca, "its directory", value, "revokeCert") if "revokeCert" in value else None,
            key_change=_address(ca, "its directory", value, "keyChange") if "keyChange" in value else None,
            terms=printable(meta["termsOfService"]) if isinstance(meta.get("termsOfService"), str) else None,
            profiles={printable(k): printable(v) for k, v in islice(profiles.items(), MOST_SHOWN)}
            if isinstance(profiles, Mapping)
            else {},
            caa_identities=tuple(printable(i).lower() for i in identities[:MOST_SHOWN] if isinstance(i, str))
            if isinstance(identities, list)
            else (),
            binding_required=meta.get("externalAccountRequired") is True,
        )


@dataclass(frozen=True, slots=True)
class Order:
    """One order as the CA sees it now. `expires` is the order's own end, not the certificate's."""

    status: str
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str | None
    expires: datetime | None
    error: Problem | None

    @classmethod
    def read(cls, ca: str, value: Mapping[str, Any]) -> Order:
        """Raises IssuanceError for an unknown status or a missing address."""
        status = _status(ca, "the order", value, ORDER_STATUSES)
        urls = value.get("authorizations")
        if not isinstance(urls, list) or not urls:
            raise IssuanceError(f"{ca} answered the order without authorizations")
        if len(urls) > MOST_AUTHORIZATIONS:
            raise IssuanceError(f"{ca} wants {len(urls)} authorizations for one order")
        return cls(
            status=status,
            authorizations=tuple(_checked(ca, "the order", "authorizations", url) for url in urls),
            finalize=_address(ca, "the order", value, "finalize"),
            certificate=_address(ca, "the order", value, "certificate") if status == "valid" else None,
            expires=moment(value.get("expires")),
            error=Problem.read(value.get("error")),
        )


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to prove control. `token` is None where the type has none."""

    type: str
    url: str
    status: str
    token: str | None
    error: Problem | None
    issuers: tuple[str, ...] = ()
    """dns-persist-01: the domains by which a record may name this CA."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """What the CA wants proven. `name` is without `*.`; `wildcard` says that the star is meant."""

    url: str
    name: str
    wildcard: bool
    status: str
    challenges: tuple[Challenge, ...]

    @property
    def pattern(self) -> str:
        """The name as it was ordered."""
        return f"*.{self.name}" if self.wildcard else self.name

    @classmethod
    def read(cls, ca: str, url: str, value: Mapping[str, Any]) -> Authorization:
        """Challenges that cannot be read are left out: the one we want is looked for later."""
        identifier = value.get("identifier")
        kind = identifier.get("type") if isinstance(identifier, Mapping) else None
        name = identifier.get("value") if isinstance(identifier, Mapping) else None
        if not isinstance(name, str) or not name:
            raise IssuanceError(f"{ca} answered an authorization without saying for which name")
        if kind not in ("dns", "ip"):
            raise IssuanceError(f"{ca} answered with an authorization for a {printable(kind)!r}, which nobody ordered")
        offered = value.get("challenges")
        return cls(
            url=url,
            name=_address_of(ca, name) if kind == "ip" else printable(name).lower().removeprefix("*."),
            wildcard=value.get("wildcard") is True or name.startswith("*."),
            status=_status(ca, f"the authorization of {printable(name)}", value, AUTHORIZATION_STATUSES),
            challenges=tuple(c for c in map(_challenge, offered[:MOST_SHOWN]) if c)
            if isinstance(offered, list)
            else (),
        )

    def challenge(self, ca: str, kind: str) -> Challenge:
        """The challenge of this type. Raises IssuanceError naming what is offered instead."""
        for challenge in self.challenges:
            if challenge.type == kind:
                if challenge.status not in CHALLENGE_STATUSES:
                    raise IssuanceError(
                        f"{ca} answered the {kind} challenge of {self.pattern} with the unknown status {challenge.status!r}"
                    )
                return challenge
        offered = ", ".join(c.type for c in self.challenges) or "nothing that can be read"
        raise MethodNotOffered(f"{ca} does not offer {kind} for {self.pattern}: it offers {offered}")

    def problems(self) -> list[str]:
        """What went wrong with this name, in the CA's words; empty if nothing did."""
        said = [str(c.error) for c in self.challenges if c.error is not None]
        if not said and self.status in ("invalid", "deactivated", "expired", "revoked"):
            said = [f"its authorization is {self.status}"]
        return [f"{self.pattern}: {text}" for text in said]


def _address_of(ca: str, text: str) -> str:
    """In the form that we keep."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise IssuanceError(
            f"{ca} answered with an authorization for {printable(text)!r}, which is no IP address"
        ) from None


def moment(value: object) -> datetime | None:
    """An RFC 3339 time as aware UTC; None if it is none."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.astimezone(UTC) if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _challenge(value: Any) -> Challenge | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str) or not usable(value.get("url")):
        return None
    token = value.get("token")
    return Challenge(
        type=printable(value["type"]),
        url=value["url"],
        status=printable(value.get("status", "")),
        token=token if isinstance(token, str) and _TOKEN.match(token) else None,
        error=Problem.read(value.get("error")),
        issuers=_domains(value.get("issuer-domain-names")),
    )


def _domains(value: object) -> tuple[str, ...]:
    """1 to 10 of them, or the challenge is malformed (draft-ietf-acme-dns-persist section 3.1)."""
    if not isinstance(value, list) or not 1 <= len(value) <= 10:
        return ()
    return tuple(each.lower() for each in value if isinstance(each, str) and NAME.fullmatch(each.lower()))


def _status(ca: str, what: str, value: Mapping[str, Any], known: frozenset[str]) -> str:
    status = value.get("status")
    if not isinstance(status, str) or status not in known:
        shown = repr(printable(status)) if status is not None else "missing"
        raise IssuanceError(f"{ca} answered {what} with the unknown status {shown}")
    return status


def _address(ca: str, what: str, value: Mapping[str, Any], member: str) -> str:
    return _checked(ca, what, member, value.get(member))


def _checked(ca: str, what: str, member: str, url: object) -> str:
    if not isinstance(url, str) or not usable(url):
        raise IssuanceError(f"{ca} answered {what} without a usable {member} address")
    return url


def usable(url: object) -> bool:
    """An http(s) address that can be asked: printable ASCII, a host, a readable port."""
    if not isinstance(url, str) or len(url) > 2048 or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
