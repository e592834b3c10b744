"""Another key for the same account (RFC 8555 section 7.3.5), so that a run that dies anywhere leaves an account that can be used.

The new key is sealed before the CA hears of it. While it lies there, the CA may know the one or the other: it is asked for
the new one first. Neither is given up for what the CA says of the change, but only when it has taken a request by the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from acme.jws import JWS
from josepy.jwk import JWK

from certbroker.errors import IssuanceError, IssuerUnavailable, NothingDone, RateLimited
from certbroker.events import AccountChanged, Emit
from certbroker.issuer.account_key import algorithm, kind, new_key
from certbroker.issuer.directory import Directories
from certbroker.issuer.messages import Directory
from certbroker.issuer.network import CaNetwork, Reply
from certbroker.issuer.recognition import takes
from certbroker.issuer.sealed_keys import COMING, SealedKeys
from certbroker.store import Lease, Store


@dataclass(frozen=True, slots=True)
class Rollover:
    """The change of one account's key."""

    ca: str
    directory: str
    uri: str
    keys: SealedKeys
    store: Store
    network: CaNetwork
    directories: Directories
    emit: Emit

    def run(self, old: JWK) -> JWK:
        """Go on with a change that was begun, or begin one. Returns the key that the CA knows from now on.

        Raises:
            NothingDone: a run is under way that signs with the old key, or the CA has no place for it.
            IssuanceError: the CA refused, and the old key stays; or it is away or contradicts itself, and the next run finds out.
        """
        with self._alone():
            new = self.keys.load(COMING)
            if new is not None:
                return self._finish(old, new)
            busy = next((row for row in self.store.leases() if row.name.startswith("certificate/")), None)
            if busy is not None:
                raise NothingDone(
                    f"{busy.holder} works on {busy.name} and may sign with the present key",
                    hint="wait for it to end",
                )
            new = new_key()
            self.keys.put(new, COMING)
            return self._change(old, new)

    def settle(self, old: JWK) -> JWK:
        """The key to sign with where a change was begun and not ended: the change goes on; if it cannot, the key that the CA knows.

        Raises LeaseHeld: somebody is at it. IssuanceError: the CA is away.
        """
        with self._alone():
            new = self.keys.load(COMING)
            if new is None:  # ended meanwhile
                return self.keys.load() or old
            try:
                return self._finish(old, new)
            except (IssuanceError, NothingDone):
                return self._kept(new) if self._takes(new) else old

    def _alone(self) -> Lease:
        """Raises LeaseHeld: another run changes the key of this account."""
        return self.store.lease(f"account/{self.keys.owner}", f"run {self.store.run}")

    def _finish(self, old: JWK, new: JWK) -> JWK:
        return self._kept(new) if self._takes(new) else self._change(old, new)

    def _change(self, old: JWK, new: JWK) -> JWK:
        refused: IssuanceError | NothingDone | None = None
        try:
            self._ask(old, new)
        except (RateLimited, IssuerUnavailable):
            raise
        except (IssuanceError, NothingDone) as error:
            refused = error
        if self._takes(new):  # also if it was refused: an earlier request may have arrived in between
            return self._kept(new)
        stays = self._takes(old)
        if stays:
            self.store.drop_box(COMING, self.keys.owner)
        raise refused or IssuanceError(
            f"{self.ca} said that it changed the account's key, and does not take the new one",
            hint="the old key stays" if stays else "both keys are kept; the next run asks which of them it takes",
        )

    def _takes(self, key: JWK) -> bool:
        return takes(self.network, self.directories, self.uri, key)

    def _kept(self, new: JWK) -> JWK:
        """It is the account's key: in one transaction it takes the place of the old one."""
        event = AccountChanged(at=self.store.now(), issuer=self.ca, uri=self.uri, what="key changed")
        self.store.account_key_changed(
            self.ca, self.directory, self.keys.seal(new), COMING, key_type=kind(new), events=[event]
        )
        self.emit(event)
        return new

    def _ask(self, old: JWK, new: JWK) -> None:
        """The outer signature by the old key, the inner one by the new: neither says more than a public key."""
        self.network.identify(old, self.uri)
        payload = json.dumps({"account": self.uri, "oldKey": old.public_key().to_partial_json()}).encode()

        def ask(directory: Directory) -> Reply:
            if directory.key_change is None:
                raise NothingDone(f"{self.ca} offers no way to change an account's key")
            inner = JWS.sign(payload, new, algorithm(new), None, directory.key_change)
            return self.network.ask(directory.key_change, "the account's new key", inner)

        self.directories.use(ask)
