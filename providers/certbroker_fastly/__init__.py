"""Fastly: one account with custom TLS certificates, switched name by name through activations.

Each version is a new certificate object beside the old one; each name is then moved to it by one PATCH, so that it serves the
old or the new at every moment. Certificate objects are never replaced in place: whether Fastly lets the key change there is
disputed, and every version of ours has its own key. Nothing is deleted before something else serves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address
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
    Restorable,
    Standing,
    Traits,
    Version,
)
from certbroker.provider import Context, ManagedFacts
from certbroker.secret import SecretRef
from certbroker_fastly.account import Account
from certbroker_fastly.api import SERVICE, Activation, Certificate, FastlyApi, Key
from certbroker_fastly.managed import FastlysOwn
from certbroker_fastly.material import blob, public_key_sha1
from certbroker_fastly.refusals import Hinted, does_not_move, existing_key, explained, is_taken, managed, taken

__all__ = ["FastlyProvider", "FastlySettings"]

_OURS: Final = re.compile(r"certbroker/([0-9a-f]{8})/([^/]+)/([0-9a-f]{12})")
"""The name of an object that a certbroker made: store, certificate, beginning of the fingerprint."""

FEW: Final = 8
"""So many names are asked for one by one; more are looked up in the account's listings, 100 a page."""

_REFERENCE: Final = re.compile(r"activation:(\S+) certificate:(\S+)")


class FastlySettings(BaseModel):
    """The table `[target.NAME]` with `type = "fastly"`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    token: SecretRef = Field(
        description="Automation token, role engineer and TLS management: https://manage.fastly.com/account/tokens"
    )
    configuration: str | None = Field(
        default=None, min_length=1, description="TLS configuration, by id or name; left out: the account's default."
    )
    api: str = Field(default="https://api.fastly.com", description="Base URL of Fastly's API.")
    allow_untrusted_root: bool = Field(
        default=False, description="Tell Fastly to take chains of a private CA; of limited availability at Fastly."
    )

    @field_validator("api")
    @classmethod
    def _base(cls, value: str) -> str:
        value = value.rstrip("/")
        parts = urlsplit(value)
        if not parts.hostname or parts.scheme not in ("https", "http"):
            raise ValueError("must be a URL such as https://api.fastly.com")
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("must begin with https://, or the token would travel in the clear")
        if parts.query or parts.username:
            raise ValueError("must be host and port, perhaps with a path")
        return value


class FastlyProvider:
    """One Fastly account and one of its TLS configurations."""

    settings: ClassVar[type[BaseModel]] = FastlySettings
    traits: ClassVar[Traits] = Traits(
        key_types=(KeyType.P256, KeyType.P384, KeyType.RSA2048),
        reads_back=frozenset({"serial", "issued_by", "ends"}),
        calls_per_second=5.0,
        burst=5,
        edge_deadline=timedelta(minutes=60),
        prune_grace=timedelta(hours=2),
    )

    def __init__(self, api: FastlyApi, account: Account, store_id: str, *, untrusted: bool) -> None:
        self._api = api
        self._account = account
        self._own = FastlysOwn(api, account)
        self._store_id = store_id
        self._untrusted = untrusted

    @classmethod
    def open(cls, settings: FastlySettings, context: Context) -> Self:
        session = context.session(
            service=SERVICE,
            base=settings.api,
            authorize=lambda: {"Fastly-Key": context.resolve(settings.token)},
            traits=cls.traits,
        )
        api = FastlyApi(session)
        account = Account(api, settings.configuration)
        return cls(api, account, context.store_id, untrusted=settings.allow_untrusted_root)

    # ---- inspect ---------------------------------------------------------------------------------------------------

    def inspect(self, assignment: Assignment) -> Mapping[str, Live]:
        found = {name: self._here(self._activations(name)) for name in assignment.names}
        return {name: self._live(each) for name, each in found.items() if each is not None}

    def inspect_many(self, assignments: Sequence[Assignment]) -> Sequence[Mapping[str, Live]]:
        """One listing of the activations and one of the certificates; where there are few names, each is asked for."""
        if sum(len(each.names) for each in assignments) <= FEW:
            return [self.inspect(each) for each in assignments]
        ours = self._account.configuration().id
        self._account.certificates()
        here = {each.domain: each for each in self._api.activations() if each.configuration == ours}
        return [{name: self._live(here[name]) for name in each.names if name in here} for each in assignments]

    def _activations(self, name: str) -> tuple[Activation, ...]:
        self._account.configuration()  # a wrong one is told before anything else
        return self._api.activations(domain=name)

    def _here(self, activations: Iterable[Activation]) -> Activation | None:
        """The one on our configuration."""
        ours = self._account.configuration().id
        return next((each for each in activations if each.configuration == ours), None)

    def _live(self, activation: Activation) -> Live:
        reference = f"activation:{activation.id} certificate:{activation.certificate}"
        certificate = self._account.certificate(activation.certificate)
        if certificate is None:
            if self._subscribed(activation.domain, activation.certificate):
                return Live(Owner.MANAGED, Restorable.MANAGED, reference)
            return Live(Owner.FOREIGN, Restorable.NO, reference)
        store = _store(certificate.name)
        owner = Owner.FOREIGN if store is None else Owner.OURS if store == self._store_id else Owner.OTHER_STORE
        return Live(
            owner,
            Restorable.KEPT,
            reference,
            serial=certificate.serial,
            issued_by=certificate.issuer,
            ends=certificate.ends,
            store=store,
        )

    def _subscribed(self, name: str, certificate: str) -> bool:
        """Whether Fastly manages a certificate for `name`, which is one of the names of `certificate`."""
        return any(domain.subscriptions for domain in self._api.domains(certificate) if domain.name == name)

    # ---- push ------------------------------------------------------------------------------------------------------

    def push(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        """Key, certificate, then one activation per name, in order.

        A name that Fastly refuses fails alone. What concerns the whole account (token, network, rate limit) ends the
        push: it is raised if no name has an outcome yet, else it is the outcome of the names that are left.
        """
        self._account.configuration()
        with Hinted():
            same = self._objects(bundle)
        return self._each(bundle.assignment.names, lambda name: self._serve(name, same))

    def _each(self, names: tuple[str, ...], act: Callable[[str], None]) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        for name in names:
            try:
                with Hinted():
                    act(name)
                outcomes[name] = Done()
            except (Rejected, Missing, Misunderstood) as error:
                outcomes[name] = Failed(error)
            except ProviderError as error:
                if not outcomes:
                    raise
                return {**outcomes, **{left: Failed(error) for left in names[len(outcomes) :]}}
        return outcomes

    def _objects(self, bundle: Bundle) -> tuple[str, ...]:
        """The ids of the certificate objects that hold this version, made if there is none; the first is the one to use.

        More than one: a push was cut, and the next one met a listing that did not show its certificate yet.
        """
        label = self._label(bundle)
        found = [each.id for each in self._account.certificates() if each.name == label and _is(each, bundle.version)]
        if found:
            return tuple(found)
        self._upload_key(bundle, label)
        try:
            made = self._api.create_certificate(
                blob(bundle.version, with_root=self._untrusted), label, allow_untrusted_root=self._untrusted
            )
        except Rejected as error:
            # It may be there under a name of somebody else's, or the first listing was behind.
            again = self._account.certificates(again=True)
            found = [each.id for each in again if each.serial == bundle.version.serial and _is(each, bundle.version)]
            if not found:
                raise explained(error) from None
            return tuple(found)
        self._account.remember_certificate(made)
        return (made.id,)

    def _upload_key(self, bundle: Bundle, label: str) -> None:
        """Unless it is there. A listing may be behind; then Fastly says that the key exists, which is as good."""
        sha1 = public_key_sha1(bundle)
        if self._account.key(sha1) is not None:
            return
        try:
            key = self._api.create_key(bundle.key_pem, label)
        except Rejected as error:
            identity = existing_key(error)
            if identity is None:
                raise
            key = Key(identity, "", sha1)
        self._account.remember_key(sha1, key)

    def _label(self, bundle: Bundle) -> str:
        return f"certbroker/{self._store_id}/{bundle.assignment.certificate}/{bundle.fingerprint[:12]}"

    def _serve(self, name: str, same: tuple[str, ...], *, over: bool = False) -> None:
        """Make the activation of `name` point to one of `same`. `over`: also where Fastly's own is served."""
        activation = self._here(self._activations(name))
        if activation is not None:
            self._move(activation, same, over=over)
            return
        if not over and self._subscribed(name, same[0]):
            raise managed(name)
        try:
            made = self._api.create_activation(name, same[0], self._account.configuration().id)
        except Rejected as error:
            if is_taken(error):
                self._taken(name, same, error)
                return
            raise explained(error, name) from None
        if (made.domain, made.certificate) != (name, same[0]):
            raise Misunderstood(f"{SERVICE} took the activation of {name} and shows another one")

    def _taken(self, name: str, same: tuple[str, ...], error: Rejected) -> None:
        """Fastly says that the name has an activation: ours by now, or one that is in the way."""
        activations = self._activations(name)
        activation = self._here(activations)
        if activation is not None:
            self._move(activation, same)
            return
        raise taken(name, [each.configuration for each in activations], error)

    def _move(self, activation: Activation, same: tuple[str, ...], *, over: bool = False) -> None:
        """Switch one activation, and see that nothing else of it changed."""
        if activation.certificate in same:
            return
        name = activation.domain
        custom = self._account.certificate(activation.certificate) is not None
        own = not custom and self._subscribed(name, activation.certificate)
        if own and not over:
            raise managed(name)
        try:
            moved = self._api.move_activation(activation.id, same[0])
        except Rejected as error:
            if own:
                raise does_not_move(name, self._account.other_configurations(), error) from None
            raise explained(error, name) from None
        if activation.mutual:  # rare, and worth a look of its own
            moved = self._api.activation(activation.id)
        if moved.certificate != same[0]:
            raise Misunderstood(f"{SERVICE} took the new certificate of {name} and still shows another one")
        if moved.configuration != activation.configuration:
            raise Misunderstood(f"{SERVICE} moved {name} to the TLS configuration {moved.configuration} by itself")
        if activation.mutual and moved.mutual not in (None, activation.mutual):
            raise Misunderstood(
                f"{SERVICE} serves the new certificate for {name} and dropped its mutual TLS ({activation.mutual})",
                hint=f"attach {activation.mutual} to the activation {activation.id} again: clients are not asked for certificates now",
            )

    # ---- restore and prune -----------------------------------------------------------------------------------------

    def restore(self, assignment: Assignment, before: Mapping[str, Live], previous: Bundle | None) -> None:
        """Every name is tried before the first error is raised.

        A name that served nothing before keeps what it has: taking it away would be an outage. A name that Fastly
        manages was never touched.
        """
        held = previous.assignment.names if previous else ()
        outcomes: dict[str, Outcome] = {}
        if previous is not None:
            outcomes.update(self.push(previous, before))
        bound = {name: match[2] for name, live in before.items() if (match := _REFERENCE.fullmatch(live.reference))}
        others = tuple(
            name
            for name in assignment.names
            if name not in held and name in bound and before[name].owner is not Owner.MANAGED
        )
        outcomes.update(self._each(others, lambda name: self._serve(name, (bound[name],))))
        for outcome in outcomes.values():
            if isinstance(outcome, Failed):
                raise outcome.error

    def prune(self, assignment: Assignment, keep: Keep) -> tuple[str, ...]:
        """Certificates of ours for this certificate that no activation has, then their keys.

        What Fastly refuses to delete is in use somewhere, or its listings are behind: it stays for the next time.
        """
        kept = {fingerprint[:12] for fingerprint in keep.fingerprints}
        mine = [(each, tail) for each in self._account.certificates() if (tail := self._tail(each.name, assignment))]
        removed: list[str] = []
        with Hinted():
            for certificate in self._unneeded(mine, kept):
                if self._gone(self._api.delete_certificate, certificate.id):
                    removed.append(f"certificate {certificate.name}")
                    self._account.forget_certificate(certificate.id)
            there = {tail for each in self._account.certificates() if (tail := self._tail(each.name, assignment))}
            for key in self._api.private_keys(unused=True):
                tail = self._tail(key.name, assignment)
                if tail and tail not in kept | there and self._gone(self._api.delete_key, key.id):
                    removed.append(f"key {key.name}")
        return tuple(removed)

    def _unneeded(self, mine: list[tuple[Certificate, str]], kept: set[str]) -> list[Certificate]:
        """Those without an activation, except one for each fingerprint that is kept."""
        unbound = [
            (each, tail) for each, tail in mine if tail not in kept or [other for _, other in mine].count(tail) > 1
        ]
        unbound = [(each, tail) for each, tail in unbound if not self._api.activations(certificate=each.id)]
        idle = {each.id for each, _ in unbound}
        found = {tail for each, tail in mine if each.id not in idle}
        unneeded = []
        for each, tail in unbound:
            if tail in kept and tail not in found:
                found.add(tail)
            else:
                unneeded.append(each)
        return unneeded

    def _gone(self, delete: Callable[[str], None], identity: str) -> bool:
        """True if we deleted it."""
        try:
            delete(identity)
        except (Rejected, Missing):
            return False
        return True

    def _tail(self, name: str, assignment: Assignment) -> str:
        """The fingerprint in the name of an object of ours for this certificate; "" for every other."""
        match = _OURS.fullmatch(name)
        return match[3] if match and (match[1], match[2]) == (self._store_id, assignment.certificate) else ""

    # ---- Fastly's own ----------------------------------------------------------------------------------------------

    def managed(self, names: Sequence[str]) -> Mapping[str, ManagedFacts]:
        """Two names of one subscription are two calls."""
        with Hinted():
            return self._own.facts(names)

    def take_over(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        """One activation after the other; whether Fastly allows it at all shows at the first."""
        names = bundle.assignment.names
        self._account.configuration()
        with Hinted():
            same = self._objects(bundle)
        outcomes: dict[str, Outcome] = {}
        try:
            for name in names:
                with Hinted():
                    self._serve(name, same, over=True)
                outcomes[name] = Done()
        except ProviderError as error:
            return {**outcomes, **{name: Failed(error) for name in names[len(outcomes) :]}}
        return outcomes

    def give_way(self, assignment: Assignment) -> Mapping[str, Outcome]:
        with Hinted():
            return self._own.give_way(assignment)

    def request_managed(self, assignment: Assignment) -> Mapping[str, Outcome]:
        with Hinted():
            return self._own.request(assignment)

    def retire_managed(self, assignment: Assignment) -> Mapping[str, Outcome]:
        with Hinted():
            return self._own.retire(assignment)

    # ---- where, and who --------------------------------------------------------------------------------------------

    def edges(self, assignment: Assignment) -> tuple[Edge, ...]:
        """The addresses of the configuration, worldwide ones if there are any; its host name where it names no address."""
        records = self._account.dns_records()
        addresses = [each for each in records if each.type in ("A", "AAAA") and _is_address(each.value)]
        worldwide = [each for each in addresses if each.region == "global"]
        names = [each for each in records if each.type == "CNAME"]
        return tuple(Edge(each.value) for each in worldwide or addresses or names)

    def check(self, *, write: bool = False) -> Standing:
        """Reads what a push reads. `write`: uploads a key without a key, which only a token that may write is told is wrong."""
        configuration = self._account.configuration()
        with Hinted():
            self._api.read_keys()
            if write:
                self._try_to_write()
        try:
            token = self._api.token()
        except (CredentialsRejected, Missing, Rejected, Misunderstood, Unavailable):
            token = None  # some tokens may not ask about themselves
        scopes = token.scope.split() if token else []
        read_only = bool(scopes) and "global" not in scopes
        return Standing(
            name=f'token "{token.name}"' if token and token.name else "a token that Fastly does not describe",
            account=token.customer if token else "",
            reach=f'TLS configuration "{configuration.name}", ' + ("may write" if write else "writing not tried"),
            ends=token.ends if token else None,
            remarks=(f"the token's scope is {' '.join(scopes)}: a push needs global",) if read_only else (),
        )

    def _try_to_write(self) -> None:
        try:
            self._api.create_no_key()
        except Rejected:
            return
        raise Misunderstood(f"{SERVICE} took an upload that holds no key")


def _store(name: str) -> str | None:
    match = _OURS.fullmatch(name)
    return match[1] if match else None


def _is(certificate: Certificate, version: Version) -> bool:
    """Whether the object holds that version, as far as Fastly tells."""
    ends = version.lifetime.ends.replace(microsecond=0)
    return certificate.serial in (None, version.serial) and certificate.ends in (None, ends)


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True
