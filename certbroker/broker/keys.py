"""`vault check` and `vault rotate`: the sealed keys of a store and the key that opens them."""

from __future__ import annotations

from dataclasses import dataclass

from certbroker.broker.desk import Desk
from certbroker.config import default_vault
from certbroker.errors import LeaseHeld, VaultError
from certbroker.vault import rotate


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """How many sealed keys the vault key opens; `closed` names those it does not."""

    url: str
    kid: str
    sealed: int
    opened: int
    closed: tuple[str, ...] = ()


def check_keys(desk: Desk) -> KeyCheck:
    """Open every sealed key once. Raises VaultError if there is no vault key at all."""
    vault = desk.vault
    closed = []
    count = 0
    for kind, owner, box in desk.store.boxes():
        count += 1
        try:
            vault.unseal(desk.store.id, kind, owner, box)
        except VaultError:
            closed.append(f"{kind} {owner}")
    return KeyCheck(vault.url, vault.kid, count, count - len(closed), tuple(closed))


def rotate_keys(desk: Desk) -> KeyCheck:
    """A new vault key, and every sealed key under it. Raises VaultError; the old keys are still there then."""
    url = desk.config.vault or default_vault(desk.world.environ)
    with desk.store.lease("vault", f"{desk.world.host}, vault rotate"):
        vault, rewrapped = rotate(
            url,
            desk.world.environ,
            desk.config.path.parent,
            desk.world.clock.now(),
            store_id=desk.store.id,
            boxes=desk.store.boxes,
            replace=desk.store.replace_box,
            alone=lambda: _refuse_beside_others(desk),
        )
    return KeyCheck(url, vault.kid, rewrapped, rewrapped)


def _refuse_beside_others(desk: Desk) -> None:
    """A run that read the old vault key may be about to put down a key that it sealed under it."""
    for other in desk.store.leases():
        if other.name != "vault":
            held = LeaseHeld(other.name, other.holder, 0.0)
            held.hint = (
                "the new vault key is in use; when that run is done, certbroker vault rotate removes the old one"
            )
            raise held
