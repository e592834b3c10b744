"""Authorizations and challenges: how control of a name is proven, and the passing of time for everything that is open."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from josepy.json_util import encode_b64jose

from certbroker.sandbox.ca import persist
from certbroker.sandbox.ca.books import Authorization, Books, Call, Challenge, Order
from certbroker.sandbox.ca.problem import Problem
from certbroker.testkit.simulator import Response


def settle(books: Books) -> None:
    """Bring everything that is open to the present moment."""
    now, ticks = books.clock.now(), books.clock.monotonic()
    for authorization in books.authorizations:
        if authorization.status == "pending":
            for challenge in authorization.challenges:
                due = challenge.due is not None and challenge.due <= ticks
                if challenge.status == "processing" and due and not books.bad.stuck_validations:
                    _conclude(books, authorization, challenge)
        if authorization.status in ("pending", "valid") and authorization.expires <= now:
            authorization.status = "expired"
    for order in books.orders:
        if order.status in ("pending", "ready"):
            _advance(books, order)
        elif order.status == "processing" and order.due is not None and order.due <= ticks:
            finish(books, order)


def _advance(books: Books, order: Order) -> None:
    states = {authorization.status for authorization in order.authorizations}
    if order.expires <= books.clock.now() or states - {"pending", "valid"}:
        order.status = "invalid"
    elif states == {"valid"}:
        order.status = "ready"


def finish(books: Books, order: Order) -> None:
    """The end of a finalized order: a certificate, or the reason why not."""
    if books.bad.finalize_problem is not None:
        order.status, order.error = "invalid", books.bad.finalize_problem
    else:
        books.issue(order)


def show_authorization(books: Books, call: Call, authorization: Authorization) -> Response:
    if call.json.get("status") == "deactivated":
        authorization.status = "deactivated"
    elif call.payload:
        raise Problem("malformed", "an authorization is fetched with an empty payload, or deactivated")
    headers: dict[str, str] = {}
    if books.bad.retry_after_on_authorizations and authorization.status == "pending":
        headers = books.bad.retry_after_header(books.clock.now())
    return Response.of(200, books.show_authorization(authorization, call.base), **headers)


def answer(books: Books, call: Call, authorization: Authorization, challenge: Challenge) -> Response:
    """POST to a challenge: `{}` starts it, an empty payload only looks (the bite of `acme`: no fields meant no start)."""
    if call.payload and call.payload.strip() != b"{}":
        raise Problem("malformed", "a challenge is answered with exactly {}")
    if call.payload and authorization.status == "pending" and challenge.status == "pending":
        challenge.status = "processing"
        challenge.account_uri = call.base + authorization.account.path
        challenge.due = books.clock.monotonic() + books.bad.validation_seconds
    # what it was when asked: the outcome comes later, as at every real CA
    shown = books.show_challenge(challenge, authorization, call.base)
    return Response.of(200, shown, Link=f'<{call.base}{authorization.path}>;rel="up"', Location=shown["url"])


def _conclude(books: Books, authorization: Authorization, challenge: Challenge) -> None:
    now = books.clock.now()
    problem = _refusal(books, authorization, challenge)
    challenge.validated = now
    challenge.status = authorization.status = "invalid" if problem else "valid"
    challenge.error = problem
    if problem is None:
        authorization.expires = now + books.authorization_life


def _refusal(books: Books, authorization: Authorization, challenge: Challenge) -> Problem | None:
    """Why the proof does not hold, or None."""
    name = authorization.name
    if name in books.bad.validation_problems:
        return books.bad.validation_problems[name]
    check = _CHECKS.get(challenge.type)
    if check is None or (challenge.type == "http-01" and books.fetch is None):
        return Problem("connection", f"this sandbox does not validate {challenge.type}")
    if problem := check(books, authorization, challenge):
        return problem
    if books.caa and (forbidden := books.caa(name, authorization.wildcard)):
        return Problem("caa", f"CAA record for {name} prevents issuance: {forbidden}")
    return None


def _key_authorization(authorization: Authorization, challenge: Challenge) -> str:
    return f"{challenge.token}.{encode_b64jose(authorization.account.key.thumbprint())}"


def _look_in_dns(books: Books, authorization: Authorization, challenge: Challenge) -> Problem | None:
    """RFC 8555 8.4; draft-ietf-acme-dns-account-label."""
    where = f"_acme-challenge.{authorization.name}"
    if challenge.type == "dns-account-01":
        digest = hashlib.sha256(challenge.account_uri.encode()).digest()[:10]
        where = f"_{base64.b32encode(digest).decode().lower()}.{where}"
    wanted = encode_b64jose(hashlib.sha256(_key_authorization(authorization, challenge).encode()).digest())
    try:
        found = books.lookup_txt(where)
    except OSError:
        return Problem("dns", f"DNS problem: SERVFAIL looking up TXT for {where}")
    if not found:
        return Problem("unauthorized", f"No TXT record found at {where}")
    if wanted not in found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return Problem("unauthorized", f'Incorrect TXT record "{found[0]}"{more} found at {where}')
    return None


def _look_for_a_permit(books: Books, authorization: Authorization, challenge: Challenge) -> Problem | None:
    where = f"_validation-persist.{authorization.name}"
    try:
        found = books.lookup_txt(where)
    except OSError:
        return Problem("dns", f"DNS problem: SERVFAIL looking up TXT for {where}")
    why = persist.refusal(
        found,
        identity=books.caa_identity,
        account=challenge.account_uri,
        wildcard=authorization.wildcard,
        now=books.clock.now().timestamp(),
    )
    return Problem("unauthorized", f"No usable TXT record at {where}: {why}") if why else None


def _look_in_the_web(books: Books, authorization: Authorization, challenge: Challenge) -> Problem | None:
    """RFC 8555 8.3; white space at the end of the body does not count."""
    assert books.fetch is not None
    host = f"[{authorization.name}]" if ":" in authorization.name else authorization.name
    path = f"/.well-known/acme-challenge/{challenge.token}"
    try:
        found = books.fetch(host, path).decode("latin-1").rstrip()
    except LookupError as error:
        return Problem("unauthorized", f"Invalid response from http://{host}{path}: {error}")
    except OSError as error:
        return Problem("connection", f"Fetching http://{host}{path}: {error.strerror or type(error).__name__}")
    if found != _key_authorization(authorization, challenge):
        return Problem("unauthorized", f"The key authorization file from http://{host}{path} is not the one expected")
    return None


_CHECKS: Final[Mapping[str, Callable[[Books, Authorization, Challenge], Problem | None]]] = {
    "dns-01": _look_in_dns,
    "dns-account-01": _look_in_dns,
    "dns-persist-01": _look_for_a_permit,
    "http-01": _look_in_the_web,
}
