"""One line to one CA: `acme`'s network with what it lacks (acme 5.9).

Nonces are taken from every reply, errors included, under a lock; `badNonce` is answered up to ten times; every refusal
becomes one of our errors and keeps its problem document, 409 included, and its `Retry-After`; contacts are announced;
every request has a time limit and none is sent after the deadline. POSTs are never re-sent otherwise: the nonce is spent.

A CA may be mistaken, or be somebody else: of an answer no more is read than `MOST_BYTES` within `READ_SECONDS`, whatever its
headers promise; a redirect is followed a few times and for GET and HEAD alone; and a CA that is asked by HTTPS cannot send us
to a plain address (RFC 8555 section 6.1).

This logger writes every request and reply at DEBUG. None of them holds a private key. Nothing in certbroker sets it below
INFO unless the user asks for the highest verbosity.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin

import requests
from acme.client import ClientNetwork
from acme.messages import Registration, RegistrationResource
from josepy.errors import DeserializationError
from josepy.interfaces import JSONDeSerializable
from josepy.json_util import decode_b64jose
from josepy.jwa import ES256
from josepy.jwk import JWK
from requests.adapters import BaseAdapter
from urllib3.exceptions import HTTPError, ReadTimeoutError

from certbroker.errors import IssuanceError, IssuerUnavailable
from certbroker.issuer.account_key import algorithm
from certbroker.issuer.ca_pace import CaPace
from certbroker.issuer.messages import Directory, usable
from certbroker.issuer.problem import PREFIX, decoded, printable, refusal
from certbroker.issuer.waiting import patiently
from certbroker.session import CONNECT_SECONDS, READ_SECONDS, USER_AGENT, Http, retry_after
from certbroker.world import Clock

TRIES: Final = 10
"""How often one request is sent before `badNonce` is believed. With 20 % refused nonces, 1 in 10 million fails."""

KEPT_NONCES: Final = 16
"""CAs forget old nonces; a long list of them is a list of refusals."""

MOST_BYTES: Final = 1 << 20
"""Of one answer. The longest honest one, an order for a hundred names or a chain of RSA certificates, is a fiftieth of it."""

MOST_HOPS: Final = 3
"""How often one question is sent on to another address."""

_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{1,512}\Z")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came over the line, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """A 2xx answer, whole. `doing` is what was asked for, for messages; `headers` ignores case."""

    ca: str
    doing: str
    headers: Mapping[str, str]
    body: bytes
    retry_after: float | None

    def object(self) -> dict[str, Any]:
        """Decoded JSON that must be an object. Raises IssuanceError."""
        try:
            value = decoded(self.body)
        except ValueError:
            kind = printable(self.headers.get("Content-Type", "no content type"))
            raise IssuanceError(f"{self.ca} answered {self.doing} with {kind} that is not JSON") from None
        if not isinstance(value, dict):
            raise IssuanceError(f"{self.ca} answered {self.doing} with JSON that is not an object")
        return value

    def text(self) -> str:
        """The body as ASCII text, as PEM must be. Raises IssuanceError."""
        try:
            return self.body.decode("ascii")
        except UnicodeDecodeError:
            raise IssuanceError(f"{self.ca} answered {self.doing} with something that is not text") from None


class _Session(Http):
    """Follows nothing by itself: it would read the whole of a redirect's body first, and take any address."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class CaNetwork(ClientNetwork):
    """One issuer's line. Thread-safe once the account is known.

    Args:
        ca: how the file calls the issuer, for messages.
        verify: a CA bundle's path, or True for the system's.
        plain: addresses without TLS are taken too, for the directory is at such a one.
        deadline: `clock.monotonic()` seconds after which nothing is sent any more.
        pace: how fast it may be asked, shared by all lines to it; None: as fast as it answers.
    """

    def __init__(
        self,
        ca: str,
        *,
        clock: Clock,
        transport: BaseAdapter,
        verify: bool | str,
        plain: bool,
        deadline: float,
        pace: CaPace | None = None,
    ) -> None:
        super().__init__(alg=ES256, user_agent=USER_AGENT)
        self.session = _Session()
        self.verify_ssl = verify  # type: ignore[assignment]  # a path works, acme's annotation is too narrow
        self.session.mount("https://", transport)
        self.session.mount("http://", transport)
        self.session.auth = _as_it_is
        self._ca = ca
        self._plain = plain
        self._clock = clock
        self.deadline = deadline
        self._free: deque[bytes] = deque(maxlen=KEPT_NONCES)
        self._turn = threading.Condition()
        self._in_flight = 0
        self._pace = pace
        self.new_nonce = ""
        self.way = 0.0
        """Seconds of the quickest request so far, there and back; 0 before there was one."""

    def identify(self, key: JWK, account_uri: str | None) -> None:
        """Sign with `key` from now on: as the account, or with the bare key if there is no account yet."""
        self.key = key
        self.alg = algorithm(key)
        self.account = RegistrationResource(body=Registration(), uri=account_uri) if account_uri else None

    def learn(self, directory: Directory) -> None:
        """Where nonces are to be had, and what is asked for where."""
        self.new_nonce = directory.new_nonce
        if self._pace is not None:
            self._pace.learn(directory)

    def stock(self, count: int, pool: Executor) -> None:
        """Have `count` nonces: fetch what lacks in `pool`, each over a connection of its own. So many requests can then be
        under way at once. Not waited for, and a failure is left to be found by who asks next. What is under way brings its own.
        """
        with self._turn:
            missing = max(0, count - len(self._free) - self._in_flight)
            self._in_flight += missing
        for _ in range(missing):
            pool.submit(self._bring_nonce)

    def read(self, url: str, doing: str) -> Reply:
        """An unsigned GET (directory, renewal information).

        Raises:
            RateLimited, IssuerUnavailable, IssuanceError: it refused, cannot be reached, answered something else.
        """
        return self._reply(self._follow("GET", url, doing, {"Accept": "application/json"}), doing)

    def ask(self, url: str, doing: str, payload: JSONDeSerializable | None = None) -> Reply:
        """A signed POST; without payload a POST-as-GET (RFC 8555 section 6.3). Raises as `read` does."""
        nonce = self._take_nonce()
        fresh: bytes | None = None
        try:
            for attempt in range(1, TRIES + 1):
                fresh = None
                data = self._wrap_in_jws(payload, nonce, url)  # type: ignore[arg-type]  # None is POST-as-GET, and nonces are bytes
                answer = self._request("POST", url, doing, {"Content-Type": self.JOSE_CONTENT_TYPE}, data)
                fresh = _nonce_of(answer)
                try:
                    return self._reply(answer, doing)
                except IssuanceError as error:
                    if error.problem_type != PREFIX + "badNonce" or attempt == TRIES:
                        raise
                nonce, fresh = fresh or self._fetch_nonce(), None
            raise AssertionError("the last try returns or raises")
        finally:
            self._give_back(fresh)

    def _take_nonce(self) -> bytes:
        """A nonce from an earlier reply. One is fetched only when none is on its way."""
        with self._turn:
            while not self._free and self._in_flight:
                self._turn.wait()
            self._in_flight += 1
            if self._free:
                return self._free.pop()
        try:
            return self._fetch_nonce()
        except BaseException:
            self._give_back(None)
            raise

    def _bring_nonce(self) -> None:
        found: bytes | None = None
        try:
            found = self._fetch_nonce()
        except IssuanceError:
            pass
        finally:
            self._give_back(found)

    def _give_back(self, nonce: bytes | None) -> None:
        with self._turn:
            self._in_flight -= 1
            if nonce is not None:
                self._free.append(nonce)
            self._turn.notify()

    def _fetch_nonce(self) -> bytes:
        def ask() -> _Answer:
            answer = self._follow("HEAD", self.new_nonce, "a new nonce", {})
            self._reply(answer, "a new nonce")
            return answer

        nonce = _nonce_of(patiently(ask, self._clock, self.deadline))
        if nonce is None:
            raise IssuanceError(f"{self._ca} answered the request for a new nonce without one")
        return nonce

    def _follow(self, method: str, url: str, doing: str, headers: Mapping[str, str]) -> _Answer:
        """An unsigned question, and where its answer sends us."""
        for _ in range(MOST_HOPS):
            answer = self._request(method, url, doing, headers)
            place = answer.headers.get("Location", "")
            if answer.status not in _REDIRECTS or not place:
                return answer
            try:
                url = urljoin(url, place)
            except ValueError:
                url = ""
        raise IssuanceError(f"{self._ca} sends {doing} on and on, from one address to the next")

    def _request(
        self, method: str, url: str, doing: str, headers: Mapping[str, str], data: str | None = None
    ) -> _Answer:
        self._check_address(url, doing)
        in_time = self._pace is None or self._pace.wait(url, self.deadline)
        began = self._clock.monotonic()
        left = self.deadline - began
        if not in_time or left <= 0:
            raise IssuerUnavailable(
                f"no time left to ask {self._ca} for {doing}", hint="the next run goes on from here"
            )
        limits = (min(CONNECT_SECONDS, left), min(READ_SECONDS, left))
        # a compressed answer could be a thousand times what came over the line
        sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        _logger.debug("%s %s %s", method, url, data or "")
        try:
            with self.session.request(
                method,
                url,
                data=data,
                headers=sent,
                timeout=limits,
                verify=self.verify_ssl,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._body(response, doing)
            took = self._clock.monotonic() - began
            self.way = min(self.way or took, took)
        except requests.exceptions.SSLError:
            raise IssuerUnavailable(
                f"{self._ca} showed a certificate we do not trust at {_origin(url)}",
                hint=f"for a CA of your own set ca_bundle in [issuer.{self._ca}]",
            ) from None
        except (requests.exceptions.Timeout, ReadTimeoutError):
            raise IssuerUnavailable(f"{self._ca} did not answer {doing} in time") from None
        except (requests.exceptions.RequestException, HTTPError, OSError) as error:
            raise IssuerUnavailable(
                f"{self._ca} cannot be reached at {_origin(url)} ({type(error).__name__})"
            ) from None
        _logger.debug("%s answered %d %r %r", url, response.status_code, dict(response.headers), body)
        return _Answer(response.status_code, response.headers, body)

    def _check_address(self, url: str, doing: str) -> None:
        if not usable(url):
            raise IssuanceError(f"{self._ca} has no address for {doing} that can be asked")
        if not self._plain and not url.lower().startswith("https:"):
            raise IssuanceError(
                f"{self._ca} is asked by HTTPS and names an address without it for {doing}: {_origin(url)}",
                hint="it is not asked there: anybody on the way could answer in its place",
            )

    def _body(self, response: requests.Response, doing: str) -> bytes:
        """Everything, if it is not too much and comes before it is too late; piece by piece, for each may be slow."""
        latest = min(self.deadline, self._clock.monotonic() + READ_SECONDS)
        body = bytearray()
        while piece := response.raw.read1(MOST_BYTES, decode_content=False):
            body += piece
            if len(body) > MOST_BYTES:
                raise IssuanceError(f"{self._ca} answered {doing} with more than {MOST_BYTES >> 20} MiB")
            if self._clock.monotonic() >= latest:
                raise IssuerUnavailable(f"{self._ca} did not come to the end of its answer to {doing} in time")
        return bytes(body)

    def _reply(self, answer: _Answer, doing: str) -> Reply:
        now = self._clock.now()
        wait = retry_after(answer.headers, now)
        if not 200 <= answer.status < 300:
            kind = answer.headers.get("Content-Type", "")
            raise refusal(self._ca, doing, answer.status, kind, answer.body, wait, now)
        return Reply(self._ca, doing, answer.headers, answer.body, wait)


def _nonce_of(answer: _Answer) -> bytes | None:
    """The reply's nonce; one that is not base64url is as good as none."""
    value = answer.headers.get(ClientNetwork.REPLAY_NONCE_HEADER, "")
    if not _NONCE.match(value):
        return None
    try:
        return decode_b64jose(value)
    except DeserializationError:
        return None


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stops requests from sending a password out of ~/.netrc."""
    return request
