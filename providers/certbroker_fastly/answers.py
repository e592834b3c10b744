"""How the Fastly simulator says things: JSON:API rows, listings with their envelope, errors in their several shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from cryptography import x509

from certbroker.testkit.simulator import Request, Response
from certbroker_fastly.estate import Activation, Certificate, Configuration, Estate, Key, Mutual, Subscription
from certbroker_fastly.quirks import Quirks
from certbroker_fastly.uploads import common_name, signature_algorithm

PRODUCTION: Final = "https://api.fastly.com"
"""The host that `links` name, whatever host was asked."""

MOST: Final = 200
_HUNDRED: Final = ("/tls/mutual_authentications", "/tls/subscriptions")
_SILENT: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}

Row = dict[str, Any]


def said(status: int, value: Any, **headers: str) -> Response:
    """A JSON:API answer, with `&` escaped as Go's encoder does it."""
    body = json.dumps(value, separators=(",", ":")).replace("&", "\\u0026").encode()
    kind = {"Content-Type": "application/vnd.api+json", "X-Content-Type-Options": "nosniff"}
    return Response(status, body, {**kind, **_SILENT, **headers})


def refused(status: int, title: str, detail: str) -> Response:
    return said(status, {"errors": [{"title": title, "detail": detail}]})


def legacy(status: int, text: str, *, kind: str = "application/json", **headers: str) -> Response:
    """The older shape."""
    return Response.of(status, {"msg": text}, kind=kind, **headers)


def nothing() -> Response:
    return Response(204, b"", dict(_SILENT))


def no_route() -> Response:
    return Response.html(404, "<h1>Not Found</h1>")


def listing(request: Request, rows: Sequence[Row], included: Sequence[Row] | None, *, links: bool) -> Response:
    """One page. The size is 20 unless asked for, and never over 200."""
    size = min(max(_number(request, "page[size]", 100 if request.path in _HUNDRED else 20), 1), MOST)
    page = max(_number(request, "page[number]", 1), 1)
    pages = max((len(rows) + size - 1) // size, 1)
    value: dict[str, Any] = {"data": rows[(page - 1) * size : page * size]}
    if included is not None:
        value["included"] = included
    if links:
        kept = [pair for pair in request.query if not pair[0].startswith("page[")]

        def link(number: int) -> str:
            query = urlencode([*kept, ("page[number]", str(number)), ("page[size]", str(size))])
            return f"{PRODUCTION}{request.path}?{query}"

        value["links"] = {
            "self": link(page),
            "first": link(1),
            "prev": link(page - 1) if page > 1 else None,
            "next": link(page + 1) if page < pages else None,
            "last": link(pages),
        }
    value["meta"] = {"per_page": size, "current_page": page, "record_count": len(rows), "total_pages": pages}
    return said(200, value)


def _number(request: Request, name: str, default: int) -> int:
    text = request.one(name)
    return int(text) if text.isascii() and text.isdigit() else default


def when(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


# ---- rows ------------------------------------------------------------------------------------------------------------


def key_row(key: Key, quirks: Quirks, *, new: bool = False) -> Row:
    """`created_at` is null in the answer to the upload, as the real one is."""
    elliptic = key.kind != "RSA"
    return {
        "id": key.id,
        "type": "tls_private_key",
        "attributes": {
            "key_length": (quirks.ec_key_length or key.length) if elliptic else key.length,
            "key_type": quirks.ec_key_type if elliptic else key.kind,
            "name": key.name,
            "created_at": None if new else when(key.created),
            "replace": False,
            "public_key_sha1": key.sha1,
        },
    }


def certificate_row(certificate: Certificate, *, names: Sequence[str] | None = None) -> Row:
    """`names`: show these in place of its own."""
    leaf = certificate.leaf
    return {
        "id": certificate.id,
        "type": "tls_certificate",
        "attributes": {
            "created_at": when(certificate.created),
            "issued_to": common_name(leaf.subject),
            "issuer": common_name(leaf.issuer),
            "name": certificate.name,
            "not_after": when(leaf.not_valid_after_utc),
            "not_before": when(leaf.not_valid_before_utc),
            "replace": False,
            "serial_number": str(leaf.serial_number),
            "signature_algorithm": signature_algorithm(leaf),
            "updated_at": when(certificate.updated),
        },
        "relationships": {"tls_domains": _many("tls_domain", certificate.names if names is None else names)},
    }


def bulk_row(certificate: Certificate) -> Row:
    leaf = certificate.leaf
    return {
        "id": certificate.id,
        "type": "tls_bulk_certificate",
        "attributes": {
            "not_after": when(leaf.not_valid_after_utc),
            "not_before": when(leaf.not_valid_before_utc),
            "created_at": when(certificate.created),
            "updated_at": when(certificate.updated),
            "replace": False,
        },
        "relationships": {
            "tls_configurations": _many("tls_configuration", [certificate.bulk or ""]),
            "tls_domains": _many("tls_domain", certificate.names),
        },
    }


def activation_row(activation: Activation, quirks: Quirks) -> Row:
    relations = {
        "tls_certificate": _one("tls_certificate", activation.certificate),
        "tls_configuration": _one("tls_configuration", activation.configuration),
        "tls_domain": _one("tls_domain", activation.domain),
    }
    if quirks.mutual_member or activation.mutual:
        relations["mutual_authentication"] = _one("mutual_authentication", activation.mutual)
    attributes = {"created_at": when(activation.created)}
    return {"id": activation.id, "type": "tls_activation", "attributes": attributes, "relationships": relations}


def configuration_row(configuration: Configuration, *, with_records: bool) -> Row:
    value: Row = {
        "id": configuration.id,
        "type": "tls_configuration",
        "attributes": {
            "bulk": configuration.bulk,
            "created_at": when(configuration.created),
            "default": configuration.default,
            "http_protocols": ["http/1.1", "http/2"],
            "name": configuration.name,
            "tls_protocols": ["1.2", "1.3"],
            "updated_at": when(configuration.updated),
        },
    }
    if with_records:
        ids = [value for _, value, _ in configuration.records]
        value["relationships"] = {"dns_records": _many("dns_record", ids)}
    return value


def record_rows(configurations: Sequence[Configuration]) -> list[Row]:
    records = dict.fromkeys(record for each in configurations for record in each.records)
    return [
        {"id": value, "type": "dns_record", "attributes": {"record_type": kind, "region": region}}
        for kind, value, region in records
    ]


def domain_row(domain: str, estate: Estate) -> Row:
    """Its certificates include the managed ones, which no other listing shows."""
    certificates = [each.id for each in estate.custom() if domain in each.names]
    subscriptions = estate.subscribed(domain)
    certificates += [each.certificate for each in subscriptions if each.certificate]
    active = [each.id for each in estate.activations.values() if each.domain == domain]
    return {
        "id": domain,
        "type": "tls_domain",
        "relationships": {
            "tls_activations": _many("tls_activation", active),
            "tls_certificates": _many("tls_certificate", certificates),
            "tls_subscriptions": _many("tls_subscription", [each.id for each in subscriptions]),
        },
    }


def mutual_row(mutual: Mutual, estate: Estate) -> Row:
    active = [each.id for each in estate.activations.values() if each.mutual == mutual.id]
    return {
        "id": mutual.id,
        "type": "mutual_authentication",
        "attributes": {
            "created_at": when(mutual.created),
            "enforced": mutual.enforced,
            "name": mutual.name,
            "updated_at": when(mutual.updated),
        },
        "relationships": {"tls_activations": _many("tls_activation", active)},
    }


def subscription_row(subscription: Subscription) -> Row:
    issued = subscription.certificate is not None
    return {
        "id": subscription.id,
        "type": "tls_subscription",
        "attributes": {
            "certificate_authority": "certainly",
            "created_at": when(subscription.created),
            "state": "issued" if issued else "pending",
            "has_active_order": not issued,
            "updated_at": when(subscription.created),
        },
        "relationships": {
            "tls_authorizations": _many("tls_authorization", [subscription.authorization]),
            "tls_certificates": _many(
                "tls_certificate", [subscription.certificate] if subscription.certificate else []
            ),
            "tls_domains": _many("tls_domain", subscription.domains),
            "common_name": _one("tls_domain", subscription.domains[0]),
            "tls_configuration": _one("tls_configuration", subscription.configuration),
        },
    }


def subscription_included(subscription: Subscription, estate: Estate, wanted: Sequence[str]) -> list[Row]:
    """What the caller asked to have beside the row; the certificate is the one place where a managed one is shown."""
    rows = []
    if "tls_authorizations" in wanted:
        rows.append(_authorization_row(subscription, estate))
    if "tls_certificates" in wanted and subscription.certificate:
        rows.append(_managed_certificate_row(subscription))
    return rows


def _authorization_row(subscription: Subscription, estate: Estate) -> Row:
    """The ways to prove the first domain: by the label, or by pointing the name at the configuration."""
    domain = subscription.domains[0]
    records = estate.configurations[subscription.configuration].records
    ways = [("managed-dns", "CNAME", f"_acme-challenge.{domain.removeprefix('*.')}", [subscription.validation])]
    if not domain.startswith("*."):
        for kind in ("CNAME", "A"):
            values = [value for each, value, _ in records if each == kind]
            ways += [(f"managed-http-{kind.lower()}", kind, domain, values)] if values else []
    return {
        "id": subscription.authorization,
        "type": "tls_authorization",
        "attributes": {
            "challenges": [
                {"type": way, "record_type": kind, "record_name": name, "values": values}
                for way, kind, name, values in ways
            ],
            "created_at": when(subscription.created),
            "state": "passed" if subscription.certificate else "pending",
            "updated_at": when(subscription.created),
            "warnings": None,
        },
        "relationships": {
            "tls_domain": _one("tls_domain", domain),
            "globalsign_email_challenge": {"data": None},
            "self_managed_http_challenge": {"data": None},
        },
    }


def _managed_certificate_row(subscription: Subscription) -> Row:
    attributes: Row = {"created_at": when(subscription.created), "name": ", ".join(subscription.domains)}
    if subscription.pair:
        leaf = x509.load_pem_x509_certificates(subscription.pair[0].encode())[0]
        attributes |= {
            "issuer": common_name(leaf.issuer),
            "not_after": when(leaf.not_valid_after_utc),
            "not_before": when(leaf.not_valid_before_utc),
            "serial_number": str(leaf.serial_number),
        }
    return {"id": subscription.certificate, "type": "tls_certificate", "attributes": attributes}


def _one(kind: str, identity: str | None) -> Mapping[str, Any]:
    return {"data": {"id": identity, "type": kind} if identity else None}


def _many(kind: str, ids: Sequence[str]) -> Mapping[str, Any]:
    return {"data": [{"id": each, "type": kind} for each in ids]}
