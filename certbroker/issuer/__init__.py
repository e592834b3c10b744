"""The conversation with a CA: one account at one CA, and everything that is asked of it.

`acme` is imported with the first request, not with this module: a run in which nothing is due never needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from certbroker.challenges import Challenges
from certbroker.config import IssuerSettings, NetworkSettings
from certbroker.errors import BadMaterial, NothingDone
from certbroker.events import Emit
from certbroker.issuer.ca_pace import CaPace
from certbroker.issuer.request import CaaProblem, OrderRequest, Refusal
from certbroker.keys import read_chain
from certbroker.model import Method, RevocationReason, Standing, Version, Window
from certbroker.policy import MINIMUM_BETWEEN_ORDERS
from certbroker.secret import Secret, SecretRef
from certbroker.store import Store
from certbroker.vault import Vault
from certbroker.world import World

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

    from certbroker.issuer.account import AccountDesk
    from certbroker.issuer.directory import Directories
    from certbroker.issuer.messages import Directory
    from certbroker.issuer.network import CaNetwork
    from certbroker.issuer.windows import Windows

__all__ = ["CaPace", "CaaProblem", "Issuer", "OrderRequest", "Refusal"]

EVERY: Final = timedelta(hours=1)

MOST_LINES: Final = 16
"""Connections to one CA that are kept: as many as questions are under way (`windows.AT_ONCE`)."""


class Issuer:
    """One `[issuer.NAME]`, for one run. Thread-safe; one `obtain` at a time.

    Args:
        deadline: `world.clock.monotonic()` seconds after which the CA is asked nothing any more.
        every: when the next run comes; the drawn moment of a renewal window leaves room for two of them.
        minimum: least time between two finalizations of one certificate and key type.
        transport: what carries the requests in the place of the network.
        pace: how fast the CA may be asked, shared by all issuers that are this CA; None: as fast as it answers.
    """

    def __init__(
        self,
        settings: IssuerSettings,
        *,
        store: Store,
        vault: Vault | Callable[[], Vault],
        challenges: Challenges,
        world: World,
        network: NetworkSettings,
        resolve: Callable[[SecretRef], Secret],
        emit: Emit,
        deadline: float,
        every: timedelta = EVERY,
        minimum: timedelta = MINIMUM_BETWEEN_ORDERS,
        transport: BaseAdapter | None = None,
        pace: CaPace | None = None,
    ) -> None:
        self.settings = settings
        self._store = store
        self._vault = vault
        self._challenges = challenges
        self._world = world
        self._network = network
        self._resolve = resolve
        self._emit = emit
        self._deadline = deadline
        self._every = every
        self._minimum = minimum
        self._transport = transport
        self._pace = pace
        self._lock = threading.RLock()

    # ---- who we are --------------------------------------------------------------------------------------------------

    def account(self) -> str:
        """The account's URI; made if needed, its key sealed in the store first.

        Raises:
            NothingDone: its terms are not agreed to. IssuanceError: the CA refused or is away.
        """
        with self._lock:
            return self._account.open()

    def account_status(self) -> str:
        """What the CA says of an account that exists: `valid`. Raises NothingDone, IssuanceError."""
        with self._lock:
            return self._account.status()

    def roll_over(self) -> str:
        """Another key for the account; killed anywhere, the next run goes on. Returns the URI, which stays.

        Raises NothingDone, IssuanceError, LeaseHeld.
        """
        with self._lock:
            return self._account.roll_over()

    def deactivate(self) -> str:
        """End the account at the CA and forget it. Returns its URI. Raises NothingDone, IssuanceError."""
        with self._lock:
            return self._account.deactivate()

    def adopt(self, key: Secret, what: str, uri: str | None = None) -> str:
        """Take over the account that another client made with this key (PEM or JWK, called `what`). Returns its URI.

        Raises BadMaterial, NothingDone, IssuanceError.
        """
        from certbroker.issuer import account_key

        with self._lock:
            return self._account.adopt(account_key.read(key, what), uri)

    def directory(self) -> Directory:
        """What the CA says it offers; kept in the store for a day. Raises IssuanceError."""
        with self._lock:
            return self._directories.get()

    def check(self) -> Standing:
        """Whether the CA still knows us and what it offers; changes nothing, so it makes no account.

        Raises:
            NothingDone: its terms are not agreed to. IssuanceError: it does not know us any more, or is away.
        """
        with self._lock:
            directory = self._directories.get(fresh=True)
            account = self._account
        account.check_conditions(directory)
        profiles = f"profiles {', '.join(directory.profiles)}" if directory.profiles else "no profiles"
        reach = f"{profiles}, {'says when to renew' if directory.renewal_info else 'does not say when to renew'}"
        wanted = self.settings.profile
        if wanted is not None and wanted not in directory.profiles:
            raise NothingDone(f"{self.settings.name} has no profile {wanted!r}; it has {profiles}")
        if account.known is None:
            bound = " and binds it by eab" if account.binding() is not None else ""
            return Standing(f"no account yet, the first order makes one{bound}", reach=reach)
        with self._lock:
            account.status()
        return Standing(
            "account ready", account=account.known, reach=reach
        )  # perhaps found at another address just now

    def caa_problems(self, names: Sequence[str], method: Method) -> list[CaaProblem]:
        """What CAA records (RFC 8659, RFC 8657) say against this CA and account signing `names`, proven by `method`."""
        identities = self.directory().caa_identities
        if not identities:
            return []
        uri = self._account.known
        found = [
            finding
            for name in names
            for finding in self._challenges.caa(
                name, issuers=identities, account_uri=uri, wildcard=name.startswith("*."), method=method
            )
            if finding.state != "ok"
        ]
        return [CaaProblem(f.state == "fail", f.what, f.hint or "") for f in dict.fromkeys(found)]

    # ---- certificates ------------------------------------------------------------------------------------------------

    def obtain(
        self, requests: Sequence[OrderRequest], *, still_ours: Callable[[str], None] = lambda certificate: None
    ) -> list[Version | Refusal]:
        """A version for each request, or why there is none; in the order of the requests.

        Orders that an earlier run left behind are gone on with. TXT records are removed whatever happens.

        Args:
            still_ours: asked with the certificate's name before each newOrder and finalize; raises LeaseHeld if another
                run took it over.

        Raises:
            StoreError, VaultError: what concerns every certificate.
        """
        from certbroker.issuer.problem import unknown_account

        try:
            _, account = self._opened()
            roots_pem = self.roots_pem
        except NothingDone as error:
            return [error] * len(requests)
        outcomes = self._converse(requests, still_ours, roots_pem)
        lost = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Exception) and unknown_account(outcome)]
        if lost and account.found_again():
            again = self._converse([requests[n] for n in lost], still_ours, roots_pem)
            for n, outcome in zip(lost, again, strict=True):
                outcomes[n] = outcome
        return outcomes

    def _converse(
        self, requests: Sequence[OrderRequest], still_ours: Callable[[str], None], roots_pem: str | None
    ) -> list[Version | Refusal]:
        from certbroker.issuer import finishing, placing, proving
        from certbroker.issuer.conversation import IN_FLIGHT, Conversation
        from certbroker.issuer.order import Work

        line, account = self._opened()
        clock = self._world.clock
        began = clock.monotonic()
        works = [Work(request, began=began, step_began=began) for request in requests]
        with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix=f"acme-{self.settings.name}") as pool:
            talk = Conversation(
                settings=self.settings,
                store=self._store,
                vault=self._opened_vault,
                challenges=self._challenges,
                network=line,
                directories=self._directories,
                account=account,
                clock=clock,
                emit=self._emit,
                deadline=self._deadline,
                minimum=self._minimum,
                roots_pem=roots_pem,
                still_ours=still_ours,
                pool=pool,
            )
            try:
                placing.place(talk, works)
                proving.prove(talk, works)
                finishing.finish(talk, works)
            finally:
                proving.clean_up(talk, works)
        outcomes = [work.outcome for work in works]
        return [outcome for outcome in outcomes if outcome is not None]

    def revoke(self, version: Version, reason: RevocationReason, *, key_pem: Secret | None = None) -> bool:
        """Revoke it, signed by the account, or by the certificate's own key (PEM) if that is given.

        False if the CA had done so before, which is as good. Raises NothingDone, IssuanceError.
        """
        from certbroker.issuer import revocation

        def ask(line: CaNetwork) -> bool:
            return revocation.revoke(line, self._directories, self.settings.name, version, reason)

        def ask_as_account() -> bool:
            account.open()
            return ask(line)

        if key_pem is not None:
            line = self._new_line()
            revocation.sign_with_certificate_key(line, self._directories, key_pem)
            return ask(line)
        line, account = self._opened()
        return account.recognized(ask_as_account)

    # ---- when to renew -----------------------------------------------------------------------------------------------

    def windows(self, versions: Sequence[Version]) -> list[Window | None]:
        """Ask the CA when to renew each (RFC 9773); in their order. None where it does not say and never did.

        The moment is drawn once a window. An answer that cannot be had or read is told as an event, and the old one holds.
        """
        with self._lock:
            asking = self._windows
        return asking.ask(versions)

    # ---- opened at first use -----------------------------------------------------------------------------------------

    def _opened(self) -> tuple[CaNetwork, AccountDesk]:
        with self._lock:
            return self._line, self._account

    @cached_property
    def _line(self) -> CaNetwork:
        return self._new_line()

    def _new_line(self) -> CaNetwork:
        from certbroker.issuer.network import CaNetwork
        from certbroker.transport import Transport

        return CaNetwork(
            self.settings.name,
            clock=self._world.clock,
            transport=self._transport or Transport(self._world.network, self._network.connect_to, pool=MOST_LINES),
            verify=self._bundle(),
            plain=self.settings.directory.startswith("http:"),
            deadline=self._deadline,
            pace=self._pace,
        )

    @cached_property
    def _windows(self) -> Windows:
        from certbroker.issuer.windows import Windows

        return Windows(
            self.settings.name,
            line=self._line,
            directories=self._directories,
            store=self._store,
            world=self._world,
            emit=self._emit,
            every=self._every,
        )

    @cached_property
    def _directories(self) -> Directories:
        from certbroker.issuer.directory import Directories

        return Directories(
            self.settings.name, self.settings.directory, store=self._store, network=self._line, clock=self._world.clock
        )

    @cached_property
    def _account(self) -> AccountDesk:
        from certbroker.issuer.account import AccountDesk

        return AccountDesk(
            self.settings,
            store=self._store,
            vault=lambda: self._opened_vault,
            network=self._line,
            directories=self._directories,
            resolve=self._resolve,
            emit=self._emit,
        )

    @cached_property
    def _opened_vault(self) -> Vault:
        return self._vault if isinstance(self._vault, Vault) else self._vault()

    def _bundle(self) -> bool | str:
        path = self.settings.ca_bundle
        if path is None:
            return True
        self._read_pem(path, "ca_bundle")
        return str(path)

    @cached_property
    def roots_pem(self) -> str | None:
        """What its certificates are judged by; None: the system's roots. Raises NothingDone."""
        return None if self.settings.roots is None else self._read_pem(self.settings.roots, "roots")

    def _read_pem(self, path: Path, option: str) -> str:
        """Raises NothingDone: without it every order would be judged wrong."""
        where = f"{option} of [issuer.{self.settings.name}]"
        try:
            text = path.read_text(encoding="utf-8")
            read_chain(text, what=f"{where} ({path})")
        except (OSError, UnicodeDecodeError):
            raise NothingDone(f"{where} cannot be read: {path}") from None
        except BadMaterial as error:
            raise NothingDone(error.what) from None
        return text
