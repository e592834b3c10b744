"""Many certificates of which nothing is due: a file, and a store that knows them all to be served."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import insert

from certbroker import broker
from certbroker.broker.taking_in import take_in
from certbroker.config import Config
from certbroker.model import KeyType, Phase
from certbroker.store import DeploymentRow, DueRow, Store, schema
from certbroker.world import World
from tests.clock import START, TestClock
from tests.world import CountingNetwork, make_world

FILE = """\
[store]
url = "sqlite:///{folder}/store.db"

[issuer.letsencrypt]
agree_to_terms = true

[solver.dnsimple]
type = "dnsimple"
token = {{ env = "DNSIMPLE_TOKEN" }}

[target.fly]
type = "fly"
app = "app"
token = {{ env = "FLY_TOKEN" }}

{more}[target.folder]
type = "files"
folder = "{folder}/{{certificate}}"

[certificate.many]
each = [{names}]
names = ["{{each}}", "www.{{each}}"]
issuer = "letsencrypt"
targets = [{targets}]
"""

MORE = """\
[target.fly-{number}]
type = "fly"
app = "app-{number}"
token = {{ env = "FLY_TOKEN" }}

"""

CHUNK = 500


def quiet(folder: Path, count: int, *, now: datetime = START, targets: int = 2) -> tuple[World, CountingNetwork]:
    """A world with `count` certificates, each issued, served and next due in a month. Its network is forbidden.

    `targets`: a folder, and the others at Fly. `now`: for programs of their own, which have only the system's clock: the real time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = ", ".join(f'"n{number}.example"' for number in range(count))
    more = range(1, targets - 1)
    file = FILE.format(
        folder=folder,
        names=names,
        more="".join(MORE.format(number=number) for number in more),
        targets=", ".join(f'"{target}"' for target in ["fly", *(f"fly-{number}" for number in more), "folder"]),
    )
    (folder / "certbroker.toml").write_text(file)
    network = CountingNetwork(forbidden=True)
    world = make_world(folder, clock=TestClock(now), network=network)
    config = broker.read_config(world, None)
    with broker.open_store(world, config, create=True) as store:
        fill(store, config, world)
    return world, network


def fill(store: Store, config: Config, world: World, *, chain_pem: str = "a chain") -> None:
    """What an issuance of each certificate of the file would have left behind. `chain_pem`: of every one."""
    now = world.clock.now()
    later = now + timedelta(days=30)
    versions = [
        {
            "id": number,
            "certificate": certificate.name,
            "key_type": KeyType.P256.value,
            "number": 1,
            "issuer": certificate.issuers[0],
            "fingerprint": f"{number:064x}",
            "serial": f"{number:x}",
            "issued_by": "E7",
            "names": list(certificate.names),
            "starts": now,
            "ends": now + timedelta(days=90),
            "chain_pem": chain_pem,
            "trusted": True,
            "rehearsal": False,
            "key_id": f"{number:064x}",
            "key_use": 1,
            "root": "ISRG Root X1",
            "roots_seen": [],
            "made": now,
        }
        for number, certificate in enumerate(config.certificates.values(), 1)
    ]
    variants = [
        {"certificate": row["certificate"], "key_type": row["key_type"], "wanted": row["id"], "failures": 0}
        for row in versions
    ]
    with store.transaction() as connection:  # one by one, as orders come in, would take a minute
        connection.execute(insert(schema.version), versions)
        connection.execute(insert(schema.variant), variants)
    deployments = [
        DeploymentRow(
            version_id=number,
            target=assignment.target,
            name=name,
            certificate=certificate.name,
            key_type=KeyType.P256,
            phase=Phase.DELIVERED if assignment.target == "folder" else Phase.COMMITTED,
            since=now,
            pushed=now,
        )
        for number, certificate in enumerate(config.certificates.values(), 1)
        for assignment in certificate.assignments
        for name in assignment.names
    ]
    for start in range(0, len(deployments), CHUNK):
        store.put_deployments(deployments[start : start + CHUNK])
    desk = broker.Desk(world, config, store, lambda event: None)
    take_in(desk)
    store.set_due([DueRow(kind, name, later) for kind in ("certificate", "observe") for name in config.certificates])
    for kind, names in (("target", config.targets), ("solver", config.solvers), ("issuer", config.issuers)):
        for name in names:
            store.put_finding(kind, name, "ok", "accepted", None)
