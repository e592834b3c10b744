"""What Fastly's API offers for certificates: one method per call, answers as values, no decisions.

JSON:API throughout. Parsed defensively: what is missing or of the wrong kind is None, unless nothing can be said without it.
Listings are read to their end: by `meta.total_pages`, or without it until a page brings nothing new. `links` are not
followed: they are absolute, missing in some listings, and would leave a configured base URL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from certbroker.errors import Misunderstood
from certbroker.secret import Secret
from certbroker.session import Session

SERVICE: Final = "Fastly"
PAGE: Final = 100
"""Rows a page: the default is 20, 200 is clamped or refused here and there, 100 is what the vendor's clients send."""

_MEDIA: Final = "application/vnd.api+json"
_READ: Final = {"Accept": _MEDIA}  # without it filters are ignored
_WRITE: Final = {"Accept": _MEDIA, "Content-Type": _MEDIA}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """An uploaded private key. `sha1` is over the PEM text of its public key."""

    id: str
    name: str
    sha1: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """An uploaded certificate. Fastly gives no PEM back."""

    id: str
    name: str
    serial: int | None
    issuer: str | None
    """The issuer's common name."""
    ends: datetime | None


@dataclass(frozen=True, slots=True)
class Activation:
    """TLS for `domain` is terminated with `certificate` on `configuration`; the three are ids, a domain's is its name."""

    id: str
    certificate: str
    configuration: str
    domain: str
    mutual: str | None
    """The id of its mutual authentication, "" for none, None if Fastly does not tell."""


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """Where a configuration is reached. `value` is an address or a host name."""

    type: str
    value: str
    region: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """A TLS configuration. `bulk`: it is one of Platform TLS, another product."""

    id: str
    name: str
    default: bool
    bulk: bool


@dataclass(frozen=True, slots=True)
class Domain:
    """A name that a certificate or a subscription has. `subscriptions`: ids of Fastly-managed certificates for it."""

    name: str
    subscriptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """One way in which Fastly proves a domain of a subscription: a record that says one of `values`.

    `kind` is "managed-dns", "managed-http-cname" or "managed-http-a".
    """

    kind: str
    type: str
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A certificate that Fastly manages. `issued`: it is there; `ends`: of the one that is there."""

    id: str
    domains: tuple[str, ...]
    issued: bool
    ends: datetime | None
    proofs: tuple[Proof, ...]
    configuration: str = ""
    certificates: tuple[str, ...] = ()
    """The ids by which activations call what it issued."""
    authority: str = ""
    """Fastly's word for the CA."""


@dataclass(frozen=True, slots=True)
class Token:
    """What Fastly says of the token itself."""

    name: str
    customer: str
    scope: str
    ends: datetime | None


class FastlyApi:
    """One account at Fastly. Raises what `Session.call` raises, and Misunderstood for an answer without its needed members."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # ---- keys ------------------------------------------------------------------------------------------------------

    def private_keys(self, *, unused: bool = False) -> tuple[Key, ...]:
        """Every key, or those that no certificate has."""
        rows = self._list("/tls/private_keys", [("filter[in_use]", "false")] if unused else [])
        return tuple(_key(row) for row in rows)

    def create_key(self, key_pem: Secret, name: str) -> Key:
        """Upload an unencrypted PKCS#8 PEM. 400 "Key already exists: '<id>'" if this very key is there."""
        return _key(self._create("tls_private_key", {"key": key_pem.reveal(), "name": name}))

    def create_no_key(self) -> None:
        """An upload without a key: refused as such (400) if the token may write at all, and nothing comes of it."""
        self._create("tls_private_key", {"name": "certbroker write check"})

    def delete_key(self, key: str) -> None:
        """Refused while a certificate has it."""
        self._session.call("DELETE", f"/tls/private_keys/{_part(key)}", headers=_READ)

    # ---- certificates ----------------------------------------------------------------------------------------------

    def certificates(self) -> tuple[Certificate, ...]:
        """Every uploaded certificate; those that Fastly manages are not among them."""
        return tuple(_certificate(row) for row in self._list("/tls/certificates"))

    def certificate(self, certificate: str) -> Certificate:
        """Raises Missing also for the id of a certificate that Fastly manages."""
        return _certificate(self._one("GET", f"/tls/certificates/{_part(certificate)}"))

    def create_certificate(self, blob: str, name: str, *, allow_untrusted_root: bool) -> Certificate:
        """Upload a chain, leaf first. Its key must be there already: Fastly matches them by the public key."""
        attributes: dict[str, Any] = {"cert_blob": blob, "name": name}
        if allow_untrusted_root:  # of limited availability: left out unless it is wanted
            attributes["allow_untrusted_root"] = True
        return _certificate(self._create("tls_certificate", attributes))

    def delete_certificate(self, certificate: str) -> None:
        """Refused while it has an activation."""
        self._session.call("DELETE", f"/tls/certificates/{_part(certificate)}", headers=_READ)

    # ---- activations -----------------------------------------------------------------------------------------------

    def activations(self, *, domain: str = "", certificate: str = "") -> tuple[Activation, ...]:
        """Those of one name or of one certificate. A filter that Fastly does not know is ignored: looked over here."""
        query = [("filter[tls_domain.id]", domain)] if domain else []
        query += [("filter[tls_certificate.id]", certificate)] if certificate else []
        found = [_activation(row) for row in self._list("/tls/activations", query)]
        return tuple(each for each in found if domain in ("", each.domain) and certificate in ("", each.certificate))

    def activation(self, activation: str) -> Activation:
        return _activation(self._one("GET", f"/tls/activations/{_part(activation)}"))

    def create_activation(self, domain: str, certificate: str, configuration: str) -> Activation:
        """Enable TLS for one more name; takes effect at once, as far as the API is concerned."""
        relations = _relations(tls_certificate=certificate, tls_configuration=configuration, tls_domain=domain)
        body = {"data": {"type": "tls_activation", "relationships": relations}}
        return _activation(self._one("POST", "/tls/activations", body))

    def move_activation(self, activation: str, certificate: str) -> Activation:
        """Serve another certificate for that name. The body has this one relation: naming any other would change it too."""
        relations = _relations(tls_certificate=certificate)
        body = {"data": {"type": "tls_activation", "id": activation, "relationships": relations}}
        return _activation(self._one("PATCH", f"/tls/activations/{_part(activation)}", body))

    # ---- what is there besides -------------------------------------------------------------------------------------

    def configurations(self) -> tuple[Configuration, ...]:
        return tuple(
            Configuration(_id(row), _text(row, "name"), _flag(row, "default"), _flag(row, "bulk"))
            for row in self._list("/tls/configurations")
        )

    def dns_records(self, configuration: str) -> tuple[DnsRecord, ...]:
        """Where the domains of a configuration are to point. The id of a record is its value."""
        path = f"/tls/configurations/{_part(configuration)}"
        answer = self._session.call("GET", path, query=[("include", "dns_records")], headers=_READ).object()
        _data(answer)
        return tuple(
            DnsRecord(_text(row, "record_type").upper(), _id(row), _text(row, "region"))
            for row in _included(answer)
            if row.get("type") == "dns_record"
        )

    def domains(self, certificate: str) -> tuple[Domain, ...]:
        """The names of one certificate, a managed one too, and perhaps others: the filter may be ignored."""
        rows = self._list("/tls/domains", [("filter[tls_certificates.id]", certificate)])
        return tuple(Domain(_id(row), _related(row, "tls_subscriptions")) for row in rows)

    def subscriptions(self, domain: str) -> tuple[Subscription, ...]:
        """Those of one domain, with how it is proven. A filter that Fastly does not know is ignored: looked over here."""
        query = [("filter[tls_domains.id]", domain), ("include", "tls_authorizations,tls_certificates")]
        included: dict[tuple[str, str], Row] = {}
        rows = self._list("/tls/subscriptions", query, included)
        found = [_subscription(row, domain, included) for row in rows]
        return tuple(each for each in found if domain in each.domains)

    def create_subscription(self, domain: str, configuration: str) -> Subscription:
        """Ask Fastly to get and renew a certificate for that name. The relation is called `tls_domain`, and is a list."""
        relations: dict[str, Any] = {
            "tls_domain": {"data": [{"type": "tls_domain", "id": domain}]},
            "tls_configuration": {"data": {"type": "tls_configuration", "id": configuration}},
        }
        body = {"data": {"type": "tls_subscription", "relationships": relations}}
        answer = self._session.call("POST", "/tls/subscriptions", json=body, headers=_WRITE).object()
        beside = answer.get("included")
        rows = [each for each in beside if isinstance(each, dict)] if isinstance(beside, list) else []
        return _subscription(_data(answer), domain, {(str(each.get("type")), _id(each)): each for each in rows})

    def delete_subscription(self, subscription: str) -> None:
        """Without `force`: refused while a name of it is enabled by it, so that TLS never ends by this."""
        self._session.call("DELETE", f"/tls/subscriptions/{_part(subscription)}", headers=_READ)

    def read_keys(self) -> None:
        """The shortest read that needs the TLS permission."""
        query = [("page[number]", "1"), ("page[size]", "1")]
        _rows(self._session.call("GET", "/tls/private_keys", query=query, headers=_READ).object())

    def token(self) -> Token:
        """What this token is. Plain JSON."""
        said = self._session.call("GET", "/tokens/self").object()
        attributes = {"attributes": said}
        return Token(
            name=_text(attributes, "name"),
            customer=_text(attributes, "customer_id"),
            scope=_text(attributes, "scope"),
            ends=_time(said.get("expires_at")),
        )

    # ---- HTTP ------------------------------------------------------------------------------------------------------

    def _list(
        self, path: str, query: Sequence[tuple[str, str]] = (), included: dict[tuple[str, str], Row] | None = None
    ) -> list[Row]:
        """`included`: takes what the answers hold besides, by type and id."""
        found: dict[str, Row] = {}
        number = 1
        while True:
            paged = [*query, ("page[number]", str(number)), ("page[size]", str(PAGE))]
            answer = self._session.call("GET", path, query=paged, headers=_READ).object()
            rows = _rows(answer)
            fresh = [row for row in rows if _id(row) not in found]
            found.update((_id(row), row) for row in rows)
            if included is not None:
                included.update(((str(row.get("type")), _id(row)), row) for row in _included(answer))
            meta = answer.get("meta")
            pages = meta.get("total_pages") if isinstance(meta, dict) else None
            if not fresh or (isinstance(pages, int) and number >= pages):
                return list(found.values())
            number += 1

    def _one(self, method: str, path: str, body: Any = None) -> Row:
        headers = _READ if body is None else _WRITE
        return _data(self._session.call(method, path, json=body, headers=headers).object())

    def _create(self, kind: str, attributes: Mapping[str, Any]) -> Row:
        return self._one("POST", _PATHS[kind], {"data": {"type": kind, "attributes": attributes}})


_PATHS: Final = {"tls_private_key": "/tls/private_keys", "tls_certificate": "/tls/certificates"}


def _relations(**ids: str) -> dict[str, Any]:
    return {kind: {"data": {"type": kind, "id": each}} for kind, each in ids.items()}


def _part(identity: str) -> str:
    return quote(identity, safe="")


# ---- rows to values --------------------------------------------------------------------------------------------------


def _key(row: Row) -> Key:
    return Key(_id(row), _text(row, "name"), _text(row, "public_key_sha1"))


def _certificate(row: Row) -> Certificate:
    serial = _text(row, "serial_number")
    return Certificate(
        id=_id(row),
        name=_text(row, "name"),
        serial=int(serial) if serial.isascii() and serial.isdigit() else None,
        issuer=_text(row, "issuer") or None,
        ends=_time(_attributes(row).get("not_after")),
    )


def _activation(row: Row) -> Activation:
    found = {kind: _related(row, kind) for kind in ("tls_certificate", "tls_configuration", "tls_domain")}
    if not all(found.values()):
        raise Misunderstood(f"{SERVICE} shows an activation without its certificate, configuration or domain")
    relations = row["relationships"]
    mutual = _related(row, "mutual_authentication") if "mutual_authentication" in relations else None
    return Activation(
        id=_id(row),
        certificate=found["tls_certificate"][0],
        configuration=found["tls_configuration"][0],
        domain=found["tls_domain"][0],
        mutual=None if mutual is None else "".join(mutual[:1]),
    )


def _subscription(row: Row, domain: str, included: Mapping[tuple[str, str], Row]) -> Subscription:
    """With the ways in which `domain` is proven."""
    proofs = [
        proof
        for each in _related(row, "tls_authorizations")
        if (authorization := included.get(("tls_authorization", each)))
        and domain in (_related(authorization, "tls_domain") or (domain,))
        for proof in _proofs(authorization)
    ]
    certificates = _related(row, "tls_certificates")
    ends = [_time(_attributes(included.get(("tls_certificate", each), {})).get("not_after")) for each in certificates]
    return Subscription(
        id=_id(row),
        domains=_related(row, "tls_domains"),
        issued=bool(certificates) or _text(row, "state") == "issued",
        ends=max(filter(None, ends), default=None),
        proofs=tuple(proofs),
        configuration="".join(_related(row, "tls_configuration")[:1]),
        certificates=certificates,
        authority=_text(row, "certificate_authority"),
    )


def _proofs(authorization: Row) -> list[Proof]:
    challenges = _attributes(authorization).get("challenges")
    return [
        Proof(
            str(each.get("type", "")),
            str(each.get("record_type", "")).upper(),
            str(each.get("record_name", "")).lower().rstrip("."),
            tuple(value.rstrip(".") for value in each["values"] if isinstance(value, str)),
        )
        for each in (challenges if isinstance(challenges, list) else [])
        if isinstance(each, dict) and isinstance(each.get("values"), list)
    ]


def _included(answer: Mapping[str, Any]) -> list[Row]:
    included = answer.get("included")
    return [row for row in included if isinstance(row, dict)] if isinstance(included, list) else []


def _rows(answer: Mapping[str, Any]) -> list[Row]:
    data = answer.get("data")
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise Misunderstood(f"{SERVICE} answered a listing without rows")
    return data


def _data(answer: Mapping[str, Any]) -> Row:
    data = answer.get("data")
    if not isinstance(data, dict):
        raise Misunderstood(f"{SERVICE} answered without the object that was asked for")
    return data


def _id(row: Row) -> str:
    found = row.get("id")
    if not isinstance(found, str) or not found:
        raise Misunderstood(f"{SERVICE} shows an object without an id")
    return found


def _attributes(row: Row) -> Mapping[str, Any]:
    found = row.get("attributes")
    return found if isinstance(found, dict) else {}


def _text(row: Row, key: str) -> str:
    found = _attributes(row).get(key)
    return found if isinstance(found, str) else ""


def _flag(row: Row, key: str) -> bool:
    return _attributes(row).get(key) is True


def _related(row: Row, kind: str) -> tuple[str, ...]:
    """The ids of a relation, to one or to many."""
    relations = row.get("relationships")
    relation = relations.get(kind) if isinstance(relations, dict) else None
    data = relation.get("data") if isinstance(relation, dict) else None
    items = data if isinstance(data, list) else [data]
    return tuple(item["id"] for item in items if isinstance(item, dict) and isinstance(item.get("id"), str))


def _time(value: object) -> datetime | None:
    """ISO 8601 with or without fractions, `Z` or an offset; whole seconds as certificates have them. None if unreadable."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
