"""Fly.io: one app that terminates TLS at Fly's proxy, fed through the certificate endpoints of the Machines API.

Each hostname of an app holds at most one uploaded ("custom") certificate and at most one that Fly manages; the uploaded
one is served first. The API tells when a certificate ends but not which one it is: a push uploads, even if that may be once
too often. Only a certificate that waits for its proof, and that this run or the store remembers as this very one, is not sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from certbroker.errors import CredentialsRejected, Missing, Misunderstood, ProviderError, Rejected, Unavailable
from certbroker.model import (
    Assignment,
    Bundle,
    Done,
    Edge,
    Failed,
    Keep,
    KeyType,
    Live,
    Outcome,
    Owner,
    Record,
    Restorable,
    Standing,
    Traits,
    Waiting,
)
from certbroker.provider import Context, ManagedFacts
from certbroker.secret import SecretRef
from certbroker_fly.api import SERVICE, Entry, FlyApi, Hostname, Token, authorization
from certbroker_fly.managed import FlysOwn, ownership

__all__ = ["FlyProvider", "FlySettings"]

_PLAIN: Final = ("_api.internal", "localhost", "127.0.0.1", "::1")
"""Hosts that are reached without TLS: Fly's private address inside its own encrypted network, and this machine."""


class FlySettings(BaseModel):
    """The table `[target.NAME]` with `type = "fly"`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    app: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", description="Name of the Fly app.")
    token: SecretRef = Field(description="Deploy token of that app: fly tokens create deploy -a APP --expiry 8760h")
    api: str = Field(
        default="https://api.machines.dev",
        description="Base URL of the Machines API, without /v1; http://_api.internal:4280 inside Fly's private network.",
    )

    @field_validator("api")
    @classmethod
    def _base(cls, value: str) -> str:
        value = value.rstrip("/")
        parts = urlsplit(value)
        if not parts.hostname or parts.scheme not in ("https", "http"):
            raise ValueError("must be a URL such as https://api.machines.dev")
        if parts.scheme == "http" and parts.hostname not in _PLAIN:
            raise ValueError("must begin with https://, or the token would travel in the clear")
        if parts.path or parts.query or parts.username:
            raise ValueError("must end after host and port; /v1 is added by itself")
        return value


class FlyProvider:
    """One Fly app."""

    settings: ClassVar[type[BaseModel]] = FlySettings
    traits: ClassVar[Traits] = Traits(
        key_types=(KeyType.P256, KeyType.P384, KeyType.RSA2048, KeyType.RSA3072, KeyType.RSA4096),
        reads_back=frozenset({"ends", "issued_by"}),
        coexists=True,
        calls_per_second=1.0,
        burst=3,
    )

    def __init__(self, app: str, api: FlyApi) -> None:
        self._app = app
        self._api = api
        self._own = FlysOwn(api, self._look)
        self._app_is_there = False
        self._addresses: tuple[str, ...] = ()
        self._uploaded: dict[str, str] = {}
        """By hostname, the fingerprint this run has uploaded."""

    @classmethod
    def open(cls, settings: FlySettings, context: Context) -> Self:
        session = context.session(
            service=SERVICE,
            base=f"{settings.api}/v1",
            authorize=lambda: authorization(context.resolve(settings.token)),
            traits=cls.traits,
        )
        return cls(settings.app, FlyApi(session, settings.app))

    def inspect(self, assignment: Assignment) -> Mapping[str, Live]:
        found = {name: self._look(name) for name in assignment.names}
        return {name: live for name, hostname in found.items() if hostname and (live := _live(hostname))}

    def push(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        """One upload per name, in order.

        A name that Fly refuses or stumbles over fails alone. What concerns the whole app (token, app, network, rate limit,
        the run's deadline) ends the push: it is raised if no name has an outcome yet, else it is the outcome of the names
        that are left.
        """
        outcomes: dict[str, Outcome] = {}
        for name in bundle.assignment.names:
            try:
                outcomes[name] = self._push(bundle, name, before.get(name))
            except ProviderError as error:
                if _concerns_one_name(error):
                    outcomes[name] = Failed(error)
                    continue
                if not outcomes:
                    raise
                left = bundle.assignment.names[len(outcomes) :]
                return {**outcomes, **{name: Failed(error) for name in left}}
        return outcomes

    def restore(self, assignment: Assignment, before: Mapping[str, Live], previous: Bundle | None) -> None:
        """A name's own error is raised after the others were tried. Nothing is removed unless Fly's own certificate takes over."""
        errors: list[ProviderError] = []
        for name in assignment.names:
            try:
                if previous is not None and name in previous.assignment.names:
                    self._place(previous, name)
                elif name in before and before[name].owner is Owner.MANAGED:
                    self._own.give_way(name)
            except ProviderError as error:
                if not _concerns_one_name(error):
                    raise
                errors.append(error)
        if errors:
            raise errors[0]

    def prune(self, assignment: Assignment, keep: Keep) -> tuple[str, ...]:
        """Nothing is ever left over: an upload replaces the one before it."""
        return ()

    # ---- Fly's own -----------------------------------------------------------------------------------------------------

    def managed(self, names: Sequence[str]) -> Mapping[str, ManagedFacts]:
        return self._own.facts(names)

    def take_over(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        """No different from a push: ours stands beside Fly's own and is served first."""
        return self.push(bundle, before)

    def give_way(self, assignment: Assignment) -> Mapping[str, Outcome]:
        return self._own.each(assignment, self._own.give_way)

    def request_managed(self, assignment: Assignment) -> Mapping[str, Outcome]:
        return self._own.each(assignment, self._own.request)

    def retire_managed(self, assignment: Assignment) -> Mapping[str, Outcome]:
        return self._own.each(assignment, self._own.retire)

    def edges(self, assignment: Assignment) -> tuple[Edge, ...]:
        """The app's public addresses: one call for the whole app, and known before the first certificate is there.

        A token that may not list addresses learns them from the DNS requirements of a name.
        """
        if not self._addresses:
            self._addresses = self._public_addresses(assignment)
        return tuple(Edge(address) for address in self._addresses)

    def check(self, *, write: bool = False) -> Standing:
        """What the token is, and that it lists this app's certificates. `write` adds nothing: Fly has no harmless write.

        Whether Fly describes the token is its own affair (401 for one that is no macaroon, 500 now and then); the
        listing decides.
        """
        try:
            tokens = self._api.tokens()
        except (CredentialsRejected, Missing, Rejected, Misunderstood, Unavailable):
            tokens = ()
        self._ask_for_app()
        described = "a token that Fly does not describe"
        names = tuple(f'token "{token.id}"' for token in tokens if token.id)
        accounts = dict.fromkeys(token.organisation for token in tokens if token.organisation)
        return Standing(
            name=names[0] if names else described,
            account=", ".join(accounts),
            reach=f"certificates of app {self._app}; writing not tried",
            remarks=tuple(dict.fromkeys(remark for token in tokens for remark in self._remarks(token))),
        )

    def _push(self, bundle: Bundle, name: str, before: Live | None) -> Outcome:
        if before and before.pending and self._uploaded.get(name, before.fingerprint) == bundle.fingerprint:
            hostname = self._check(name)
            if hostname and hostname.custom and hostname.custom.ends == before.ends:
                return _outcome(hostname)
        return _outcome(self._place(bundle, name))

    def _check(self, name: str) -> Hostname | None:
        try:
            return self._api.check(name)
        except Missing:
            self._ask_for_app()
            return None

    def _place(self, bundle: Bundle, name: str) -> Hostname:
        """Upload, and have Fly look at DNS once if it does not take the certificate into use at once."""
        hostname = self._upload(bundle, name)
        self._uploaded[name] = bundle.fingerprint
        return hostname if hostname.custom and hostname.custom.active else self._api.check(name)

    def _upload(self, bundle: Bundle, name: str) -> Hostname:
        """An upsert. 409 means somebody else was quicker or holds the name: look again, then try once more."""
        try:
            return self._import(bundle, name)
        except Rejected as error:
            if error.status != 409:
                raise _with_hint(error, name) from None
        self._look(name)
        try:
            return self._import(bundle, name)
        except Rejected as error:
            raise _with_hint(error, name) from None

    def _import(self, bundle: Bundle, name: str) -> Hostname:
        try:
            return self._api.import_custom(name, bundle.version.chain_pem, bundle.key_pem)
        except Missing as error:
            raise self._no_app(error) from None

    def _public_addresses(self, assignment: Assignment) -> tuple[str, ...]:
        refused: ProviderError | None = None
        try:
            if found := self._api.addresses():
                return found
        except (CredentialsRejected, Missing, Rejected, Misunderstood) as error:
            refused = error
        for name in assignment.names:
            hostname = self._look(name)
            if hostname and hostname.addresses:
                return hostname.addresses
        if refused:
            raise refused
        return ()

    def _look(self, name: str) -> Hostname | None:
        """What is there for `name`. An unknown name and an unknown app are both 404: the app's listing tells them apart."""
        try:
            return self._api.certificate(name)
        except Missing:
            self._ask_for_app()
            return None

    def _ask_for_app(self) -> None:
        if self._app_is_there:
            return
        try:
            self._api.certificates(limit=1)
        except Missing as error:
            raise self._no_app(error) from None
        self._app_is_there = True

    def _no_app(self, error: Missing) -> Missing:
        return Missing(
            f"{SERVICE} knows no app {self._app}, or the token may not see it",
            hint=f"fly apps list; a token for it: fly tokens create deploy -a {self._app}",
            status=error.status,
        )

    def _remarks(self, token: Token) -> list[str]:
        said = []
        others = [app for app in token.apps if app != self._app]
        if not token.apps:
            said.append("the token reaches the whole organisation, one app would do")
        elif others:
            said.append(f"the token also reaches {', '.join(others)}; {self._app} alone would do")
        if token.user:
            said.append("the token is a person's, a deploy token of the app would do")
        if token.machine:
            said.append(f"the token works from machine {token.machine} only")
        return said


def _concerns_one_name(error: ProviderError) -> bool:
    """Fly read this call and refused it, or stumbled over it (5xx, 408): the next name may fare better."""
    return isinstance(error, Rejected | Misunderstood) or error.status == 408 or (error.status or 0) >= 500


def _outcome(hostname: Hostname) -> Outcome:
    if not hostname.custom:
        raise Misunderstood(f"{SERVICE} took the certificate of {hostname.name} but does not list it")
    return Done() if hostname.custom.active else Waiting(ownership(hostname))


def _live(hostname: Hostname) -> Live | None:
    """What the API says, as our value. A hostname without anything to serve is nothing."""
    managed = hostname.managed if hostname.managed and hostname.managed.active else None
    if hostname.custom is None:
        return _as_live(managed, Owner.MANAGED, Restorable.MANAGED) if managed else None
    pending = () if hostname.custom.active else ownership(hostname)
    restorable = Restorable.MANAGED if managed else Restorable.NO
    return _as_live(hostname.custom, Owner.UNKNOWN, restorable, pending)


def _as_live(entry: Entry, owner: Owner, restorable: Restorable, pending: tuple[Record, ...] = ()) -> Live:
    return Live(owner, restorable, reference=entry.source, issued_by=entry.issuer, ends=entry.ends, pending=pending)


def _with_hint(error: Rejected, name: str) -> Rejected:
    """Fly's refusals have no codes; after the core's own checks a name held elsewhere is what is left to think of."""
    error.hint = (
        f"nothing changes by itself; if another Fly app holds {name}, it keeps serving it: once DNS points elsewhere, "
        f"fly certs remove '{name}' -a THAT-APP"
    )
    return error
