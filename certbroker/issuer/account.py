"""Our account at one CA: its key is sealed in the store before the CA hears of it; a known account costs no request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from acme import messages
from josepy.jwk import JWK

from certbroker.config import IssuerSettings
from certbroker.errors import IssuanceError, NothingDone
from certbroker.events import AccountChanged, Emit
from certbroker.issuer.account_key import kind, new_key
from certbroker.issuer.binding import Binding, how_to_bind, missing
from certbroker.issuer.directory import Directories
from certbroker.issuer.messages import Deactivation, Directory, usable
from certbroker.issuer.network import CaNetwork, Reply
from certbroker.issuer.problem import PREFIX, account_lost, printable, unknown_account
from certbroker.issuer.recognition import elsewhere, find
from certbroker.issuer.rollover import Rollover
from certbroker.issuer.sealed_keys import COMING, PRESENT, SealedKeys
from certbroker.secret import Secret, SecretRef
from certbroker.store import Store
from certbroker.vault import Vault

T = TypeVar("T")


class AccountDesk:
    """One account: never shared between issuers or directories, so a test CA's account is never a real one's."""

    def __init__(
        self,
        settings: IssuerSettings,
        *,
        store: Store,
        vault: Callable[[], Vault],
        network: CaNetwork,
        directories: Directories,
        resolve: Callable[[SecretRef], Secret],
        emit: Emit,
    ) -> None:
        self._settings = settings
        self._store = store
        self._keys = SealedKeys(settings.name, f"{settings.name} {settings.directory}", store, vault)
        self._network = network
        self._directories = directories
        self._resolve = resolve
        self._emit = emit
        self._uri: str | None = None
        self._key: JWK | None = None

    @property
    def known(self) -> str | None:
        """Its URI, if it was made before."""
        account = self._store.account(self._settings.name, self._settings.directory)
        return account.uri if account else None

    @property
    def key(self) -> JWK:
        """The account's key. Only after `open`."""
        assert self._key is not None
        return self._key

    def open(self) -> str:
        """Sign as this account from now on; make it if the CA does not know us yet. Returns its URI.

        Raises:
            NothingDone: the CA has terms that the file does not agree to, or the key is lost.
            IssuanceError: the CA refused.
        """
        if self._uri is None:
            uri = self.known
            if uri is None:
                self.check_conditions(self._directories.get())
                binding = self.binding()
                self._key = self._keys.load() or self._make()
                uri = self._register(binding)
            else:
                self._key = self._load(uri)
                if self._store.box(COMING, self._keys.owner) is not None:
                    self._key = self._rollover(uri).settle(self._key)
            self._network.identify(self._key, uri)
            self._uri = uri
        return self._uri

    def roll_over(self) -> str:
        """Another key for the same account; a change that was begun goes on. Returns the account's URI.

        Raises:
            NothingDone: there is no account, a run is under way, or the CA has no place for it.
            IssuanceError: the CA refused or is away. LeaseHeld: another run is at it.
        """

        def change() -> JWK:
            uri = self._must_be_known()
            return self._rollover(uri).run(self._load(uri))

        self._key = self.recognized(change)
        return self.open()

    def deactivate(self) -> str:
        """End the account, at the CA and here (RFC 8555 section 7.3.6). One that the CA has ended before is forgotten. Returns its URI.

        Raises NothingDone: there is none. IssuanceError: the CA refused or is away.
        """

        def end() -> Reply:
            uri = self.open()
            self._directories.get()  # says where nonces are
            return self._network.ask(uri, "the end of the account", Deactivation(status="deactivated"))

        self._must_be_known()
        try:
            self.recognized(end)
        except IssuanceError as error:
            if not unknown_account(error) and "deactivated" not in error.what:
                raise
        uri = self._must_be_known()
        event = AccountChanged(at=self._store.now(), issuer=self._settings.name, uri=uri, what="deactivated")
        owner = self._keys.owner
        self._store.forget_account(
            self._settings.name, self._settings.directory, [(PRESENT, owner), (COMING, owner)], events=[event]
        )
        self._emit(event)
        self._uri = self._key = None
        return uri

    def adopt(self, key: JWK, uri: str | None = None) -> str:
        """Take over the account that another client made with this key. Returns its URI.

        Args:
            uri: which one it is, if that is known: then the CA is not asked to find it.

        Raises:
            NothingDone: we have another account there, or the CA knows none by this key.
            IssuanceError: the CA refused or is away.
        """
        name, known = self._settings.name, self.known
        if uri is not None and not usable(uri):
            raise NothingDone("the account's address is no URL", hint="--uri https://…, as the CA gave it")
        found = uri or find(self._network, self._directories, key)
        if found is None:
            raise NothingDone(
                f"{name} knows no account by this key", hint="is it the right CA? the account may also be deactivated"
            )
        if not usable(found):
            raise IssuanceError(f"{name} knows an account by this key without saying where it is")
        if known not in (None, found):
            raise NothingDone(
                f"{name} has an account here already: {known}",
                hint=f"end it (certbroker account deactivate {name}), or import into an issuer of another name",
            )
        self._network.identify(key, found)
        try:
            self._ask_status(found)
        except IssuanceError as error:
            error.hint = (
                "the key must be the one of that account, and the account must not be ended" if uri else error.hint
            )
            raise
        event = AccountChanged(at=self._store.now(), issuer=name, uri=found, what="imported")
        self._store.adopt_account(
            name, self._settings.directory, found, (PRESENT, self._keys.owner, self._keys.seal(key)),
            key_type=kind(key), events=[event],
        )  # fmt: skip
        self._emit(event)
        self._uri, self._key = found, key
        return found

    def check_conditions(self, directory: Directory) -> None:
        """Raises NothingDone if the CA has terms that the file does not agree to, or wants what the file does not have."""
        if directory.binding_required and self._settings.eab is None and self.known is None:
            raise missing(self._settings)
        if directory.terms and not self._settings.agree_to_terms:
            name = self._settings.name
            raise NothingDone(
                f"{name} has terms of service that the file does not agree to: {directory.terms}",
                hint=f"read them, then set agree_to_terms = true in [issuer.{name}]",
            )

    def binding(self) -> Binding | None:
        """What a new account is bound by. An account that exists needs it no more, so only those without one open it.

        Raises NothingDone: its credentials cannot be had or read.
        """
        eab = self._settings.eab
        return None if eab is None else Binding.opened(self._settings.name, eab, self._resolve)

    def status(self) -> str:
        """What the CA says of the account: one POST-as-GET.

        Raises:
            IssuanceError: the CA does not know it (any more), or has ended it.
        """
        return self.recognized(lambda: self._ask_status(self.open()))

    def recognized(self, act: Callable[[], T]) -> T:
        """`act`, which opens the account by itself; once more if the CA does not know the address that we hold, and our key it does.

        Raises what `act` raises.
        """
        try:
            return act()
        except IssuanceError as error:
            if not unknown_account(error) or not self.found_again():
                raise
        return act()

    def found_again(self) -> bool:
        """Whether the CA keeps our account at another address than we hold: it is held from now on, and what we ordered with it.

        The CA is believed when it takes our key there. What cannot be found out now is left as it is.
        """
        held, name = self.known, self._settings.name
        if held is None:
            return False
        self._uri = None  # to be opened anew, whatever is found: the line signs with something else meanwhile
        keys = [key for key in map(self._keys.load, (PRESENT, COMING)) if key is not None]
        try:
            places = (elsewhere(self._network, self._directories, held, key) for key in keys)
            found = next(filter(None, places), None)
        except IssuanceError:
            return False
        if found is None:
            return False
        event = AccountChanged(at=self._store.now(), issuer=name, uri=found, what="found at another address")
        self._store.account_moved(name, self._settings.directory, found, events=[event])
        self._emit(event)
        return True

    def _ask_status(self, uri: str) -> str:
        name = self._settings.name
        self._directories.get()  # says where nonces are
        try:
            status = self._network.ask(uri, "the account").object().get("status")
        except IssuanceError as error:
            if error.status in (401, 403, 404) or unknown_account(error):
                raise IssuanceError(
                    f"{name} does not know our account {uri} any more: {error.what}",
                    hint=account_lost(name),
                    problem_type=error.problem_type,
                ) from None
            raise
        if status not in (None, "valid"):
            raise IssuanceError(f"{name} says our account {uri} is {printable(status)!r}", hint=account_lost(name))
        return "valid"

    def _must_be_known(self) -> str:
        uri = self.known
        if uri is None:
            raise NothingDone(f"there is no account at {self._settings.name} yet", hint="the first order makes one")
        return uri

    def _load(self, uri: str) -> JWK:
        key = self._keys.load()
        if key is None:
            raise NothingDone(
                f"the store knows the account {uri} at {self._settings.name} but holds no key for it",
                hint="restore the store from its backup, or give the issuer another name: a new account is then made",
            )
        return key

    def _make(self) -> JWK:
        key = new_key()
        self._keys.put(key)
        return key

    def _rollover(self, uri: str) -> Rollover:
        return Rollover(
            self._settings.name,
            self._settings.directory,
            uri,
            self._keys,
            self._store,
            self._network,
            self._directories,
            self._emit,
        )

    def _register(self, binding: Binding | None) -> str:
        """newAccount (RFC 8555 section 7.3). A key that the CA knows already gives the account that it belongs to.

        A CA's directory may not say that it wants a binding, and its refusal then does.
        """
        key = self.key
        self._network.identify(key, None)

        def ask(directory: Directory) -> Reply:
            said: dict[str, Any] = {"terms_of_service_agreed": True} if directory.terms else {}
            if binding is not None:
                said["external_account_binding"] = binding.sign(key, directory.new_account)
            return self._network.ask(directory.new_account, "a new account", messages.NewRegistration(**said))

        try:
            reply = self._directories.use(ask)
        except IssuanceError as error:
            if error.problem_type == PREFIX + "externalAccountRequired" or (
                binding is not None and error.status in (400, 401, 403)
            ):
                error.hint = error.hint or how_to_bind(self._settings)
            raise
        uri = reply.headers.get("Location", "")
        if not usable(uri):
            raise IssuanceError(f"{self._settings.name} made an account without saying where it is")
        name = self._settings.name
        made = AccountChanged(at=self._store.now(), issuer=name, uri=uri, what="made")
        self._store.put_account(
            name, self._settings.directory, uri, key_type=kind(key), bound=binding is not None, events=[made]
        )
        self._emit(made)
        return uri
