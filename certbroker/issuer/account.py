"""Our account at one CA: its key is sealed in the store before the CA hears of it; a known account costs no request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from acme import messages
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error as JoseError
from josepy.jwk import JWK, JWKEC

from certbroker.config import IssuerSettings
from certbroker.errors import IssuanceError, NothingDone, VaultError
from certbroker.events import AccountChanged, Emit
from certbroker.issuer.account_key import kind
from certbroker.issuer.binding import Binding, how_to_bind, missing
from certbroker.issuer.directory import Directories
from certbroker.issuer.messages import Directory, usable
from certbroker.issuer.network import CaNetwork, Reply
from certbroker.issuer.problem import HINTS, PREFIX, printable
from certbroker.secret import Secret, SecretRef
from certbroker.store import Store
from certbroker.vault import Vault

KIND: Final = "account"


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
        self._vault = vault
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
                self._key = self._load() or self._make()
                uri = self._register(binding)
            else:
                self._key = self._load()
                if self._key is None:
                    raise NothingDone(
                        f"the store knows the account {uri} at {self._settings.name} but holds no key for it",
                        hint="restore the store from its backup, or give the issuer another name: a new account is then made",
                    )
            self._network.identify(self._key, uri)
            self._uri = uri
        return self._uri

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
        uri = self.open()
        name = self._settings.name
        try:
            status = self._network.ask(uri, "the account").object().get("status")
        except IssuanceError as error:
            if error.status in (401, 403, 404) or error.problem_type == PREFIX + "accountDoesNotExist":
                raise IssuanceError(
                    f"{name} does not know our account {uri} any more: {error.what}",
                    hint=HINTS["accountDoesNotExist"],
                    problem_type=error.problem_type,
                ) from None
            raise
        if status not in (None, "valid"):
            raise IssuanceError(
                f"{name} says our account {uri} is {printable(status)!r}", hint=HINTS["accountDoesNotExist"]
            )
        return "valid"

    def _owner(self) -> str:
        return f"{self._settings.name} {self._settings.directory}"

    def _load(self) -> JWK | None:
        box = self._store.box(KIND, self._owner())
        if box is None:
            return None
        text = self._vault().unseal(self._store.id, KIND, self._owner(), box)
        try:
            return JWK.json_loads(text.reveal())
        except (JoseError, ValueError):
            raise VaultError(f"the sealed key of the account at {self._settings.name} is not a key") from None

    def _make(self) -> JWK:
        key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        box = self._vault().seal(self._store.id, KIND, self._owner(), Secret(key.json_dumps()))
        self._store.put_box(KIND, self._owner(), box)
        return key

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
