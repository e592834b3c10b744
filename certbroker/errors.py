"""Everything certbroker raises on purpose, drawn as a tree. The name says whose move it is.

CertbrokerError
├── UsageError             the command line asks for something that cannot be (exit 2)
├── ConfigError            the operator edits the file; every problem at once (exit 2)
├── BadMaterial            a PEM, key or chain we were given or handed back is unusable
├── StoreError             the store refused: locked, read-only, full, or newer than we are
├── VaultError             the vault key is missing, wrong or readable by others
├── LeaseHeld              another run works on this; not a failure
├── NothingDone            it would have been wrong to go on; nothing was touched
│   └── RecordWanted           … until a person publishes a DNS record
├── IssuanceError          the CA said no
│   ├── MethodNotOffered       … because it does not know this way to prove a name
│   ├── ChallengeFailed        … because it could not see our proof, or would not
│   ├── RateLimited            … for now, until .retry_after has passed
│   └── IssuerUnavailable      … or cannot be reached
└── ProviderError          a place we write to (target or DNS service) said no
    ├── CredentialsRejected    fix the token
    ├── Missing                the service, app, zone or object is not there
    ├── Rejected               it read what we sent and refused it
    ├── Misunderstood          its answer is not what its contract says
    └── Unavailable            network, 5xx, 429: a later run tries again

The engine asks two things only: `retryable` and `retry_after` (seconds). People are shown three: the error (what
happened), `now` (what is served meanwhile, until when) and `hint` (what to type). No message may hold key material or a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class CertbrokerError(Exception):
    """Base of all. `str(error)` is what happened, in one sentence, lower case, no full stop."""

    retryable = False

    def __init__(self, what: str, *, hint: str | None = None, now: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.now = now
        self.retry_after: float | None = None


class UsageError(CertbrokerError):
    """The command line asks for something that cannot be."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the file. `line` counts from 1; `path` is the TOML path, e.g. `target.fly.app`."""

    line: int | None
    path: str
    what: str


class ConfigError(CertbrokerError):
    """The file is wrong. `problems` lists every mistake at once; `file` is its path as the user named it."""

    def __init__(self, file: str, problems: Sequence[Problem], *, hint: str | None = None) -> None:
        self.file = file
        self.problems = tuple(problems)
        lines = [
            f"{file}:{p.line}: {p.path}: {p.what}" if p.line else f"{file}: {p.path}: {p.what}" for p in self.problems
        ]
        super().__init__("\n".join(lines), hint=hint)


class BadMaterial(CertbrokerError):
    """A PEM, key or chain cannot be used. Never quotes the material."""


class StoreError(CertbrokerError):
    """The store refused us; what it held before, it still holds. `retryable`: the next run may well find it willing."""

    def __init__(self, what: str, *, hint: str | None = None, now: str | None = None, retryable: bool = False) -> None:
        super().__init__(what, hint=hint, now=now)
        self.retryable = retryable


class VaultError(CertbrokerError):
    """The vault key is missing, wrong or not private."""


class LeaseHeld(CertbrokerError):
    """Another run holds the lease. `holder` says who, `seconds` how long at most."""

    def __init__(self, name: str, holder: str, seconds: float) -> None:
        super().__init__(f"{name} is being worked on by {holder}")
        self.name = name
        self.holder = holder
        self.seconds = seconds


class NothingDone(CertbrokerError):
    """A precondition does not hold (another store owns the target, a stale delegation ...); nothing was touched."""


class RecordWanted(NothingDone):
    """A DNS record that only a person can publish does not stand; `hint` has it, ready to be copied. Nothing failed."""


class IssuanceError(CertbrokerError):
    """The CA said no. `problem_type` is its RFC 7807 type URN and `status` its HTTP status, if it sent them."""

    def __init__(
        self, what: str, *, hint: str | None = None, now: str | None = None, problem_type: str | None = None
    ) -> None:
        super().__init__(what, hint=hint, now=now)
        self.problem_type = problem_type
        self.status: int | None = None


class MethodNotOffered(IssuanceError):
    """The CA does not offer the challenge that we wanted to answer; another way to prove the name may do."""


class ChallengeFailed(IssuanceError):
    """The CA did not accept the proof for one or more `names`; all of them are in the message."""

    retryable = True

    def __init__(
        self, what: str, *, names: Sequence[str] = (), hint: str | None = None, problem_type: str | None = None
    ) -> None:
        super().__init__(what, hint=hint, problem_type=problem_type)
        self.names = tuple(names)


class RateLimited(IssuanceError):
    """The CA asks us to wait `retry_after` seconds; or for a person, who lifts it at the address `link`.

    `subject`: what it counts: a domain, or "" for the whole account; None if it is about this one order, or not said.
    """

    retryable = True

    def __init__(
        self,
        what: str,
        *,
        retry_after: float | None,
        hint: str | None = None,
        problem_type: str | None = None,
        link: str | None = None,
        subject: str | None = None,
    ) -> None:
        super().__init__(what, hint=hint, problem_type=problem_type)
        self.retry_after = retry_after
        self.link = link
        self.subject = subject


class IssuerUnavailable(IssuanceError):
    """The CA cannot be reached, is overloaded or did not finish in time."""

    retryable = True

    def __init__(self, what: str, *, retry_after: float | None = None, hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.retry_after = retry_after


class ProviderError(CertbrokerError):
    """A place we write to said no. Adapters and solvers raise only this family."""

    def __init__(
        self, what: str, *, hint: str | None = None, now: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(what, hint=hint, now=now)
        self.status = status


class CredentialsRejected(ProviderError):
    """The token is missing, wrong, expired or may not do this (401, 402, 403, 412)."""


class Missing(ProviderError):
    """The service, app, zone or object does not exist, or the token may not see it (404)."""


class Rejected(ProviderError):
    """It read what we sent and refused it (400, 409, 422)."""


class Misunderstood(ProviderError):
    """Its answer is not what its contract says (HTML where JSON belongs, a missing member)."""


class Unavailable(ProviderError):
    """Network, time-out, 408, 429, 5xx. The call may or may not have taken effect."""

    retryable = True

    def __init__(
        self, what: str, *, retry_after: float | None = None, hint: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(what, hint=hint, status=status)
        self.retry_after = retry_after
