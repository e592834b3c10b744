"""An issuer at work: a store in a folder, a vault, a DNS on loopback that takes our updates."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from requests.adapters import BaseAdapter

from certbroker.challenges import Challenges, solver_settings
from certbroker.config import IssuerSettings, NetworkSettings, SolverSettings
from certbroker.events import Event, Stepped
from certbroker.issuer import Issuer, OrderRequest
from certbroker.model import KeyType, Version
from certbroker.sandbox.dns import DnsServer
from certbroker.store import Store
from certbroker.vault import Vault
from certbroker.world import Clock, World
from tests.fresh import empty_store
from tests.world import make_world

TSIG = base64.b64encode(b"a key of thirty-two bytes, secret").decode()
ZONE = "example.com"


@dataclass
class Desk:
    """What a run has: `issuer(...)` opens one, as often as wanted, on the same store."""

    world: World
    store: Store
    vault: Vault
    dns: str
    """"host:port" of the recursor and of the zone's server, which takes TSIG-signed updates."""
    settings: IssuerSettings
    seconds: float = 600.0
    transport: BaseAdapter | None = None
    told: list[Event] = field(default_factory=list)

    def issuer(self, **changes: Any) -> Issuer:
        clock = self.world.clock
        deadline = clock.monotonic() + self.seconds
        network = NetworkSettings(nameservers=(self.dns,))
        options = {"server": self.dns, "key": "certbroker.", "secret": {"env": "TSIG"}}
        model = solver_settings("rfc2136")
        assert model is not None
        solver = SolverSettings("own", "rfc2136", model.model_validate(options), (ZONE,), (self.dns,))
        challenges = Challenges(
            {"own": solver},
            network=network,
            world=self.world,
            resolve=lambda ref: ref.resolve(self.world.environ),
            deadline=deadline,
        )
        values: dict[str, Any] = {
            "store": self.store,
            "vault": self.vault,
            "challenges": challenges,
            "world": self.world,
            "network": network,
            "resolve": lambda ref: ref.resolve(self.world.environ),
            "emit": self.told.append,
            "deadline": deadline,
            "every": timedelta(hours=1),
            "transport": self.transport,
        }
        return Issuer(changes.pop("settings", self.settings), **{**values, **changes})

    def kinds(self) -> list[str]:
        """What is kept in the history."""
        return [event.kind for event in self.told if not isinstance(event, Stepped)]


@contextmanager
def desk(
    folder: Path, settings: IssuerSettings, dns: str, clock: Clock, *, tsig: str = TSIG, **more: Any
) -> Iterator[Desk]:
    """One at `folder`. `tsig`: the key "certbroker." as the server at `dns` knows it."""
    world = make_world(folder, clock=clock, environ={"TSIG": tsig})
    vault = Vault.make("file:vault.key", world.environ, folder, clock.now())
    store = Store.open(empty_store(folder / "store.db"), clock)
    try:
        yield Desk(world, store, vault, dns, settings, **more)
    finally:
        store.close()


@contextmanager
def own_dns(clock: Clock | None = None) -> Iterator[DnsServer]:
    """A name server for `example.com` that takes our updates and is the recursor too."""
    with DnsServer(recursive=True, keys={"certbroker.": TSIG}, clock=clock) as server:
        server.add_zone(ZONE)
        yield server


def wanted(*names: str, certificate: str = "main", key_type: KeyType = KeyType.P256, **more: Any) -> OrderRequest:
    return OrderRequest(certificate, key_type, names or (ZONE, f"*.{ZONE}"), "never issued", **more)


def version(outcome: object) -> Version:
    """The outcome, which must be a version."""
    if isinstance(outcome, Exception):
        raise outcome
    assert isinstance(outcome, Version)
    return outcome
