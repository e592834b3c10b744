"""What can happen, as frozen values. Log, history, metrics, traces and alerts are listeners; none of them can fail a run.

An event is recorded in the history in the same transaction as the phase it speaks of, then told to the listeners. Field
values are text, numbers, booleans, None, aware UTC datetimes and tuples of text: nothing secret, nothing that cannot be JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base. `at` is aware UTC; `certificate`, `target` and `name` say what it is about."""

    kind: ClassVar[str] = ""
    at: datetime
    certificate: str | None = None
    target: str | None = None
    name: str | None = None

    def data(self) -> dict[str, Any]:
        """The fields of this kind beyond the four above, as JSON values."""
        own = {f.name for f in fields(Event)}
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in own}
        return {key: _json(value) for key, value in values.items()}


def _json(value: Any) -> Any:
    """Moments as ISO 8601, seconds to the millisecond."""
    if isinstance(value, datetime):
        return value.isoformat()
    return round(value, 3) if isinstance(value, float) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A run that may change something began."""

    kind = "run-started"
    command: str
    actor: str
    host: str
    reason: str | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """It ended with this exit code and this sentence."""

    kind = "run-ended"
    exit_code: int
    summary: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStarted(Event):
    """A new order is about to be placed; `why` is the planner's reason."""

    kind = "order-started"
    key_type: str
    issuer: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderResumed(Event):
    """An order that an earlier run left behind goes on."""

    kind = "order-resumed"
    key_type: str
    issuer: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacesRefused(Event):
    """The CA did not accept `replaces`; ordered once more without it."""

    kind = "replaces-refused"
    issuer: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofPublished(Event):
    """A challenge or ownership record was written (`record` is its DNS name)."""

    kind = "proof-published"
    solver: str
    record: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRemoved(Event):
    """A record of ours was removed again."""

    kind = "proof-removed"
    solver: str
    record: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued(Event):
    """The CA signed; the version is in the store."""

    kind = "issued"
    version: str
    key_type: str
    issuer: str
    fingerprint: str
    ends: datetime
    seconds: float
    rehearsal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported(Event):
    """A certificate that existed already became a version; `source` is what kept it before, e.g. certbot."""

    kind = "imported"
    version: str
    key_type: str
    issuer: str
    fingerprint: str
    ends: datetime
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainNotOffered(Event):
    """None of the CA's chains ends where the file prefers; its default is kept. `broken`: chains that could not be had."""

    kind = "chain-not-offered"
    version: str
    issuer: str
    preferred: str
    offered: tuple[str, ...]
    broken: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFailed(Event):
    """No certificate came of it."""

    kind = "order-failed"
    key_type: str
    issuer: str
    error: str
    hint: str | None = None
    try_again: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerPassedOver(Event):
    """An issuer did not deliver and is not asked again before `until`; `next_issuer` steps in (None: nobody is left)."""

    kind = "issuer-passed-over"
    key_type: str
    issuer: str
    cause: str
    until: datetime
    error: str
    next_issuer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked(Event):
    """The CA says so of a version; `signed` by the account or by the certificate's own key."""

    kind = "revoked"
    key_type: str
    version: str
    issuer: str
    reason: str
    signed: str
    why: str | None = None
    """In the words of whoever asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanged(Event):
    """What became of our account at a CA: made, imported, its key changed, found at another address, deactivated."""

    kind = "account"
    issuer: str
    uri: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowMoved(Event):
    """The CA answered (or changed) when to renew."""

    kind = "window-moved"
    key_type: str
    start: datetime
    end: datetime
    drawn: datetime
    explanation_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowUnknown(Event):
    """The CA's renewal information could not be had or read; the old answer and the backstop hold."""

    kind = "window-unknown"
    key_type: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved(Event):
    """A deployment changed its phase."""

    kind = "deployment"
    version: str
    fingerprint: str
    before: str | None
    phase: str
    why: str = ""
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Regressed(Event):
    """An edge served something valid before the push and does not any more."""

    kind = "regressed"
    edge: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned(Event):
    """A person rolled a target back: it keeps to this version until it is lifted, or until then."""

    kind = "pinned"
    version: str
    fingerprint: str
    until: datetime
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver(Event):
    """A step of a takeover or handback is begun, waits, is done or is taken back."""

    kind = "handover"
    flow: str
    step: str
    phase: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpinned(Event):
    """The target follows what is wanted again."""

    kind = "unpinned"
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifted(Event):
    """A name that stood as wanted was observed not to be, or (`cause` is "well") to be so again."""

    kind = "drifted"
    cause: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked(Event):
    """A credential or precondition changed its state (ok, warn, fail)."""

    kind = "checked"
    subject: str
    state: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned(Event):
    """Objects of ours that nothing uses any more were removed."""

    kind = "pruned"
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten(Event):
    """What had left the file was forgotten because somebody said so. `removed`: what went at the platforms, in words."""

    kind = "forgotten"
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug(Event):
    """Something we did not foresee; the run goes on with the other certificates and ends 1."""

    kind = "bug"
    error: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped(Event):
    """A step of an attempt is over. Told and not kept: the history has its length in the attempt that it belongs to."""

    kind = "step"
    step: str
    """`order`, `authorizations`, `challenge`, `finalize`; at a target `push`, `verify`, `restore`."""
    outcome: str
    """`done`, or as of an attempt."""
    seconds: float
    key_type: str | None = None
    issuer: str | None = None
    rehearsal: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted(Event):
    """The wide event: what became of one certificate in one run, and what it cost. Each field: certbroker/telemetry/README.md."""

    kind = "attempt"
    trace: str
    outcome: str
    seconds: float
    error: str | None = None
    hint: str | None = None
    command: str
    actor: str
    host: str
    reason: str | None
    digest: str
    program: str
    names: int | None = None
    challenge: str | None = None
    why: str | None = None
    issuer: str | None = None
    passed_over: tuple[str, ...] = ()
    key_types: tuple[str, ...] = ()
    orders: int = 0
    resumed: int = 0
    issued: int = 0
    rehearsal: bool = False
    replaces_refused: int = 0
    proofs: int = 0
    solvers: tuple[str, ...] = ()
    version: str | None = None
    fingerprint: str | None = None
    ends: datetime | None = None
    order_seconds: float | None = None
    authorizations_seconds: float | None = None
    challenge_seconds: float | None = None
    finalize_seconds: float | None = None
    push_seconds: float | None = None
    verify_seconds: float | None = None
    restore_seconds: float | None = None
    targets: int = 0
    targets_served: int = 0
    targets_delivered: int = 0
    targets_verifying: int = 0
    targets_waiting: int = 0
    targets_failed: int = 0
    targets_restored: int = 0
    troubled: tuple[str, ...] = ()
    slowest: str | None = None
    slowest_seconds: float | None = None
    regressions: int = 0
    bugs: int = 0


Emit = Callable[[Event], None]
"""How an event is told. Never raises."""
