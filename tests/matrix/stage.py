"""A stage: the whole engine, store and adapters as they are, in front of platforms, edges and a DNS in the same process.

What `certbroker renew` does is done here by the same code from `broker.renew` down; only HTTP to the platforms and the
handshakes go through no socket, so that hundreds of scenes can be played in the time of one. `remember` and `put_back` turn
everything back to an earlier moment: store, platforms, edges, DNS and clock.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter

from certbroker import broker, keys
from certbroker.broker import Report
from certbroker.broker.desk import Desk
from certbroker.challenges.dnsimple_simulator import HOUR_LIMIT, DnsimpleSimulator
from certbroker.cli import main
from certbroker.deploy.looking import Looking
from certbroker.issuer import Issuer
from certbroker.model import Edge, KeyType, Version, Window
from certbroker.probe import Roots, Seen
from certbroker.sandbox.dns import DnsServer
from certbroker.secret import Secret
from certbroker.store import DueRow, NewVersion, Store
from certbroker.testkit.bundles import default_ca, make_bundle
from certbroker.testkit.simulator import Request, Simulator, SimulatorTransport, serve
from certbroker_fastly.simulator import FastlySimulator
from certbroker_fly.simulator import FlyApp, FlySimulator
from tests.clock import START, TestClock
from tests.fresh import empty_store
from tests.matrix.edges import Edges
from tests.world import make_world

NAMES: Final = ("example.com", "*.example.com")
HOUR: Final = timedelta(minutes=61)
"""Cron's next run; the minute is what a run may take."""

PATIENCE: Final = 10.0
"""Seconds of the stage's clock that a run looks at edges again."""

FASTLY: Final = "http://localhost:1"
FLY: Final = "http://localhost:2"
"""Where the platforms would be; nothing listens there."""

FILE: Final = """\
[store]
url = "sqlite:///{folder}/state/store.db"

[vault]
key = "file:vault.key"

[defaults]
issuer = "nobody"

[issuer.nobody]
directory = "http://localhost:3/dir"
roots = "roots.pem"
agree_to_terms = true

[solver.dnsimple]
type = "dnsimple"
api = "{dnsimple}/v2"
token = {{ env = "DNSIMPLE_TOKEN" }}
nameservers = ["{dns}"]

[network]
nameservers = ["{dns}"]

{targets}
{certificates}
"""


class StageClock(TestClock):
    """The clock of the machine that runs certbroker: `skew` wrong. It can be put back, and its sleepers cost nothing."""

    skew = timedelta()

    def now(self) -> datetime:
        return self.true() + self.skew

    def true(self) -> datetime:
        """What everybody else's clock says."""
        return super().now()

    def put(self, moment: tuple[datetime, float]) -> None:
        with self._lock:
            self._now, self._monotonic = moment
            self.skew = timedelta()

    def sleep(self, seconds: float) -> None:
        self.advance(timedelta(seconds=seconds))


class Platform:
    """One simulator with the edges that follow it, and the calls that the run under way has made."""

    def __init__(self, simulator: Any, clock: StageClock, allowed: Callable[[str], str | None]) -> None:
        self.simulator = simulator
        self.edges = Edges(simulator.addresses, simulator.serving_at, clock, allowed)
        simulator.on_change = self.edges.hear

    def remember(self) -> Callable[[], None]:
        platform, edges = self.simulator.remember(), self.edges.remember()

        def put_back() -> None:
            self.simulator.faults.clear()
            self.simulator.requests.clear()
            platform()
            self.edges.put_back(edges)

        return put_back


class Wires(BaseAdapter):
    """Leads each call to the simulator behind its port."""

    def __init__(self, platforms: Mapping[int, Simulator], on_call: Callable[[Request], None]) -> None:
        super().__init__()
        self._to = {port: SimulatorTransport(_Heard(simulator, on_call)) for port, simulator in platforms.items()}

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        return self._to[urlsplit(request.url or "").port or 0].send(request, *args, **kwargs)

    def close(self) -> None:
        return None


@dataclass
class _Heard:
    simulator: Simulator
    on_call: Callable[[Request], None]

    def handle(self, request: Request) -> Any:
        self.on_call(request)
        return self.simulator.handle(request)


@dataclass
class StageDesk(Desk):
    """A desk whose calls and looks stay in this process, and that asks no CA."""

    stage: Stage = field(kw_only=True)

    def transport(self) -> BaseAdapter:
        return self.stage.wires

    @property
    def looking(self) -> Looking:
        return _Glass(self.store, self.world, {}, self.stage)

    def issuer(self, name: str) -> Issuer:
        raise AssertionError("a CA was asked, and nothing is to be ordered here")


@dataclass(frozen=True)
class _Glass(Looking):
    stage: Stage

    def at(self, edge: Edge, name: str, roots: Roots, ask: str | None) -> list[Seen]:
        return [self.stage.edges_of(edge.host).look(edge, name)]


class Stage:
    """Use `with stage(folder, ...) as made:`."""

    def __init__(
        self,
        folder: Path,
        dns: DnsServer,
        dnsimple: DnsimpleSimulator,
        url: str,
        clock: StageClock,
        apps: Sequence[str],
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.dns = dns
        self.dnsimple = dnsimple
        self._dnsimple_url = url
        edges = ("198.51.100.10", "2001:db8:fa::10")
        fastly = FastlySimulator(clock=clock.true, random=random.Random(7), edges=edges, managed_issuer=managed)
        made = [FlyApp(app, v4=(f"203.0.113.{n}",), v6=(f"2001:db8:f::{n}",)) for n, app in enumerate(apps, 10)]
        fly = FlySimulator(clock=clock.true, apps=made, lookup=self._lookup, managed_issuer=managed)
        self.platforms = {"fastly": Platform(fastly, clock, self._allowed), "fly": Platform(fly, clock, self._allowed)}
        self.on_call: Callable[[Request], None] = lambda request: None
        self.wires = Wires({1: fastly, 2: fly}, lambda request: self.on_call(request))
        self.reports: list[Report] = []
        self._store: Store | None = None
        self._config: Any = None
        self._seed = 0

    # ---- the file --------------------------------------------------------------------------------------------------

    def configure(self, *certificates: str, edit: tuple[str, str] = ("", "")) -> None:
        """Write the file, and make the store if there is none."""
        tables = self.platforms["fastly"].simulator.tables(FASTLY), self.platforms["fly"].simulator.tables(FLY)
        text = FILE.format(
            folder=self.folder,
            dnsimple=self._dnsimple_url,
            dns=self.dns.address,
            targets="\n".join(tables).replace(*edit) if edit[0] else "\n".join(tables),
            certificates="\n".join(certificates),
        )
        self.folder.mkdir(exist_ok=True)
        (self.folder / "roots.pem").write_text(default_ca().root_pem)
        (self.folder / "certbroker.toml").write_text(text)
        self._config = None
        if self._store is None:
            address = empty_store(self.folder / "state" / "store.db")
            assert main(["init"], self._world()) == 0
            self._store = Store.open(address, self.clock)

    @property
    def store(self) -> Store:
        assert self._store is not None
        return self._store

    def _world(self) -> Any:
        self._seed += 1
        secrets = {"DNSIMPLE_TOKEN": self.dnsimple.token}
        for platform in self.platforms.values():
            secrets |= platform.simulator.secrets
        return make_world(self.folder, clock=self.clock, environ=secrets, seed=self._seed)

    # ---- what people and time do -------------------------------------------------------------------------------------

    def issue(self, certificate: str = "main", names: Sequence[str] = NAMES, *, days: float = 45) -> Version:
        """One more version, as an import leaves it: nothing is ordered, and it is wanted."""
        made = make_bundle(names, certificate=certificate, now=self.clock.true(), lifetime=timedelta(days=days))
        v = made.version
        draft = NewVersion(
            certificate=certificate,
            key_type=KeyType.P256,
            issuer="nobody",
            profile=None,
            fingerprint=v.fingerprint,
            serial=v.serial,
            issued_by=v.issued_by,
            names=v.names,
            lifetime=v.lifetime,
            chain_pem=v.chain_pem,
            roots_pem=v.roots_pem,
            trusted=False,
            key_id=keys.leaf_facts(keys.read_chain(v.chain_pem)[0]).key_id,
        )
        vault = self.desk().vault
        store_id = self.store.id
        version = self.store.add_version(draft, lambda new: vault.seal(store_id, "version", str(new), made.key_pem))
        later = v.lifetime.ends
        self.store.put_window(Window(version.id, later, later, later, self.clock.now(), later))
        self.store.set_due([DueRow("certificate", certificate, self.clock.now())])
        return version

    def prove(self, *names: str) -> None:
        """Both apps may serve them: the TXT of their organisation stands."""
        proof = self.platforms["fly"].simulator.apps["site-blue"].proofs[1]
        for name in names:
            self.dns.set(f"_fly-ownership.{name.removeprefix('*.')}", "TXT", proof)

    def foreign(self, *names: str) -> str:
        """Somebody else's certificate is served for them at Fastly; returns its fingerprint."""
        made = make_bundle(names, now=self.clock.true())
        platform = self.platforms["fastly"]
        platform.simulator.add_foreign(made.version.chain_pem, made.key_pem, name="by hand", activate=names)
        platform.edges.hear()
        return made.fingerprint

    def later(self, step: timedelta = HOUR) -> None:
        self.clock.advance(step)

    # ---- runs --------------------------------------------------------------------------------------------------------

    def desk(self) -> StageDesk:
        world = self._world()
        if self._config is None:
            self._config = broker.read_config(world, None)
        return StageDesk(world, self._config, self.store, lambda event: None, PATIENCE, at_once=1, stage=self)

    def renew(self, *names: str, yes: bool = False) -> Report:
        """What cron does. No check of credentials is due: that asks the CA too."""
        far = self.clock.now() + timedelta(days=9000)
        report = broker.renew(self._unchecked(far), names, yes=yes)
        self.reports.append(report)
        assert not [line for entry in report.entries for line in entry.lines if line.subject == "bug"], report
        return report

    def _unchecked(self, far: datetime) -> StageDesk:
        self.store.set_due([DueRow("check", row.subject, far) for row in self.store.due_of("check")])
        return self.desk()

    def phases(self, target: str, version: Version) -> dict[str, str]:
        """By name; of the version there."""
        return {
            row.name: row.phase.value
            for row in self.store.deployments(version.certificate)
            if (row.target, row.version_id) == (target, version.id)
        }

    # ---- moments -----------------------------------------------------------------------------------------------------

    def remember(self) -> Callable[[], None]:
        """Everything as it is now; the answer puts it back."""
        moment = (self.clock.true(), self.clock.monotonic())
        platforms = [platform.remember() for platform in self.platforms.values()]
        zone = {number: dict(each) for number, each in self.dnsimple.zones["example.com"].records.items()}
        records = {name: self.dns.txt(name) for name in _PROOFS}
        copy = self.copy_of_the_store()

        def put_back() -> None:
            self.on_call = lambda request: None
            self.clock.put(moment)
            for platform in platforms:
                platform()
            self.dnsimple.zones["example.com"].records = {number: dict(each) for number, each in zone.items()}
            self.dnsimple.remaining = HOUR_LIMIT
            for name, values in records.items():
                self.dns.set(name, "TXT", *values)
            self.put_store(copy)

        return put_back

    def copy_of_the_store(self) -> sqlite3.Connection:
        """What it holds at this moment."""
        copy = sqlite3.connect(":memory:", check_same_thread=False)
        with closing(sqlite3.connect(self.folder / "state" / "store.db")) as now:
            now.backup(copy)
        return copy

    def put_store(self, copy: sqlite3.Connection) -> None:
        """As it was; whoever held a lease then is dead, and time has passed for the database's clock too."""
        with closing(sqlite3.connect(self.folder / "state" / "store.db")) as now:
            copy.backup(now)
            now.execute("UPDATE lease SET expires = '2001-01-01 00:00:00.000000'")
            now.commit()

    # ---- inside ------------------------------------------------------------------------------------------------------

    def addresses(self, target: str) -> tuple[str, ...]:
        """Where that target's edges are."""
        if target == "fastly":
            return tuple(self.platforms["fastly"].edges.addresses)
        app = self.platforms["fly"].simulator.apps[target.replace("fly-", "site-")]
        return (*app.v4, *app.v6)

    def edges_of(self, address: str) -> Edges:
        return next(each.edges for each in self.platforms.values() if address in each.edges.addresses)

    def _lookup(self, name: str, rdtype: str) -> list[str]:
        return self.dns.lookup_txt(name) if rdtype == "TXT" else self.dns.values(name, rdtype)

    def _allowed(self, chain: str) -> str | None:
        """No version of ours that is revoked is ever put anywhere."""
        version = self.store.by_fingerprint(keys.leaf_facts(keys.read_chain(chain)[0]).fingerprint)
        return "it is revoked" if version and version.revoked_at else None


_PROOFS: Final = ("_fly-ownership.example.com", "_fly-ownership.www.example.com")


def managed(name: str) -> tuple[str, Secret]:
    """What a platform issues for itself."""
    made = make_bundle((name,), now=START, lifetime=timedelta(days=365))
    return made.version.chain_pem, made.key_pem


def certificate(*targets: str, name: str = "main", names: Sequence[str] = NAMES) -> str:
    """A `[certificate.NAME]` table."""
    listed = ", ".join(f'"{target}"' for target in targets)
    wanted = ", ".join(f'"{each}"' for each in names)
    return f"[certificate.{name}]\nnames = [{wanted}]\ntargets = [{listed}]\n"


@contextmanager
def stage(folder: Path, *, apps: Sequence[str] = ("site-blue",)) -> Iterator[Stage]:
    """Its DNS, and a provider that writes to it, are real servers; all else stays in this process."""
    clock = StageClock()
    with DnsServer(recursive=True, clock=clock) as dns:
        dns.add_zone("example.com", ns=("ns1.example.com",))
        dns.add("ns1.example.com", "A", "127.0.0.1")
        dnsimple = DnsimpleSimulator(
            zones=("example.com",),
            on_change=lambda zone, name, kind, values: dns.set(name, kind, *values),
            now=clock.true,
        )
        with serve(dnsimple) as served:
            made = Stage(folder, dns, dnsimple, served.url, clock, apps)
            try:
                yield made
            finally:
                if made._store is not None:
                    made._store.close()
                for simulator in (dnsimple, *(each.simulator for each in made.platforms.values())):
                    assert simulator.bugs == [], "\n".join(simulator.bugs)
