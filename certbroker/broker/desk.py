"""What one run has at hand: the file, the store, and everything that is opened, and imported, only when it is needed."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from certbroker.attempt import Attempts
from certbroker.broker.report import Trouble
from certbroker.challenges import Challenges, Means
from certbroker.config import Config, IssuerSettings, default_vault, rehearsal
from certbroker.errors import UsageError
from certbroker.events import Attempted, Emit, Event
from certbroker.limits import Rates
from certbroker.model import Certificate, Method, Version
from certbroker.secret import Secret, SecretRef
from certbroker.store import Store
from certbroker.world import World

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

    from certbroker.deploy.looking import Looking
    from certbroker.deploy.saga import Saga
    from certbroker.deploy.target import Target
    from certbroker.issuer import CaPace, Issuer
    from certbroker.vault import Vault

RUN_SECONDS: Final = 1800.0
"""After this a run starts nothing new outside; the next one goes on."""


@dataclass
class Desk:
    """Shared by the threads of one run. Only what is used is opened: a command resolves no secret it does not need."""

    world: World
    config: Config
    store: Store
    listeners: Emit
    patience: float = 30.0
    """Seconds that slow edges are looked at."""
    at_once: int = 8
    """So many targets, or certificates, are worked on at the same time."""
    deadline: float = field(init=False)
    """`world.clock.monotonic()` seconds after which nothing new is begun outside, and nothing is waited for."""

    def __post_init__(self) -> None:
        self.deadline = self.world.clock.monotonic() + RUN_SECONDS
        self._lock = threading.RLock()
        self._secrets: dict[SecretRef, Secret] = {}
        self._targets: dict[str, Target] = {}
        self._issuers: dict[str, Issuer] = {}
        self._paces: dict[tuple[str, Rates], CaPace] = {}
        self._vault: Vault | None = None
        self._challenges: Challenges | None = None
        self._attempts = Attempts()
        self.began = False
        """A run was begun: what stands may have changed."""
        self.told: list[Trouble] = []
        """What stands in the way of the file itself, for the end of the run."""

    def emit(self, event: Event) -> None:
        """Tell it. Never raises."""
        self._attempts.hear(event)
        self.listeners(event)

    def close_attempts(self, names: Sequence[str] | None = None) -> None:
        """The attempts at these certificates (None: all that are open) are over: kept in the history, and told. Raises StoreError."""
        over = [self._described(each) for each in self._attempts.over(f"{self.store.id} {self.store.run}", names)]
        self.store.record(*over)
        for each in over:
            self.emit(each)

    def _described(self, attempt: Attempted) -> Attempted:
        """With what the file says of the certificate."""
        known = self.config.certificates.get(attempt.certificate or "")
        return replace(attempt, names=len(known.names), challenge=known.challenge.value) if known else attempt

    def stay(self, seconds: float | None) -> None:
        """The owner wants slow edges to be looked at for so long; None: as usual. Before anything is opened."""
        if seconds is not None:
            self.patience = seconds
            self.deadline = max(self.deadline, self.world.clock.monotonic() + seconds)

    def resolve(self, ref: SecretRef) -> Secret:
        """At first use, once a run. Raises UsageError."""
        with self._lock:
            if ref not in self._secrets:
                self._secrets[ref] = ref.resolve(self.world.environ, where=self.config.where(ref))
            return self._secrets[ref]

    @property
    def vault(self) -> Vault:
        """Raises VaultError."""
        with self._lock:
            if self._vault is None:
                from certbroker.vault import Vault

                self._vault = Vault.open(self.vault_url, self.world.environ, self.config.path.parent)
            return self._vault

    @property
    def vault_url(self) -> str:
        return self.config.vault or default_vault(self.world.environ)

    def check_vault(self) -> None:
        """Raise VaultError before anything is touched if the vault key is not the one that sealed this store."""
        vault = self.vault
        first = next(self.store.boxes(), None)
        if first is not None:
            kind, owner, box = first
            vault.unseal(self.store.id, kind, owner, box)

    def challenges(self) -> Challenges:
        with self._lock:
            if self._challenges is None:
                self._challenges = Challenges(
                    self.config.solvers,
                    network=self.config.network,
                    world=self.world,
                    resolve=self.resolve,
                    deadline=self.deadline,
                    folder=self.config.folder,
                    provider=lambda name: self.target(name).provider,
                )
            return self._challenges

    def look_again(self) -> None:
        """What DNS said in this run is not relied on any more."""
        with self._lock:
            self._challenges = None

    def target(self, name: str) -> Target:
        with self._lock:
            if name not in self._targets:
                from certbroker.deploy.target import open_target

                self._targets[name] = open_target(
                    self.config.targets[name],
                    config=self.config,
                    world=self.world,
                    store_id=self.store.id,
                    deadline=self.deadline,
                    resolve=self.resolve,
                    transport=self.transport(),
                )
            return self._targets[name]

    def transport(self) -> BaseAdapter:
        """What carries the calls of one target."""
        from certbroker.transport import Transport

        return Transport(self.world.network, self.config.network.connect_to)

    @property
    def looking(self) -> Looking:
        from certbroker.deploy.looking import Looking

        return Looking(self.store, self.world, self.config.network.connect_to)

    def issuer(self, name: str) -> Issuer:
        with self._lock:
            if name not in self._issuers:
                self._issuers[name] = self._open_issuer(self.config.issuers[name])
            return self._issuers[name]

    def means(self, certificate: Certificate, issuer: str) -> Means:
        """How its names are proven to that issuer; the account is filled in where it matters and is known.

        Raises IssuanceError if the CA has to be asked for its domains and is away.
        """
        if certificate.challenge in (Method.DNS_01, Method.HTTP_01):
            return Means.of(certificate)
        account = self.store.account(issuer, self.config.issuers[issuer].directory)
        means = Means.of(certificate, account.uri if account else None)
        if certificate.challenge is Method.DNS_PERSIST_01:
            return replace(means, issuers=self.issuer(issuer).directory().caa_identities)
        return means

    def issuer_by(self, settings: IssuerSettings) -> Issuer:
        """One that may have left the file."""
        if self.config.issuers.get(settings.name) == settings:
            return self.issuer(settings.name)
        return self._open_issuer(settings)

    def rehearsal_issuer(self, certificate: Certificate) -> Issuer:
        """A test CA to rehearse with: the one that belongs to the certificate's CA if the file declares it, any other that
        the file declares, else the one that is known to belong to the certificate's CA."""
        derived = rehearsal(self.config.issuers[certificate.issuers[0]])
        staging = [i for i in self.config.issuers.values() if i.staging]
        own = (i for i in staging if derived is not None and i.directory == derived.directory)
        declared = next(own, next(iter(staging), None))
        if declared is not None:
            return self.issuer(declared.name)
        if derived is None:
            hint = "declare one: [issuer.NAME] with its directory and staging = true"
            raise UsageError(f"no test CA is known for {certificate.issuers[0]}", hint=hint)
        return self._open_issuer(derived)

    def _open_issuer(self, settings: IssuerSettings) -> Issuer:
        from certbroker.issuer import Issuer

        return Issuer(
            settings,
            store=self.store,
            vault=lambda: self.vault,
            challenges=self.challenges(),
            world=self.world,
            network=self.config.network,
            resolve=self.resolve,
            emit=self.emit,
            deadline=self.deadline,
            every=self.config.every,
            pace=self._pace(settings),
        )

    def _pace(self, settings: IssuerSettings) -> CaPace | None:
        """One a CA: it counts what comes from our address, whichever of our accounts asks."""
        if settings.rates is None:
            return None
        with self._lock:
            place = settings.directory, settings.rates
            if place not in self._paces:
                from certbroker.issuer import CaPace

                self._paces[place] = CaPace(self.world.clock, settings.rates, settings.directory)
            return self._paces[place]

    def open_key(self, version: Version) -> Secret:
        """The private key of a version. Raises VaultError."""
        box = self.store.box("version", str(version.id))
        if box is None:
            raise UsageError(f"the store holds no key for {version.certificate} {version.label}")
        return self.vault.unseal(self.store.id, "version", str(version.id), box)

    @property
    def saga(self) -> Saga:
        from certbroker.deploy.saga import Saga

        return Saga(
            store=self.store,
            world=self.world,
            emit=self.emit,
            looking=self.looking,
            open_key=self.open_key,
            challenges=self.challenges,
            deadline=self.deadline,
            patience=self.patience,
        )

    def elsewhere(self, kind: str, name: str) -> bool:
        """What this host's file does not have is the affair of another host at this store: what is due of it is left alone."""
        if kind in ("solver", "issuer"):
            return len(self.store.hosts()) > 1
        return self.store.is_declared("certificate" if kind == "label" else kind, name)

    def certificate(self, name: str) -> Certificate:
        """By the name in the file. Raises UsageError with the nearest name."""
        if name in self.config.certificates:
            return self.config.certificates[name]
        raise UsageError(f"no certificate is called {name}", hint=nearest(name, self.config.certificates))


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """A hint: what was probably meant, or all there is."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    some = ", ".join(list(known)[:8])
    return f"there is {some}{' and more' if len(known) > 8 else ''}" if known else "the file declares none"
