"""One certificate's way through an order: what was asked, where the journal stands, what the CA last said."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from josepy.jwk import JWK

from certbroker.challenges import Means
from certbroker.errors import (
    ChallengeFailed,
    IssuanceError,
    IssuerUnavailable,
)
from certbroker.issuer.messages import Authorization, Challenge, Order
from certbroker.issuer.problem import HINTS, Problem, rate_limited
from certbroker.issuer.request import OrderRequest, Refusal
from certbroker.issuer.waiting import Pace
from certbroker.model import Method, Version
from certbroker.secret import Secret
from certbroker.store import OrderRow


@dataclass(frozen=True, slots=True)
class Proof:
    """One challenge to be met: `value` as TXT at `name`, or as the answer for `name` over HTTP.

    Without a value there is nothing to put anywhere: the proof stands.
    """

    authorization: Authorization
    challenge: Challenge
    name: str
    value: str


@dataclass
class Work:
    """One request on its way. `outcome` is set once, then it is left alone."""

    request: OrderRequest
    outcome: Version | Refusal | None = None
    row: OrderRow | None = None
    order: Order | None = None
    key: Secret | None = None
    began: float = 0.0
    step: str = "order"
    """Where it is on its way: `order`, `authorizations`, `challenge`, `finalize`."""
    step_began: float = 0.0
    proofs: list[Proof] = field(default_factory=list)
    pace: Pace = field(default_factory=Pace)
    look_at: float = 0.0
    until: float = 0.0
    """After this moment (monotonic seconds) the order is left to the next run."""
    stale: bool = True
    """`order` is not what the CA said just now."""
    stumbles: int = 0
    knocks: int = 0
    """How often the CA was too busy to take the order."""
    pause: float = 0.0
    """Seconds until it may be asked for the order again."""

    @property
    def uri(self) -> str:
        assert self.journal.uri is not None
        return self.journal.uri

    @property
    def journal(self) -> OrderRow:
        assert self.row is not None
        return self.row

    @property
    def state(self) -> Order:
        assert self.order is not None
        return self.order

    def heard(self, order: Order) -> None:
        """The CA has just said this."""
        self.order = order
        self.stale = False

    def look_later(self, now: float, pace: Pace, retry_after: float | None = None) -> None:
        """What is known is old as of `now` (monotonic seconds); look again when `pace` says."""
        self.pace = pace
        self.stale = True
        self.look_at = now + pace.step(retry_after)


def unfinished(works: Iterable[Work]) -> list[Work]:
    """Those without an outcome."""
    return [work for work in works if work.outcome is None]


def proof(ca: str, authorization: Authorization, key: JWK, means: Means) -> Proof:
    """The proof (RFC 8555 section 8). Raises IssuanceError if the CA does not offer this method for this name."""
    challenge = authorization.challenge(ca, means.method)
    if means.method is Method.DNS_PERSIST_01:
        if not challenge.issuers:
            raise IssuanceError(
                f"{ca} gave the {challenge.type} challenge of {authorization.pattern} without its domains"
            )
        return Proof(authorization, challenge, authorization.name, "")
    if challenge.token is None:
        raise IssuanceError(
            f"{ca} gave the {challenge.type} challenge of {authorization.pattern} without a usable token"
        )
    key_authorization = f"{challenge.token}.{_base64url(key.thumbprint())}"
    if means.method is Method.HTTP_01:
        return Proof(authorization, challenge, authorization.name, key_authorization)
    value = _base64url(hashlib.sha256(key_authorization.encode()).digest())
    return Proof(authorization, challenge, means.owner(authorization.name), value)


def explained(ca: str, authorizations: Sequence[Authorization], order: Order) -> IssuanceError:
    """Why the order is invalid: every name that failed with the CA's words, else the order's own problem."""
    said = [text for authorization in authorizations for text in authorization.problems()]
    failed = [a.pattern for a in authorizations if a.problems()]
    if failed:
        failing = [(c.type, c.error) for a in authorizations for c in a.challenges if c.error]
        problems = [error for _, error in failing]
        names = ", ".join(dict.fromkeys(failed))
        return ChallengeFailed(
            f"{ca} did not accept the proof for {names}: {'; '.join(said)}",
            names=tuple(dict.fromkeys(failed)),
            hint=_hint(problems, failing[0][0] if failing else ""),
            problem_type=next((p.type for p in problems if p.type), None),
        )
    problem = order.error or Problem()
    what = f"{ca} gave the order up: {problem}"
    if problem.code == "rateLimited":
        return rate_limited(what, problem, None)
    if problem.code == "serverInternal":
        return IssuerUnavailable(what)
    return IssuanceError(what, hint=HINTS.get(problem.code), problem_type=problem.type or None)


def _hint(problems: Sequence[Problem], method: str) -> str:
    codes = [p.code for problem in problems for p in (problem, *problem.subproblems)]
    found = next((HINTS[code] for code in codes if code in HINTS), None)
    if method == Method.HTTP_01:
        return found or "the CA must find our answer at port 80 of the name, from wherever it asks: certbroker check"
    return found or "the CA must find our TXT record on every nameserver of the zone: certbroker check"


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
