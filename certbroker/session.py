"""The HTTP session handed to adapters and solvers: time-outs, pacing, redaction, status to our errors.

It never retries. It answers within its deadline or raises `Unavailable`.
"""

from __future__ import annotations

import email.utils
import json as jsonlib
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import ReadTimeoutError

from certbroker import __version__
from certbroker.errors import (
    CredentialsRejected,
    Missing,
    Misunderstood,
    ProviderError,
    Rejected,
    Unavailable,
    UsageError,
)
from certbroker.pacing import Pacer
from certbroker.secret import Secret, without_key
from certbroker.world import Clock

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
"""Of one whole answer, from its first byte to its last (see `transport`)."""
LONGEST_WAIT: Final = 31 * 86400.0
"""Seconds: a service that asks for more patience than this has made a mistake."""
USER_AGENT: Final = f"certbroker/{__version__}"
DETAIL_CHARACTERS: Final = 300
"""How much of a foreign error text we repeat."""

_TAG: Final = re.compile(r"<[^<>]*>")
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, whole. `headers` ignores case."""

    service: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Decoded JSON. Raises Misunderstood if it is none."""
        try:
            return jsonlib.loads(self.body)
        except ValueError:
            kind = self.headers.get("Content-Type", "no content type")
            raise Misunderstood(
                f"{self.service} answered {self.status} with {kind} where JSON belongs", status=self.status
            ) from None

    def object(self) -> dict[str, Any]:
        """Decoded JSON that must be an object."""
        value = self.json()
        if not isinstance(value, dict):
            raise Misunderstood(
                f"{self.service} answered {self.status} with JSON that is not an object", status=self.status
            )
        return value

    def explanation(self) -> str:
        """What the service says is wrong: the shapes our contracts know (JSON:API, problem+json, `message`, `error`, `msg`).

        One printable line; of HTML the words alone. Whole: it is cut after the redaction, or half a token could stay in it.
        """
        try:
            value = jsonlib.loads(self.body)
        except (ValueError, RecursionError):
            return _one_line(_TAG.sub(" ", self.body.decode("utf-8", "replace")))
        return _one_line("; ".join(dict.fromkeys(_texts(value))))


class Http(requests.Session):
    """Which proxy leads to a host is looked up once, not for each request: that took as long as a signature.

    requests goes through the whole environment for it, twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ways: dict[tuple[object, ...], Any] = {}

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        place = (*str(url).split("/", 3)[:3], stream, verify)
        if place not in self._ways:
            self._ways[place] = super().merge_environment_settings(url, proxies, stream, verify, cert)
        return self._ways[place]


@dataclass
class Session:
    """One service, one credential, one row of turns. Thread-safe.

    Args:
        service: how the service is called in messages, e.g. "Fastly".
        base: base URL without final slash.
        deadline: `clock.monotonic()` seconds after which nothing is sent any more.
        authorize: called at the first use; its header values are secrets and redacted everywhere.
        verify: CA bundle path, or True for the system's.
    """

    service: str
    base: str
    transport: BaseAdapter
    clock: Clock
    deadline: float
    pacer: Pacer
    authorize: Callable[[], Mapping[str, Secret]] = field(default=dict)
    verify: bool | str = True
    _credentials: Mapping[str, Secret] | None = field(default=None, init=False, repr=False)
    _http: Http = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._http = Http()
        self._http.mount("https://", self.transport)
        self._http.mount("http://", self.transport)
        self._lock = threading.Lock()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (),
    ) -> Answer:
        """One request. Returns on 2xx and on the statuses in `expect`; everything else is one of our errors.

        Args:
            path: begins with "/"; already percent-encoded.
            query: pairs, encoded here.
            json: a JSON body; sets Content-Type unless `headers` does.

        Raises:
            CredentialsRejected: 401, 402, 403, 412. Missing: 404. Unavailable: 408, 425, 429, 5xx, network, deadline.
            Rejected: any other 4xx. Misunderstood: a redirect or an informational answer.
        """
        url = self.base + path + (f"?{urlencode(query)}" if query else "")
        sent = {"User-Agent": USER_AGENT, "Accept": "application/json", **(headers or {})}
        data = None
        if json is not None:
            sent.setdefault("Content-Type", "application/json")
            data = jsonlib.dumps(json).encode()
        sent.update({name: value.reveal() for name, value in self._authorization().items()})
        waited = self.pacer.wait(self.deadline)
        left = self.deadline - self.clock.monotonic()
        if not waited or left <= 0:
            raise Unavailable(f"no time left to ask {self.service}", hint="the next run goes on from here")
        try:
            response = self._http.request(
                method,
                url,
                data=data,
                headers=sent,
                allow_redirects=False,
                verify=self.verify,
                timeout=(min(CONNECT_SECONDS, left), min(READ_SECONDS, left)),
                auth=_as_it_is,
            )
            answer = Answer(self.service, response.status_code, CaseInsensitiveDict(response.headers), response.content)
        except requests.exceptions.SSLError:
            raise Unavailable(f"{self.service} showed a certificate we do not trust at {self.base}") from None
        except (requests.exceptions.RequestException, OSError) as error:
            if isinstance(error, requests.exceptions.Timeout) or isinstance(
                next(iter(error.args), None), ReadTimeoutError
            ):
                raise Unavailable(f"{self.service} did not answer {method} {path} in time") from None
            raise Unavailable(f"{self.service} cannot be reached ({type(error).__name__})") from None
        if 200 <= answer.status < 300 or answer.status in expect:
            return answer
        raise self._error(method, path, answer, data or b"")

    def redact(self, text: str) -> str:
        """`text` without any of our credentials and without anything that looks like a private key."""
        for value in (self._credentials or {}).values():
            for piece in {value.reveal(), *value.reveal().replace(",", " ").split()}:
                if len(piece) > 7:
                    text = text.replace(piece, "…")
        return _PRIVATE_KEY.sub("…", text)

    def _authorization(self) -> Mapping[str, Secret]:
        with self._lock:
            if self._credentials is None:
                try:
                    self._credentials = dict(self.authorize())
                except UsageError as error:  # the secret that the file points to is not there
                    raise CredentialsRejected(
                        f"no credentials for {self.service}: {error.what}", hint=error.hint
                    ) from None
            return self._credentials

    def _error(self, method: str, path: str, answer: Answer, sent: bytes) -> ProviderError:
        told = without_key(answer.explanation(), sent.decode())
        said = self.redact(told)[:DETAIL_CHARACTERS]
        quoted = f': "{said}"' if said else ""
        where = f"{method} {path}"
        status = answer.status
        if status in (401, 402, 403, 412):
            return CredentialsRejected(
                f"{self.service} refused the credentials ({status}, {where}){quoted}", status=status
            )
        if status == 404:
            return Missing(f"{self.service} does not know {path} (404){quoted}", status=status)
        if status in (408, 425, 429) or status >= 500:
            wait = retry_after(answer.headers, self.clock.now())
            return Unavailable(f"{self.service} answered {status} to {where}{quoted}", retry_after=wait, status=status)
        if 400 <= status < 500:
            return Rejected(f"{self.service} refused {where} ({status}){quoted}", status=status)
        return Misunderstood(f"{self.service} answered {status} to {where}", status=status)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stops requests from taking a password for this host out of ~/.netrc and putting it in the place of ours."""
    return request


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait as the answer asks: `Retry-After` in both forms (RFC 9110 10.2.3), else a `...RateLimit-Reset` (Unix time).

    None if it asks nothing or what it says cannot be read. Never negative, and no longer than LONGEST_WAIT.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), LONGEST_WAIT)
    if value:
        try:
            moment = email.utils.parsedate_to_datetime(value)
        except (ValueError, TypeError, OverflowError):
            return None
        wait = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
        return min(max(0.0, wait), LONGEST_WAIT)
    for name in ("Fastly-RateLimit-Reset", "X-RateLimit-Reset"):
        reset = headers.get(name, "").strip()
        if reset.isascii() and reset.isdigit():
            return min(max(0.0, float(reset) - now.timestamp()), LONGEST_WAIT)
    return None


def _one_line(text: str) -> str:
    """Nothing that a terminal would obey."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _texts(value: Any) -> list[str]:
    """The human sentences in an error body, outermost first."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if not isinstance(value, dict):
        return []
    found: list[str] = []
    for key in ("title", "msg", "message", "error", "detail"):
        if isinstance(value.get(key), str):
            found.append(value[key])
    errors = value.get("errors")
    if isinstance(errors, dict):
        found += [f"{name}: {text}" for name, texts in errors.items() for text in _texts(texts)]
    elif isinstance(errors, list):
        found += _texts(errors)
    return found
