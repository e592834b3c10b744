"""What Fly's Machines API offers for certificates: one method per call, answers as values, no decisions.

Parsed defensively: null, missing and empty are the same; unknown members are ignored; unknown words are kept as text;
times come with and without fractions of a second. The top-level `status` of a hostname is not read at all: its values
contradict each other between Fly's documentation and production.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from certbroker.errors import CredentialsRejected, Misunderstood
from certbroker.secret import Secret
from certbroker.session import Session

SERVICE: Final = "Fly"
_MACAROONS: Final = ("fm1r_", "fm1a_", "fm2_")
_PRIVATE: Final = ipaddress.ip_network("fdaa::/16")
"""6PN and Flycast: reachable from inside the organisation only."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate of a hostname. `source` is "custom" (uploaded) or "fly" (managed)."""

    source: str
    status: str
    ends: datetime | None
    issuer: str | None
    issued: bool
    """Fly lists certificates that it got for it; always False for a custom one."""

    @property
    def active(self) -> bool:
        return self.status == "active" or self.issued


@dataclass(frozen=True, slots=True)
class Ownership:
    """The TXT record that proves a hostname to Fly. Either value does; `org` serves every app of the organisation."""

    name: str
    org: str
    app: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """The CNAME by which Fly proves a hostname for its own certificates."""

    name: str
    target: str


@dataclass(frozen=True, slots=True)
class Hostname:
    """Fly's CertificateDetail, as far as it can be relied on."""

    name: str
    custom: Entry | None
    managed: Entry | None
    ownership: Ownership | None
    addresses: tuple[str, ...]
    """The app's public addresses, v4 first, as the DNS requirements name them."""
    requested: bool = False
    """Fly was asked to get one by itself."""
    challenge: Challenge | None = None
    cname: str = ""
    """Where the hostname may point instead of at the addresses."""


@dataclass(frozen=True, slots=True)
class Token:
    """One macaroon of the credential. No `apps`: it reaches the whole organisation."""

    id: str
    organisation: str
    apps: tuple[str, ...]
    user: str
    machine: str
    """It works only from this machine, if not empty."""


class FlyApi:
    """One app at Fly. Raises what `Session.call` raises, and Misunderstood for an answer without its needed members."""

    def __init__(self, session: Session, app: str) -> None:
        self._session = session
        self._app = f"/apps/{quote(app, safe='')}"

    def certificates(self, *, containing: str = "", limit: int = 500, cursor: str = "") -> tuple[list[str], str]:
        """One page of hostnames whose name contains `containing`, and the cursor of the next page or ""."""
        query = [("limit", str(limit))]
        query += [("filter", containing)] if containing else []
        query += [("cursor", cursor)] if cursor else []
        page = self._session.call("GET", f"{self._app}/certificates", query=query).object()
        return [_text(item, "hostname") for item in _objects(page, "certificates")], _text(page, "next_cursor")

    def certificate(self, hostname: str) -> Hostname:
        """Raises Missing for an unknown hostname, and for an unknown app."""
        return self._hostname("GET", self._path(hostname))

    def import_custom(self, hostname: str, fullchain: str, private_key: Secret) -> Hostname:
        """Create or replace the custom certificate of one hostname. `fullchain` has the leaf first."""
        body = {"hostname": hostname, "fullchain": fullchain, "private_key": private_key.reveal()}
        return self._hostname("POST", f"{self._app}/certificates/custom", body)

    def check(self, hostname: str) -> Hostname:
        """Make Fly look at DNS again. A write: it can turn a pending certificate active."""
        return self._hostname("POST", f"{self._path(hostname)}/check")

    def request_managed(self, hostname: str) -> Hostname:
        """Have Fly get and renew one of its own. 422 if that was asked for before."""
        return self._hostname("POST", f"{self._app}/certificates/acme", {"hostname": hostname})

    def delete_managed(self, hostname: str) -> None:
        """Fly's own certificate ends; the hostname and the custom one stay."""
        self._session.call("DELETE", f"{self._path(hostname)}/acme")

    def delete_custom(self, hostname: str) -> None:
        """Remove the custom certificate; the hostname and Fly's own certificate, if any, stay."""
        self._session.call("DELETE", f"{self._path(hostname)}/custom")

    def addresses(self) -> tuple[str, ...]:
        """The app's public addresses, v4 and v6."""
        answer = self._session.call("GET", f"{self._app}/ip_assignments").object()
        return _public(_text(item, "ip") for item in _objects(answer, "ips"))

    def tokens(self) -> tuple[Token, ...]:
        """What Fly says about the credential itself. Answers 401 for one that is no macaroon."""
        answer = self._session.call("GET", "/tokens/current").object()
        return tuple(
            Token(
                id=_text(item, "token_id"),
                organisation=_text(item, "org_slug") or _text(item, "organization"),
                apps=tuple(app for app in _list(item, "apps") if isinstance(app, str) and app != "*"),
                user=_text(item, "user"),
                machine=_text(item, "restricted_to_machine"),
            )
            for item in _objects(answer, "tokens")
        )

    def _path(self, hostname: str) -> str:
        return f"{self._app}/certificates/{quote(hostname, safe='')}"

    def _hostname(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Hostname:
        return _hostname(self._session.call(method, path, json=body).object())


def authorization(token: Secret) -> Mapping[str, Secret]:
    """The header for a token as people paste it: with or without its scheme, one macaroon or several joined by commas.

    Macaroons go under `FlyV1`, everything else under `Bearer`; never both (as fly-go's tokens package does).

    Raises:
        CredentialsRejected: it cannot be a token: sending it would fail, and the failure would quote it.
    """
    value = token.reveal().strip()
    scheme, _, rest = value.partition(" ")
    if scheme.lower() in ("flyv1", "bearer"):
        value = rest.strip()
    parts = [part.strip() for part in value.split(",")]
    macaroons = [part for part in parts if part.startswith(_MACAROONS)]
    value = f"FlyV1 {','.join(macaroons)}" if macaroons else f"Bearer {value}"
    secret = value.partition(" ")[2]
    if not any(parts) or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise CredentialsRejected(
            "the Fly token has characters that no token has", hint="copy it again: fly tokens create deploy -a APP"
        )
    return {"Authorization": Secret(value)}


def _hostname(value: Mapping[str, Any]) -> Hostname:
    name = _text(value, "hostname")
    if not name:
        raise Misunderstood(f"{SERVICE} answered about a certificate without naming its hostname")
    entries = [_entry(item) for item in _objects(value, "certificates")]
    needs = _object(value, "dns_requirements")
    proof = _object(needs, "ownership")
    ownership = Ownership(_text(proof, "name").rstrip("."), _text(proof, "org_value"), _text(proof, "app_value"))
    wanted = _object(needs, "acme_challenge")
    challenge = Challenge(_text(wanted, "name").rstrip("."), _text(wanted, "target").rstrip("."))
    return Hostname(
        name=name,
        custom=next((entry for entry in entries if entry.source == "custom"), None),
        managed=next((entry for entry in entries if entry.source == "fly"), None),
        ownership=ownership if ownership.name and (ownership.org or ownership.app) else None,
        addresses=_public(item for item in (*_list(needs, "a"), *_list(needs, "aaaa"))),
        requested=value.get("acme_requested") is True,
        challenge=challenge if challenge.name and challenge.target else None,
        cname=_text(needs, "cname").rstrip("."),
    )


def _entry(value: Mapping[str, Any]) -> Entry:
    source = _text(value, "source")
    issued = _objects(value, "issued") if source == "fly" else []
    ends = [_time(value.get("expires_at")), *(_time(item.get("expires_at")) for item in issued)]
    return Entry(
        source=source,
        status=_text(value, "status"),
        ends=next((moment for moment in ends if moment is not None), None),
        issuer=_text(value, "issuer") or None,
        issued=bool(issued),
    )


def _time(value: object) -> datetime | None:
    """RFC 3339, cut to whole seconds as certificates have them; None if it is missing or unreadable."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def _public(values: Any) -> tuple[str, ...]:
    """Each address that can be reached from outside, once; v4 before v6."""
    found: dict[ipaddress.IPv4Address | ipaddress.IPv6Address, None] = {}
    for value in values:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            continue
        if address not in _PRIVATE:
            found[address] = None
    return tuple(str(address) for address in sorted(found, key=lambda address: address.version))


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _list(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _objects(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    return [item for item in _list(value, key) if isinstance(item, dict)]
