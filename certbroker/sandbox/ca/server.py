"""The embedded CA: a Simulator that speaks ACME (RFC 8555, RFC 9773, profiles) and checks everything a real CA checks.

It marks every certificate NOT TRUSTED and keeps its keys in memory. Its moods and bad days are `SandboxCA.bad`; what breaks
the line between it and a client is `SandboxCA.faults`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import random
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

from josepy.json_util import encode_b64jose
from josepy.jwk import JWK

from certbroker import keys
from certbroker.model import KeyType
from certbroker.sandbox.ca import accounts, jws, leaks, ordering, proving, renewal
from certbroker.sandbox.ca.authority import Authority, profiles, to_pem
from certbroker.sandbox.ca.badday import BadDays
from certbroker.sandbox.ca.books import CAA_IDENTITY, Account, Authorization, Books, Call, Issued, Order
from certbroker.sandbox.ca.bucket import Bucket
from certbroker.sandbox.ca.problem import Problem
from certbroker.secret import Secret
from certbroker.testkit.simulator import Request, Response, Simulator
from certbroker.world import Clock

DIRECTORY: Final = "/dir"
_NAMED: Final = re.compile(r"/(acct|authz|chall|order|cert|ari)/([^/]+)(/[a-z0-9]+)?")

RECENT: Final = 8
"""Certificates whose private key is recognized by its number alone."""

_logger: Final = logging.getLogger(__name__)

Thing = TypeVar("Thing", Account, Authorization, Order)


class SandboxCA(Simulator):
    """`serve(SandboxCA(...))` or a `SimulatorTransport` reaches it; the directory is at `/dir`.

    Args:
        clock: its time: validity, expiries, windows, waits.
        rng: its chance: ids, tokens, nonces, serial numbers, refused nonces. (Keys come from the system, as they must.)
        lookup_txt: what DNS says: TXT values of a name, CNAMEs followed; empty if there are none; OSError if DNS fails.
        fetch: what the web says: the body at a host (a DNS name, or an IP address as in a URL) and a path; OSError if nobody
            answers, LookupError (its text is told) if it answers anything but 200. None: http-01 is not validated.
        chain_length: certificates in a chain as served, 2 to 4.
        alternates: so many other chains, each to a root of its own.
        eab_keys: external account binding: kid to base64url HMAC key.
        eab_required: newAccount wants one.
        caa_identity: the domain that CAA records call it by.
        base_url: what its URLs begin with; by default the `Host` that is asked.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        lookup_txt: Callable[[str], list[str]],
        fetch: Callable[[str, str], bytes] | None = None,
        chain_length: int = 2,
        alternates: int = 0,
        eab_keys: Mapping[str, str] | None = None,
        eab_required: bool = False,
        caa_identity: str = CAA_IDENTITY,
        base_url: str | None = None,
    ) -> None:
        super().__init__()
        authority = Authority(clock, rng, chain_length=chain_length, alternates=alternates)
        self.books = Books(clock, rng, authority, BadDays(), profiles(), lookup_txt, fetch)
        self.books.eab_keys = dict(eab_keys or {})
        self.books.eab_required = eab_required
        self.books.caa_identity = caa_identity
        self.base_url = base_url
        self.violations: list[str] = []
        """Private key material that a client sent. Must stay empty."""
        self.refusals: list[Problem] = []
        """Every problem that was answered."""
        self.hurried: list[str] = []
        """Paths that were asked for faster than `bad.most_per_second` allows."""
        self._nonces: set[str] = set()
        self._buckets: dict[str, Bucket] = {}

    # what tests look at and turn

    @property
    def bad(self) -> BadDays:
        return self.books.bad

    @property
    def issued(self) -> list[Issued]:
        return self.books.issued

    @property
    def orders(self) -> list[Order]:
        return self.books.orders

    @property
    def accounts(self) -> list[Account]:
        return self.books.accounts

    @property
    def new_orders(self) -> int:
        """How many orders were made; one handed back is not made."""
        return self.books.new_orders

    @property
    def finalizations(self) -> int:
        return self.books.finalizations

    @property
    def roots_pem(self) -> str:
        return self.books.authority.roots_pem

    def set_lifetime(self, profile: str, lifetime: timedelta) -> None:
        """Of certificates ordered from now on."""
        self.books.profiles[profile] = dataclasses.replace(self.books.profiles[profile], lifetime=lifetime)

    def set_caa(self, hook: Callable[[str, bool], str | None] | None) -> None:
        """Asked at each validation with (base name, wildcard): the CAA record that forbids it, or None."""
        self.books.caa = hook

    def find(self, certificate: str | int) -> Issued:
        """By fingerprint or serial. Raises KeyError."""
        for issued in self.books.issued:
            if certificate in (issued.fingerprint, issued.serial):
                return issued
        raise KeyError(certificate)

    def set_window(
        self, certificate: str | int, start: datetime, end: datetime, explanation: str | None = None
    ) -> None:
        """What renewalInfo suggests, however strange (`end` before `start`)."""
        issued = self.find(certificate)
        issued.window, issued.explanation = (start, end), explanation

    def set_renewal_info(self, certificate: str | int, body: bytes | None) -> None:
        """Answer exactly this when asked for renewal information; None: be reasonable again."""
        self.find(certificate).renewal_info = body

    def revoke(self, certificate: str | int, reason: int = 0) -> None:
        """As the CA does by itself. Its window moves into the past."""
        renewal.revoke(self.books, self.find(certificate), reason)

    def issue_directly(self, *names: str) -> tuple[str, Secret]:
        """(chain, key) for these names without any order, e.g. what a platform has by itself. Not among `issued`."""
        key = keys.generate(KeyType.P256)
        public = keys.load_key(key).public_key()
        with self._lock:
            leaf = self.books.authority.issue(public, names, next(iter(self.books.profiles.values())))
            return to_pem(self.books.authority.chains(leaf)[0]), key

    # the wire

    def answer(self, request: Request) -> Response:
        base = self.base_url or f"http://{request.headers.get('Host', 'ca.sandbox.test')}"
        proving.settle(self.books)
        if self._too_fast(request.path):
            self.hurried.append(request.path)
            page = b"<html><h1>503 Service Temporarily Unavailable</h1></html>"
            return Response(503, page, {"Content-Type": "text/html", "Retry-After": "1"})
        try:
            self._search(request)
            response = self._signed(request, base) if request.method == "POST" else self._plain(request, base)
        except Problem as problem:
            self.refusals.append(problem)
            document = json.dumps(problem.document()).encode()
            headers = {"Content-Type": "application/problem+json", **problem.headers}
            response = Response(problem.status, document, headers)
        proving.settle(self.books)
        links = [response.headers["Link"]] if "Link" in response.headers else []
        headers = {**response.headers, "Link": ", ".join([*links, f'<{base}{DIRECTORY}>;rel="index"'])}
        if request.method == "POST" or request.path == "/nonce":
            headers |= {"Replay-Nonce": self._nonce(), "Cache-Control": "no-store"}
        return Response(response.status, response.body, headers)

    def _too_fast(self, path: str) -> bool:
        """As a load balancer sees it, before the CA looks at anything."""
        limits = self.bad.most_per_second
        mine = max((begin for begin in limits if path.startswith(begin)), key=len, default=None)
        if mine is None:
            return False
        bucket = self._buckets.setdefault(mine, Bucket(*limits[mine]))
        return not bucket.pour(self.books.clock.monotonic())

    def _search(self, request: Request) -> None:
        """Whatever it asks for: a private key in it is told to everybody who listens, and goes no further."""
        known = [*(account.key for account in self.accounts), *_shown(request)]
        public = [key.key.public_numbers().public_key() for key in known]
        public += [issued.leaf.public_key() for issued in self.issued[-RECENT:]]
        secrets = [key.rstrip("=").encode() for key in self.books.eab_keys.values()]
        if found := list(leaks.anywhere(request, leaks.Known(public, secrets))):
            self.violations += found
            _logger.critical("private key material in %s %s: %s", request.method, request.path, "; ".join(found))
            raise Problem("malformed", "the request holds private key material")

    def _plain(self, request: Request, base: str) -> Response:
        if request.path == DIRECTORY and request.method == "GET":
            return Response.of(200, self._directory(base))
        if request.path == "/nonce":
            return Response(200 if request.method == "HEAD" else 204)
        named = _NAMED.fullmatch(request.path)
        if named and named[1] == "ari" and request.method == "GET":
            return renewal.information(self.books, named[2])
        raise Problem("malformed", f"{request.method} is not for this resource", status=405 if named else 404)

    def _directory(self, base: str) -> dict[str, object]:
        return {
            "newNonce": f"{base}/nonce",
            "newAccount": f"{base}/new-account",
            "newOrder": f"{base}/new-order",
            "revokeCert": f"{base}/revoke-cert",
            "keyChange": f"{base}/key-change",
            "renewalInfo": f"{base}/ari",
            "meta": {
                "termsOfService": f"{base}/terms",
                "website": "https://example.test/certbroker-sandbox-NOT-TRUSTED",
                "caaIdentities": [self.books.caa_identity],
                "externalAccountRequired": self.books.eab_required,
                "profiles": {profile.name: profile.description for profile in self.books.profiles.values()},
            },
            # boulder adds such an entry too, so that clients learn to ignore what they do not know
            f"x{self.books.rng.getrandbits(48):012x}": "https://example.test/adding-random-entries-to-the-directory",
        }

    def _signed(self, request: Request, base: str) -> Response:
        if not request.headers.get("User-Agent"):
            raise Problem("malformed", "a client names itself in User-Agent (RFC 8555 6.1)")
        if request.headers.get("Content-Type") != "application/jose+json":
            raise Problem("malformed", "a request is of the type application/jose+json", status=415)
        call = self._verify(jws.read(request.body), request.path, base)
        return self._route(call)

    def _verify(self, signed: jws.Signed, path: str, base: str) -> Call:
        known = signed.nonce in self._nonces
        self._nonces.discard(signed.nonce or "")
        if not known or self.books.rng.random() < self.bad.rejected_nonces:
            raise Problem("badNonce", "the nonce is not one of ours, or was used before")
        if signed.url != base + path:
            raise Problem("unauthorized", "the url in the protected header is not the one that was asked")
        account = None
        if signed.jwk is not None:
            if path not in ("/new-account", "/revoke-cert"):
                raise Problem("malformed", "this request is signed with kid, not with jwk")
            signed.verify(signed.jwk)
        else:
            if path == "/new-account":
                raise Problem("malformed", "newAccount is signed with jwk, not with kid")
            account = next((known for known in self.accounts if base + known.path == signed.kid), None)
            if account is None:
                raise Problem("accountDoesNotExist", "the kid is not the URL of an account")
            signed.verify(account.key)
            if account.status != "valid":
                raise Problem("unauthorized", f"the account is {account.status}")
        content = signed.json() if signed.payload else {}
        if "resource" in content:
            raise Problem("malformed", 'the draft\'s "resource" member is gone since RFC 8555')
        return Call(path, base, signed.payload, content, account, signed.jwk)

    def _route(self, call: Call) -> Response:
        books = self.books
        if call.path == "/new-account":
            return accounts.new(books, call)
        if call.path == "/revoke-cert":
            return renewal.revoke_by_request(books, call)
        if call.path == "/new-order":
            return ordering.new(books, call)
        if call.path == "/key-change":
            return accounts.change_key(books, call)
        if named := _NAMED.fullmatch(call.path):
            kind, number, tail = named.groups()
            if kind == "acct" and not tail:
                return accounts.show(books, call, self._mine(call, books.accounts, number))
            if kind == "order":
                order = self._mine(call, books.orders, number)
                if tail == "/finalize":
                    return ordering.finalize(books, call, order)
                if not tail:
                    return ordering.show(books, call, order)
            if kind == "authz" and not tail:
                return proving.show_authorization(books, call, self._mine(call, books.authorizations, number))
            if kind == "chall" and not tail:
                return self._challenge(call, number)
            if kind == "cert":
                return self._certificate(call, number, int(tail[1:]) if tail and tail[1:].isdigit() else 0)
        raise Problem("malformed", "there is no such resource", status=404)

    def _mine(self, call: Call, things: Sequence[Thing], number: str) -> Thing:
        for thing in things:
            if thing.id == number:
                if (thing if isinstance(thing, Account) else thing.account) is not call.owner:
                    raise Problem("unauthorized", "this belongs to another account")
                return thing
        raise Problem("malformed", "there is no such resource", status=404)

    def _challenge(self, call: Call, number: str) -> Response:
        for authorization in self.books.authorizations:
            for challenge in authorization.challenges:
                if challenge.id == number:
                    self._mine(call, [authorization], authorization.id)
                    return proving.answer(self.books, call, authorization, challenge)
        raise Problem("malformed", "there is no such challenge", status=404)

    def _certificate(self, call: Call, serial: str, number: int) -> Response:
        issued = next((known for known in self.issued if f"{known.serial:x}" == serial), None)
        if issued is None or number >= len(issued.chains):
            raise Problem("malformed", "there is no such certificate", status=404)
        if issued.account is not call.owner:
            raise Problem("unauthorized", "this is another account's certificate")
        return ordering.certificate(self.books, call, issued, number)

    def _nonce(self) -> str:
        nonce = encode_b64jose(self.books.rng.randbytes(16))
        self._nonces.add(nonce)
        return str(nonce)


def _shown(request: Request) -> list[JWK]:
    """The key that the request itself is signed with, if it shows it."""
    try:
        jwk = jws.read(request.body).jwk
    except Problem:
        return []
    return [] if jwk is None else [jwk]
