"""A Fastly in memory, the adapter in front of it, and ways to look at both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from certbroker import keys
from certbroker.errors import ProviderError
from certbroker.model import Assignment, Bundle, Failed, Keep, Live, Outcome
from certbroker.secret import Secret
from certbroker.testkit.bundles import NOW, ToyCA, default_ca, make_bundle
from certbroker.testkit.line import Line
from certbroker.testkit.rig import STORE, Rig, context
from certbroker_fastly import FastlyProvider, FastlySettings
from certbroker_fastly.simulator import FastlySimulator, Quirks
from tests.clock import TestClock

NAMES = ("example.com", "*.example.com", "www.example.net")


@dataclass
class Fastly:
    """One simulator, the line to it, and fresh instances as each run has one."""

    simulator: FastlySimulator
    clock: TestClock
    line: Line
    token: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """DNS as Fastly sees it."""

    def prove(self) -> None:
        """Publish what every subscription wants to see."""
        for each in self.simulator.estate.subscriptions.values():
            for domain in each.domains:
                name = f"_acme-challenge.{domain.removeprefix('*.')}"
                self.records[name, "CNAME"] = [f"{each.validation}."]

    def provider(self, store_id: str = STORE, **settings: Any) -> FastlyProvider:
        values = {"token": {"env": "FASTLY_TOKEN"}, **self.settings, **settings}
        token = Secret(self.token or self.simulator.token)
        handed = context(line=self.line, secrets={"FASTLY_TOKEN": token}, store_id=store_id, now=self.clock.now())
        return FastlyProvider.open(FastlySettings.model_validate(values), handed)

    def inspect(self, names: tuple[str, ...] = NAMES, **more: Any) -> Mapping[str, Live]:
        return self.provider(**more).inspect(Assignment("main", "place", names))

    def push(self, bundle: Bundle, **more: Any) -> Mapping[str, Outcome]:
        """As a run does it: look, then push."""
        provider = self.provider(**more)
        return provider.push(bundle, provider.inspect(bundle.assignment))

    def prune(self, *keep: Bundle, certificate: str = "main", **more: Any) -> tuple[str, ...]:
        assignment = Assignment(certificate, "place", NAMES)
        return self.provider(**more).prune(assignment, Keep(frozenset(bundle.fingerprint for bundle in keep)))

    def served(self, name: str, configuration: str = "") -> str | None:
        """The fingerprint that the edges present for `name`."""
        pair = self.simulator.serving(configuration).get(name)
        return keys.fingerprint(keys.read_chain(pair[0])[0]) if pair else None

    def quirk(self, **changes: Any) -> None:
        self.simulator.quirks = replace(self.simulator.quirks, **changes)

    @property
    def writes(self) -> list[str]:
        """Method and path of the writes since the last look, then forgotten. Ids are left out."""
        found = [f"{r.method} {'/'.join(r.path.split('/')[2:3])}" for r in self.simulator.writes]
        self.simulator.requests.clear()
        return found

    def state(self) -> dict[str, Any]:
        """Everything that is there, one entry per object."""
        estate = self.simulator.estate
        tables = (estate.keys, estate.certificates, estate.activations, estate.configurations, estate.subscriptions)
        return {identity: row for table in tables for identity, row in table.items()}


def make_fastly(quirks: Quirks | None = None, **more: Any) -> Fastly:
    """A new account with a default configuration."""
    clock = TestClock(NOW)
    records: dict[tuple[str, str], list[str]] = {}
    known = {"managed_issuer": fastlys_own, "lookup": lambda name, kind: records.get((name, kind), ()), **more}
    simulator = FastlySimulator(clock=clock.now, quirks=quirks, **known)
    return Fastly(simulator, clock, Line(simulator), records=records)


def version(number: int = 1, names: tuple[str, ...] = NAMES, **more: Any) -> Bundle:
    """A new version with a key of its own."""
    return make_bundle(names, number=number, **more)


def failure(outcome: Outcome) -> ProviderError:
    assert isinstance(outcome, Failed)
    return outcome.error


def serves(fastly: Fastly, bundle: Bundle, *names: str) -> bool:
    return {fastly.served(name) for name in names or NAMES} == {bundle.fingerprint}


def fastlys_own(name: str) -> tuple[str, Secret]:
    """What Fastly would issue for itself."""
    made = make_bundle((name,), ca=_fastlys_ca())
    return made.version.chain_pem, made.key_pem


def _fastlys_ca() -> ToyCA:
    return default_ca()


def label(quirks: Quirks) -> str:
    """The quirks that are not the usual ones, for a test's id."""
    usual = asdict(Quirks())
    return ",".join(f"{name}={value}" for name, value in asdict(quirks).items() if value != usual[name]) or "usual"


def fastly_rig(quirks: Quirks | None = None) -> Rig:
    """For the conformance suite."""
    fastly = make_fastly(quirks, domains=(*NAMES, "other.example.org"))
    fastly.quirk(subscription_beside=True, managed_activation_returns=True)  # what nobody knows is allowed here
    simulator = fastly.simulator

    def put_foreign() -> Any:
        shops = make_bundle(("shop.example.com",), certificate="shop")
        odd = make_bundle(("odd.example.com",), certificate="odd")
        simulator.add_foreign(shops.version.chain_pem, shops.key_pem, name="the shop's own")
        simulator.add_foreign(odd.version.chain_pem, odd.key_pem, name=f"certbroker/{STORE}/mainly/0123456789ab")
        unused = make_bundle(("unused.example.com",))
        simulator.add_key(unused.key_pem, name=None)
        made = dict(fastly.state())
        return lambda: {identity: fastly.state().get(identity) for identity in made}

    def occupy() -> str:
        theirs = make_bundle(NAMES)
        simulator.add_foreign(theirs.version.chain_pem, theirs.key_pem, name="by hand", activate=NAMES)
        return theirs.fingerprint

    def crowd() -> None:
        for number in range(105):
            made = make_bundle((f"n{number}.example.com",))
            simulator.add_foreign(made.version.chain_pem, made.key_pem, name="crowd", activate=made.assignment.names)

    def refuse(name: str) -> None:
        assert simulator.domains is not None
        simulator.domains.discard(name)

    def manage() -> None:
        fastly.quirk(managed_activation_moves=True)
        for name in NAMES:
            simulator.manage(name)

    return Rig(
        make=fastly.provider,
        served=fastly.served,
        state=fastly.state,
        gate=fastly.line.gate,
        names=NAMES,
        line=fastly.line,
        secrets=(Secret(simulator.token),),
        put_foreign=put_foreign,
        occupy=occupy,
        crowd=crowd,
        refuse=refuse,
        manage=manage,
        grant=fastly.prove,
    )
