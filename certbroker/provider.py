"""The provider contract: what it means to be a place that serves certificates. Small enough to read aloud.

A provider is an adapter *class*, found through the entry-point group `certbroker.providers`; a target is a configured
instance. One run, one instance: it may cache a listing for its own lifetime, nothing longer.

Adapters raise only `ProviderError`s. They neither retry nor sleep: the session they are handed paces their calls and
raises `Unavailable` at the run's deadline; the engine decides about retries. They cannot reach DNS: records that a platform
wants come back as `Waiting`. No key and no token goes into an error, a name or a URL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from certbroker.model import Assignment, Bundle, Edge, Keep, Live, Outcome, Record, Standing, Traits
from certbroker.secret import Secret, SecretRef

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from certbroker.session import Session


class OpenSession(Protocol):
    """Make the HTTP session of one target.

    `authorize` is asked once, at the first call: it returns the headers that carry the credential.
    """

    def __call__(
        self, *, service: str, base: str, authorize: Callable[[], Mapping[str, Secret]], traits: Traits
    ) -> Session: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What an adapter is handed besides its settings."""

    target: str
    """The target's name in the file."""
    store_id: str
    """Ours are named `certbroker/<store_id>/<certificate>/<fingerprint12>` where the platform has names or tags."""
    session: OpenSession
    resolve: Callable[[SecretRef], Secret]
    now: Callable[[], datetime]
    environ: Mapping[str, str]
    cwd: Path


class Provider(Protocol):
    """A place that serves certificates: one CDN account, one app, one folder."""

    settings: ClassVar[type[BaseModel]]
    """Its own settings model; the core validates the table `[target.NAME]` (its own keys taken out) with it."""
    traits: ClassVar[Traits]

    @classmethod
    def open(cls, settings: Any, context: Context) -> Self:
        """Make the instance. No network, no secret is resolved here."""
        ...

    def inspect(self, assignment: Assignment) -> Mapping[str, Live]:
        """What the platform says it serves, per name; a name with nothing there is left out. MUST NOT change anything.

        The engine stores the answer before it pushes.
        """
        ...

    def push(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        """Make the platform serve `bundle` for each of its names; one outcome for every name.

        Twice MUST equal once. At every moment each name serves the old or the new, never nothing. A push that was cut
        anywhere can be finished by a later push.
        """
        ...

    def restore(self, assignment: Assignment, before: Mapping[str, Live], previous: Bundle | None) -> None:
        """Serve again what was served before: `previous` if we hold it, else what `before` names."""
        ...

    def prune(self, assignment: Assignment, keep: Keep) -> tuple[str, ...]:
        """Remove what *we* created for this certificate, is bound nowhere and is not in `keep`. Returns what it removed, in words."""
        ...

    def edges(self, assignment: Assignment) -> tuple[Edge, ...]:
        """Where to look; empty if nobody can. The file can add edges to any target."""
        ...


@runtime_checkable
class AnswersHttp01(Protocol):
    """A provider that can answer a CA's http-01 question (RFC 8555 section 8.3) at port 80 of the names it serves.

    `name` is a DNS name or an IP address. The answer is the key authorization, as `application/octet-stream` or plain text, at
    `/.well-known/acme-challenge/TOKEN`; the core has checked that `token` is one harmless segment of a path.
    """

    def can_answer_http01(self) -> None:
        """Raises ProviderError if its settings or rights do not let it. Changes nothing."""
        ...

    def answer_http01(self, name: str, token: str, key_authorization: str) -> None:
        """Answer from now on. Twice equals once."""
        ...

    def forget_http01(self, name: str, token: str, key_authorization: str) -> None:
        """Stop. Already gone is fine; an answer with another content is not ours and stays."""
        ...


@runtime_checkable
class InspectsMany(Protocol):
    """A provider whose platform lists what it serves: many certificates are looked at for the price of a few."""

    def inspect_many(self, assignments: Sequence[Assignment]) -> Sequence[Mapping[str, Live]]:
        """What `inspect` says of each, in their order, in as few calls as that takes. MUST NOT change anything."""
        ...


@runtime_checkable
class ChecksCredentials(Protocol):
    """A provider that can say who we are and what we may do, without changing anything (unless `write`)."""

    def check(self, *, write: bool = False) -> Standing:
        """Raises CredentialsRejected, Missing or Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class ManagedFacts:
    """What a platform says of the certificate that it gets and renews by itself, with its own key, for one name.

    What it does not tell is None or empty: silence is not evidence.
    """

    state: Literal["none", "pending", "issued"]
    """Not asked for; asked for and waiting for its proof; there (whether it is served is another matter)."""
    reference: str = ""
    """The platform's own id of it."""
    ends: datetime | None = None
    """When the one that is there ends (UTC)."""
    challenge: Record | None = None
    """The CNAME at `_acme-challenge` by which the platform proves the name, at the first time and at each renewal."""
    routing: tuple[Record, ...] = ()
    """Pointing the name at the platform by any one of these proves it as well."""
    ownership: Record | None = None
    """The TXT that proves the name to the platform for a certificate that is uploaded; it needs no `_acme-challenge`."""
    elsewhere: str = ""
    """Where it is served, in words, if not at this target's own edges: ours can be served here beside it."""
    authority: str = ""
    """The domain by which CAA names the CA that it gets it from, lower case."""


@runtime_checkable
class TellsManaged(Protocol):
    """A provider whose platform can get certificates by itself, and tells what it has and what it wants in DNS."""

    def managed(self, names: Sequence[str]) -> Mapping[str, ManagedFacts]:
        """Per name; one that the platform does not know is left out. Changes nothing; raises ProviderErrors alone."""
        ...


@runtime_checkable
class TradesManaged(TellsManaged, Protocol):
    """A provider that lets ours take the place of the platform's own certificate, and the other way round.

    None of this takes away the last certificate that is served for a name: what cannot be done without a gap is refused, as
    the outcome of that name, and nothing is changed for it. Twice equals once; cut anywhere, a later call finishes it.
    """

    def take_over(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        """As `push`, also where the platform's own certificate is served: it is kept, unserved. The first name that the
        platform refuses ends it, so that a platform that does not allow it is not touched at all."""
        ...

    def give_way(self, assignment: Assignment) -> Mapping[str, Outcome]:
        """Serve the platform's own certificate instead of ours, where it is issued; ours is kept or can be pushed again."""
        ...

    def request_managed(self, assignment: Assignment) -> Mapping[str, Outcome]:
        """Have the platform get one of its own, beside ours, which stays served: `Done` if it is issued, else `Waiting`."""
        ...

    def retire_managed(self, assignment: Assignment) -> Mapping[str, Outcome]:
        """The platform ends its own, where another one is served: it renews it no more."""
        ...
