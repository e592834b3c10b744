"""Orders, from newOrder to the certificate (RFC 8555 7.4), with profiles and `replaces`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from josepy.errors import Error as JoseError
from josepy.json_util import decode_b64jose

from certbroker import keys
from certbroker.errors import BadMaterial
from certbroker.names import NAME, is_address
from certbroker.sandbox.ca import proving, renewal
from certbroker.sandbox.ca.authority import Profile, PublicKey
from certbroker.sandbox.ca.books import Authorization, Books, Call, Issued, Order, moment
from certbroker.sandbox.ca.jws import UNPADDED, thumbprint
from certbroker.sandbox.ca.problem import Problem
from certbroker.testkit.simulator import Response


def new(books: Books, call: Call) -> Response:
    """newOrder: 201 with a new order, or an old one where the CA is in that mood."""
    if not call.payload:
        raise Problem("malformed", "newOrder needs a payload")
    if "notBefore" in call.json or "notAfter" in call.json:
        raise Problem("malformed", "notBefore and notAfter are not supported")
    profile = _profile(books, call.json.get("profile"))
    names = _names(books, call.json, profile)
    replaced = renewal.replaced_by(books, call, names)
    _limits(books, replaced)
    old = _old_one(books, call, names, profile) if books.bad.reuse_orders else None
    order = old or Order(
        books.id(),
        call.owner,
        names,
        profile,
        books.clock.now() + books.order_life,
        [_authorization(books, call, name) for name in names],
    )
    if old is None:
        order.replaces = replaced.cert_id if replaced else None
        books.orders.append(order)
        books.new_orders += 1
        proving.settle(books)
    return Response.of(201, books.show_order(order, call.base), Location=call.base + order.path)


def _limits(books: Books, replaced: Issued | None) -> None:
    """A renewal inside its suggested window is exempt from every limit, as at Let's Encrypt."""
    if books.bad.terms_changed:
        raise Problem("userActionRequired", "the terms of service have changed; agree to them at https://example.test/")
    if replaced is not None and renewal.inside_window(books, replaced):
        return
    if books.bad.rate_limited > 0:
        books.bad.rate_limited -= 1
        seconds = books.bad.rate_limit_seconds
        when = books.clock.now() + timedelta(seconds=seconds)
        raise Problem(
            "rateLimited",
            f"too many new orders recently, retry after {moment(when)}",
            headers=books.bad.retry_after_header(books.clock.now(), seconds),
        )


def _profile(books: Books, asked: Any) -> Profile:
    if asked is None or asked == "":
        return next(iter(books.profiles.values()))
    if asked not in books.profiles:
        raise Problem("invalidProfile", f'the profile "{asked}" is not offered')
    return books.profiles[asked]


def _names(books: Books, payload: Mapping[str, Any], profile: Profile) -> tuple[str, ...]:
    asked = payload.get("identifiers")
    if not isinstance(asked, list) or not asked:
        raise Problem("malformed", "an order names at least one identifier")
    names: list[str] = []
    for identifier in asked:
        if not isinstance(identifier, dict) or not isinstance(identifier.get("value"), str):
            raise Problem("malformed", "an identifier has a type and a value")
        if identifier.get("type") not in ("dns", "ip"):
            raise Problem("unsupportedIdentifier", f"identifiers of type {identifier.get('type')} are not supported")
        if identifier["type"] == "ip" and not profile.addresses:
            raise Problem("rejectedIdentifier", f'Profile "{profile.name}" does not permit ip type identifiers')
        if (identifier["type"] == "ip") is not _as_an_address(identifier["value"]):
            raise Problem("malformed", f"{identifier['value']!r} is no {identifier['type']} identifier")
        names.append(identifier["value"])
    if len(names) > profile.most_names:
        raise Problem("malformed", f"at most {profile.most_names} names fit a certificate of {profile.name}")
    refusals = [_refusal(books, name) for name in names]
    bad = [problem for problem in refusals if problem is not None]
    if len(bad) == 1:
        raise bad[0]
    if bad:
        raise Problem("malformed", f"{len(bad)} identifiers are refused", subproblems=bad)
    return tuple(dict.fromkeys(names))


def _as_an_address(text: str) -> bool:
    """RFC 8738 section 3: an address in the form of RFC 5952, and no other."""
    try:
        return str(ipaddress.ip_address(text)) == text
    except ValueError:
        return False


def _refusal(books: Books, name: str) -> Problem | None:
    if name in books.bad.refused_names:
        problem = books.bad.refused_names[name]
        return Problem(problem.kind, problem.detail, status=problem.status, name=name)
    if not is_address(name) and not NAME.fullmatch(name):
        return Problem("rejectedIdentifier", f"{name!r} is not a name that can be certified", name=name)
    return None


def _old_one(books: Books, call: Call, names: tuple[str, ...], profile: Profile) -> Order | None:
    for order in reversed(books.orders):
        alike = order.account is call.owner and sorted(order.names) == sorted(names) and order.profile == profile
        if alike and order.status in ("pending", "ready"):
            return order
    return None


def _authorization(books: Books, call: Call, name: str) -> Authorization:
    base, wildcard = name.removeprefix("*."), name.startswith("*.")
    if books.bad.reuse_authorizations:
        for known in reversed(books.authorizations):
            if (known.account, known.name, known.wildcard, known.status) == (call.owner, base, wildcard, "valid"):
                return known
    return books.authorize(call.owner, name)


def show(books: Books, call: Call, order: Order) -> Response:
    if call.payload:
        raise Problem("malformed", "an order is fetched with an empty payload")
    return _shown(books, call, order)


def finalize(books: Books, call: Call, order: Order) -> Response:
    """Takes the CSR. Signs at once, or after a while of `processing`."""
    if order.status != "ready":
        raise Problem("orderNotReady", f"the order is {order.status}")
    order.key = _signing_request(books, call, order)
    books.finalizations += 1
    if books.bad.finalize_seconds is None:
        proving.finish(books, order)
    else:
        order.status = "processing"
        order.due = books.clock.monotonic() + books.bad.finalize_seconds
    return _shown(books, call, order)


def _shown(books: Books, call: Call, order: Order) -> Response:
    headers = books.bad.retry_after_header(books.clock.now()) if order.status == "processing" else {}
    return Response.of(200, books.show_order(order, call.base), Location=call.base + order.path, **headers)


def _signing_request(books: Books, call: Call, order: Order) -> PublicKey:
    """The key that the CSR asks to certify. Raises Problem (badCSR, badPublicKey)."""
    text = call.json.get("csr")
    if not isinstance(text, str) or not UNPADDED.fullmatch(text):
        raise Problem("malformed", "csr is not base64url without padding")
    try:
        csr = x509.load_der_x509_csr(decode_b64jose(text))
        key = csr.public_key()
        signed = csr.is_signature_valid
        names = {str(attribute.value) for attribute in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
        san = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, JoseError, UnsupportedAlgorithm, x509.ExtensionNotFound):
        raise Problem("badCSR", "the CSR cannot be read, or has no SAN") from None
    if not signed:
        raise Problem("badCSR", "the CSR's signature is wrong")
    listed = {*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))}
    if listed | names != set(order.names) or len(list(san)) != len(listed):
        raise Problem("badCSR", "the CSR's names are not those of the order")
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise Problem("badCSR", "the CSR's key is neither ECDSA nor RSA")
    try:
        keys.key_type_of(key)
    except BadMaterial as error:
        raise Problem("badCSR", error.what) from None
    print_of_key = thumbprint(key)
    if any(print_of_key == account.key.thumbprint() for account in books.accounts):
        raise Problem("badCSR", "the CSR's key is an account key")
    if print_of_key in books.blocked_keys:
        raise Problem("badCSR", "the CSR's key was reported as compromised")
    return key


def certificate(books: Books, call: Call, issued: Issued, number: int) -> Response:
    """The chain as PEM; 0 is the default, the others are linked as alternates."""
    if call.payload:
        raise Problem("malformed", "a certificate is fetched with an empty payload")
    links = [
        f'<{call.base}{issued.path}{f"/{other}" if other else ""}>;rel="alternate"'
        for other in range(len(issued.chains))
        if other != number and not books.bad.alternates_hidden
    ]
    headers = {"Content-Type": "application/pem-certificate-chain", **({"Link": ", ".join(links)} if links else {})}
    if number and books.bad.broken_alternates > 0:
        books.bad.broken_alternates -= 1
        return Response(200, b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", headers)
    return Response(200, issued.chains[number].encode(), headers)
