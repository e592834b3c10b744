"""The sealed keys of one account: the one it signs with, and the one it is about to sign with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from josepy.errors import Error as JoseError
from josepy.jwk import JWK

from certbroker.errors import VaultError
from certbroker.secret import Sealed, Secret
from certbroker.store import Store
from certbroker.vault import Vault

Kind = Literal["account", "rollover"]
PRESENT: Final[Kind] = "account"
COMING: Final[Kind] = "rollover"


@dataclass(frozen=True, slots=True)
class SealedKeys:
    """`owner` is "ISSUER DIRECTORY": never shared between issuers or directories."""

    ca: str
    owner: str
    store: Store
    vault: Callable[[], Vault]

    def load(self, kind: Kind = PRESENT) -> JWK | None:
        """Raises VaultError: it cannot be opened, or is no key."""
        box = self.store.box(kind, self.owner)
        if box is None:
            return None
        text = self.vault().unseal(self.store.id, kind, self.owner, box)
        try:
            return JWK.json_loads(text.reveal())
        except (JoseError, ValueError):
            raise VaultError(f"the sealed key of the account at {self.ca} is not a key") from None

    def seal(self, key: JWK, kind: Kind = PRESENT) -> Sealed:
        return self.vault().seal(self.store.id, kind, self.owner, Secret(key.json_dumps()))

    def put(self, key: JWK, kind: Kind = PRESENT) -> None:
        self.store.put_box(kind, self.owner, self.seal(key, kind))
