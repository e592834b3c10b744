"""The Fly adapter is a provider: over nothing, over Fly's own certificate, and over one that somebody uploaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from certbroker import keys
from certbroker.secret import Secret
from certbroker.testkit.bundles import NOW, make_bundle
from certbroker.testkit.conformance import NewRig, ProviderConformance
from certbroker.testkit.line import Line
from certbroker.testkit.rig import Rig, context
from certbroker.testkit.simulator import Request
from certbroker_fly import FlyProvider, FlySettings
from certbroker_fly.simulator import FlySimulator, Quirks

NAMES = ("example.com", "www.example.com", "*.example.net")
TOKEN = "fm2_conformanceAAAABBBBCCCC"


class Place:
    """A Fly with our app and somebody else's, where every name is proven unless it is held."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.granted = False
        """The CNAMEs by which Fly validates stand."""
        self.theirs = make_bundle(NAMES, number=9)
        self.simulator = FlySimulator(
            clock=lambda: NOW,
            apps=("site-blue", "site-red"),
            lookup=self._lookup,
            managed_issuer=lambda name: (self.theirs.version.chain_pem, self.theirs.key_pem),
            quirks=Quirks(one_app_per_name=True),
        )
        self.simulator.accept(TOKEN, org="personal", apps=("site-blue",))
        self.line = Line(self.simulator)

    def _lookup(self, name: str, kind: str) -> list[str]:
        if kind == "CNAME" and self.granted and name.startswith("_acme-challenge."):
            base = name.removeprefix("_acme-challenge.")
            return [f"{base}.{self.simulator.apps['site-blue'].id}.flydns.net"]
        if kind != "TXT" or name.removeprefix("_fly-ownership.") in self.held:
            return []
        return [self.simulator.apps["site-blue"].proofs[1]]

    def make(self, store_id: str) -> FlyProvider:
        settings = FlySettings.model_validate({"app": "site-blue", "token": {"env": "FLY_TOKEN"}})
        return FlyProvider.open(settings, context(line=self.line, secrets={"FLY_TOKEN": Secret(TOKEN)}))

    def served(self, name: str) -> str | None:
        found = self.simulator.serving("site-blue").get(name)
        return keys.fingerprint(keys.read_chain(found[0])[0]) if found else None

    def state(self) -> Mapping[str, Any]:
        return {
            f"{app}/{name}/{kind}": chain
            for app in self.simulator.apps
            for name, chains in self.simulator.stored(app).items()
            for kind, chain in chains.items()
        }

    def manage(self) -> str:
        """Fly's own certificate for every name."""
        for name in NAMES:
            self.simulator.manage("site-blue", name)
        return self.theirs.fingerprint

    def grant(self) -> None:
        self.granted = True

    def upload(self, app: str = "site-blue", names: tuple[str, ...] = NAMES) -> str:
        """Somebody's upload for every name."""
        headers = {"Authorization": self.simulator.deploy_token(app)}
        for name in names:
            body = {
                "hostname": name,
                "fullchain": self.theirs.version.chain_pem,
                "private_key": self.theirs.key_pem.reveal(),
            }
            path = f"/v1/apps/{app}/certificates/custom"
            answer = self.simulator.handle(Request("POST", path, (), headers, json.dumps(body).encode()))
            assert answer.status == 201
        return self.theirs.fingerprint

    def refuse(self, name: str) -> None:
        """Another app holds it, and this Fly wants one holder."""
        self.upload("site-red", (name,))

    def crowd(self) -> None:
        for number in range(60):
            self.simulator.manage("site-blue", f"n{number}.example.com")

    def put_foreign(self) -> Callable[[], Any]:
        self.simulator.manage("site-blue", "blog.example.com")
        self.simulator.manage("site-red", "www.example.com")
        return lambda: {key: value for key, value in self.state().items() if key.endswith("/fly")}


def rig(place: Place, occupy: Callable[[], str]) -> Rig:
    return Rig(
        make=place.make,
        served=place.served,
        state=place.state,
        gate=place.line.gate,
        line=place.line,
        names=NAMES,
        secrets=(Secret(TOKEN),),
        rewrites=True,
        tells_store=False,
        put_foreign=place.put_foreign,
        occupy=occupy,
        crowd=place.crowd,
        refuse=place.refuse,
        hold=place.held.add,
        manage=place.manage,
        grant=place.grant,
    )


class TestFlyOverItsOwnCertificate(ProviderConformance):
    @pytest.fixture
    def new_rig(self) -> NewRig:
        def new() -> Rig:
            place = Place()
            return rig(place, place.manage)

        return new


class TestFlyOverAnUploadedCertificate(ProviderConformance):
    @pytest.fixture
    def new_rig(self) -> NewRig:
        def new() -> Rig:
            place = Place()
            return rig(place, place.upload)

        return new
