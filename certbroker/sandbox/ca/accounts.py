"""Accounts: making them, external account binding (RFC 8555 7.3.4), key change (7.3.5)."""

from __future__ import annotations

from typing import Any

from josepy.json_util import decode_b64jose
from josepy.jwk import JWK, JWKOct

from certbroker.sandbox.ca import jws
from certbroker.sandbox.ca.books import Account, Books, Call
from certbroker.sandbox.ca.problem import Problem
from certbroker.testkit.simulator import Response


def with_key(books: Books, key: JWK) -> Account | None:
    """The account that this key opens now."""
    thumbprint = key.thumbprint()
    return next((account for account in books.accounts if account.key.thumbprint() == thumbprint), None)


def new(books: Books, call: Call) -> Response:
    """newAccount: 201, or 200 for a key that has an account."""
    assert call.jwk is not None
    account = with_key(books, call.jwk)
    if account is not None and account.status != "valid":
        raise Problem("unauthorized", f"the account is {account.status}")
    status = 200
    if account is None:
        if call.json.get("onlyReturnExisting") is True:
            raise Problem("accountDoesNotExist", "no account has this key")
        if call.json.get("termsOfServiceAgreed") is not True:
            raise Problem("malformed", "the terms of service must be agreed to")
        kid = _bound(books, call)
        account = Account(books.id(), call.jwk.public_key(), eab_kid=kid)
        books.accounts.append(account)
        status = 201
    return Response.of(status, books.show_account(account), Location=call.base + account.path)


def _bound(books: Books, call: Call) -> str | None:
    """The kid of a right external account binding; None where none is asked for and none is sent."""
    binding = call.json.get("externalAccountBinding")
    if binding is None:
        if books.eab_required:
            raise Problem("externalAccountRequired", "this CA wants an external account binding")
        return None
    signed = jws.take(binding, inner=True, algorithms=jws.MAC_ALGORITHMS)
    if signed.url != call.url:
        raise Problem("malformed", "the url of the external account binding is not that of newAccount")
    if signed.kid is None or signed.kid not in books.eab_keys:
        raise Problem("unauthorized", "the kid of the external account binding is not known")
    signed.verify(JWKOct(key=decode_b64jose(books.eab_keys[signed.kid])))
    if not _same_key(signed.json(), call.jwk):
        raise Problem("malformed", "the external account binding is for another account key")
    return signed.kid


def show(books: Books, call: Call, account: Account) -> Response:
    """POST to an account: look (empty), deactivate, or change the contact, which is not kept."""
    if account is not call.owner:
        raise Problem("unauthorized", "this is another's account")
    if call.json.get("status") == "deactivated":
        account.status = "deactivated"
    return Response.of(200, books.show_account(account))


def change_key(books: Books, call: Call) -> Response:
    """keyChange: the outer JWS by the old key, the inner by the new one."""
    inner = jws.take(dict(call.json), inner=True)
    if inner.jwk is None or inner.url != call.url:
        raise Problem("malformed", "the inner JWS carries the new key as jwk, and the same url")
    inner.verify(inner.jwk)
    payload = inner.json()
    if payload.get("account") != call.base + call.owner.path or not _same_key(payload.get("oldKey"), call.owner.key):
        raise Problem("malformed", "the inner payload names another account or another old key")
    other = with_key(books, inner.jwk)
    if other is not None:
        raise Problem(
            "malformed", "the new key has an account", status=409, headers={"Location": call.base + other.path}
        )
    call.owner.key = inner.jwk.public_key()
    return Response.of(200, books.show_account(call.owner))


def _same_key(value: Any, key: JWK | None) -> bool:
    return key is not None and bool(jws.key_of(value).thumbprint() == key.thumbprint())
