"""When to renew, what a new order replaces (RFC 9773), and revocation (RFC 8555 7.6). The rules are boulder's."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509
from josepy.errors import Error as JoseError
from josepy.json_util import decode_b64jose

from certbroker.sandbox.ca import jws
from certbroker.sandbox.ca.books import Account, Books, Call, Issued, moment
from certbroker.sandbox.ca.problem import Problem
from certbroker.testkit.simulator import Response

SHORT_LIFE: Final = timedelta(days=10)
"""Below it the window lies around half of the life, else around two thirds."""
REASONS: Final = frozenset({0, 1, 4, 5})
"""unspecified, keyCompromise, superseded, cessationOfOperation: what a subscriber may say."""
KEY_COMPROMISE: Final = 1


def window(issued: Issued, now: datetime) -> tuple[datetime, datetime]:
    """Set by a test, in the past for a revoked one, else by the lifetime: 1 % of it to both sides."""
    if issued.revoked_at is not None:
        return now - timedelta(hours=1), now - timedelta(minutes=30)
    if issued.window is not None:
        return issued.window
    starts, ends = issued.leaf.not_valid_before_utc, issued.leaf.not_valid_after_utc
    life = ends - starts
    middle = starts + life * (1 / 2 if life < SHORT_LIFE else 2 / 3)
    return middle - life / 100, middle + life / 100


def inside_window(books: Books, issued: Issued) -> bool:
    start, end = window(issued, books.clock.now())
    return start <= books.clock.now() < end


def information(books: Books, cert_id: str) -> Response:
    """GET renewalInfo/<certID>; nobody signs that."""
    issued = _by_cert_id(books, cert_id)
    headers = {} if books.bad.ari_seconds is None else {"Retry-After": str(books.bad.ari_seconds)}
    if issued.renewal_info is not None:
        return Response(200, issued.renewal_info, {"Content-Type": "application/json", **headers})
    start, end = window(issued, books.clock.now())
    answer: dict[str, Any] = {"suggestedWindow": {"start": moment(start), "end": moment(end)}}
    if issued.explanation:
        answer["explanationURL"] = issued.explanation
    return Response(200, json.dumps(answer).encode(), {"Content-Type": "application/json", **headers})


def replaced_by(books: Books, call: Call, names: tuple[str, ...]) -> Issued | None:
    """The certificate that a new order says it replaces. Raises Problem as boulder does; None if it says nothing."""
    cert_id = call.json.get("replaces")
    if cert_id is None:
        return None
    issued = _by_cert_id(books, str(cert_id))
    if issued.account is not call.owner:
        raise Problem("unauthorized", "the certificate to be replaced is another account's")
    if any(order.replaces == cert_id and order.status != "invalid" for order in books.orders):
        raise Problem("alreadyReplaced", "the certificate already has a replacement order")
    if not set(issued.names) & set(names):
        raise Problem("malformed", "the certificate to be replaced shares no identifier with the order")
    return issued


def _by_cert_id(books: Books, cert_id: str) -> Issued:
    key_id, dot, serial = cert_id.partition(".")
    if not (key_id and dot and serial) or not jws.UNPADDED.fullmatch(key_id + serial):
        raise Problem("malformed", "not a certificate identifier of RFC 9773")
    for issued in books.issued:
        if issued.cert_id == cert_id:
            return issued
    raise Problem("malformed", "no certificate has this identifier", status=404)


def revoke_by_request(books: Books, call: Call) -> Response:
    """revokeCert, by the account that ordered it (or has proven all its names), or by the certificate's own key."""
    text, reason = call.json.get("certificate"), call.json.get("reason", 0)
    if not isinstance(text, str) or not jws.UNPADDED.fullmatch(text):
        raise Problem("malformed", "certificate is not base64url without padding")
    try:
        leaf = x509.load_der_x509_certificate(decode_b64jose(text))
    except (ValueError, JoseError):
        raise Problem("malformed", "the certificate cannot be read") from None
    issued = next((known for known in books.issued if known.leaf == leaf), None)
    if issued is None:
        raise Problem("malformed", "this CA has not issued that certificate", status=404)
    if reason not in REASONS:
        raise Problem("badRevocationReason", f"the reason {reason} is not for subscribers")
    own_key = call.jwk is not None and call.jwk.thumbprint() == jws.thumbprint(leaf.public_key())
    if call.account is None and not own_key:
        raise Problem("unauthorized", "the key is not the certificate's")
    if call.account is not None and call.account is not issued.account and not _proven(books, call.account, issued):
        raise Problem("unauthorized", "the account has not proven all names of the certificate")
    if issued.revoked_at is not None:
        raise Problem("alreadyRevoked", "the certificate was revoked before")
    revoke(books, issued, KEY_COMPROMISE if own_key else int(reason))
    return Response(200)


def revoke(books: Books, issued: Issued, reason: int) -> None:
    issued.revoked_at, issued.reason = books.clock.now(), reason
    if reason == KEY_COMPROMISE and (key := jws.thumbprint(issued.leaf.public_key())):
        books.blocked_keys.add(key)


def _proven(books: Books, account: Account, issued: Issued) -> bool:
    held = {(a.name, a.wildcard) for a in books.authorizations if a.account is account and a.status == "valid"}
    return all((name.removeprefix("*."), name.startswith("*.")) in held for name in issued.names)
