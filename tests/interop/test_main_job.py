"""The main job by command line against servers that we did not write: every CA, every way into DNS, renewal by ARI, PostgreSQL."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certbroker.world import Contact, SystemClock, SystemNetwork
from tests.interop.desk import Ca, Desk, Proof, by_lexicon, by_rfc2136, caddys_ca, debians_pebble, newest_pebble
from tests.postgres import Postgres, postgres

pytestmark = pytest.mark.interop


class Ahead(SystemClock):
    """The machine's clock, wrong by some minutes: past the least time between two orders of one certificate."""

    def __init__(self, by: timedelta = timedelta(minutes=10)) -> None:
        self._by = by

    def now(self) -> datetime:
        return super().now() + self._by


# ---- every CA, proven by every way into DNS -------------------------------------------------------------------------------


@pytest.mark.parametrize("proving", [by_rfc2136, by_lexicon])
@pytest.mark.parametrize("authority", [newest_pebble, debians_pebble, caddys_ca])
def test_the_wildcard_certificate_is_ordered_proven_and_delivered(
    authority: Callable[[Path, str], AbstractContextManager[Ca]],
    proving: Callable[[Path], AbstractContextManager[Proof]],
    tmp_path: Path,
) -> None:
    with proving(tmp_path / "dns") as proof, authority(tmp_path / "ca", proof.address) as ca:
        desk = Desk(tmp_path / "desk", ca, proof)
        desk.run("init")
        desk.run("check")
        assert "1 order, 1 push" in desk.run("plan").out
        ran = desk.run("renew")
        assert "1 ordered" in ran.out
        assert "v1 delivered; nobody can look" in ran.out
        desk.is_proven()
        leaf = desk.leaf
        assert desk.run("renew").out.startswith("nothing due")
        assert desk.leaf == leaf
        assert desk.run("status", "--json").json["rows"][0]["wanted"] == "v1"


def test_the_installed_program_does_the_same(tmp_path: Path) -> None:
    with by_rfc2136(tmp_path / "dns") as proof, newest_pebble(tmp_path / "ca", proof.address) as ca:
        desk = Desk(tmp_path / "desk", ca, proof)
        desk.start("init")
        assert "1 ordered" in desk.start("renew").out
        desk.is_proven()
        assert desk.start("renew").out.startswith("nothing due")
        assert ca.orders == 1


# ---- the CA says when ----------------------------------------------------------------------------------------------------


def test_a_renewal_that_the_ca_asks_for_says_what_it_replaces(tmp_path: Path) -> None:
    """ARI and `replaces` (RFC 9773): a window in the past is announced, one new order follows, and the CA takes it as the replacement."""
    with by_rfc2136(tmp_path / "dns") as proof, newest_pebble(tmp_path / "ca", proof.address) as ca:
        assert ca.pebble is not None
        desk = Desk(tmp_path / "desk", ca, proof)
        desk.run("init")
        desk.run("renew")
        first = desk.leaf
        desk.clock = Ahead()
        assert desk.run("renew", "--refresh-ari").out.count("ordered") == 0
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
        window = {"start": start.isoformat(), "end": (start + timedelta(hours=3)).isoformat()}
        told = {"suggestedWindow": window, "explanationURL": "https://ca.example/incident"}
        ca.pebble.set_renewal_info(first, json.dumps(told))

        ran = desk.run("renew", "--refresh-ari")
        assert "the CA asks for renewal between" in ran.out
        assert "1 ordered" in ran.out
        assert desk.leaf != first
        desk.is_proven()
        assert "replaces-refused" not in desk.history()
        assert (ca.orders, ca.replaced) == (2, 1)
        assert "https://ca.example/incident" in desk.run("history", "--json").out


# ---- the store on PostgreSQL ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def databases() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


def test_the_whole_job_with_the_store_on_postgresql(tmp_path: Path, databases: Postgres) -> None:
    """Then by way of a backup to SQLite and back to another PostgreSQL, and nothing is ordered again."""
    with by_rfc2136(tmp_path / "dns") as proof, newest_pebble(tmp_path / "ca", proof.address) as ca:
        first, other = databases.database(), databases.database()
        desk = Desk(tmp_path / "desk", ca, proof, store=first)
        desk.run("init")
        assert "1 ordered" in desk.run("renew").out
        desk.is_proven()
        leaf = desk.leaf
        assert desk.run("renew").out.startswith("nothing due")
        known = desk.run("status", "--json").json
        assert [row["wanted"] for row in known["rows"]] == ["v1"]
        assert known["exit_code"] == 0
        shown = desk.run("where").out
        assert databases.password not in shown
        key = desk.run("export", "main").out

        for number, store in enumerate((f"sqlite:///{tmp_path / 'moved.db'}", other)):
            file = tmp_path / f"backup-{number}"
            desk.run("backup", str(file))
            assert databases.password.encode() not in file.read_bytes()
            desk.store = store
            desk.run("restore", str(file))
            desk.run("vault", "check")
            assert desk.run("status", "--json").json == known
            assert desk.run("export", "main").out == key
            assert desk.run("renew").out.startswith("nothing due")
        assert desk.leaf == leaf
        assert ca.orders == 1


class Held(SystemNetwork):
    """Lets nothing out to the CA until `free` is set; `reached` tells that somebody wants to."""

    def __init__(self, ca: str) -> None:
        self._ca = ca
        self.reached = threading.Event()
        self.free = threading.Event()

    def contact(self, kind: Contact, address: str) -> None:
        if kind == "http" and address in self._ca:
            self.reached.set()
            assert self.free.wait(60)


def test_of_two_hosts_at_once_one_orders_and_the_other_says_who(tmp_path: Path, databases: Postgres) -> None:
    """The second host runs, start to end, while the first stands before its order."""
    with by_rfc2136(tmp_path / "dns") as proof, newest_pebble(tmp_path / "ca", proof.address) as ca:
        desk = Desk(tmp_path / "desk", ca, proof, store=databases.database())
        desk.run("init")
        network = Held(ca.directory)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(desk.run, "renew", host="east", network=network)
            try:
                assert network.reached.wait(60)
                second = desk.run("renew", host="west")
            finally:
                network.free.set()
            assert "1 ordered" in first.result().out
        assert "left to the other run" in second.out
        assert "main is being worked on by east" in second.out
        desk.is_proven()
        assert ca.orders == 1


def test_four_hosts_that_start_together_order_once(tmp_path: Path, databases: Postgres) -> None:
    with by_rfc2136(tmp_path / "dns") as proof, newest_pebble(tmp_path / "ca", proof.address) as ca:
        desk = Desk(tmp_path / "desk", ca, proof, store=databases.database())
        desk.run("init")
        hosts = ("north", "east", "south", "west")
        with ThreadPoolExecutor(len(hosts)) as pool:
            runs = [pool.submit(desk.run, "renew", host=host) for host in hosts]
            told = [run.result().out for run in runs]
        assert sum("1 ordered" in out for out in told) == 1
        assert ca.orders == 1
        assert sum("left to the other run" in out or "nothing due" in out for out in told) == 3
        assert [kind for kind in desk.history() if kind in ("order-started", "issued")] == ["order-started", "issued"]
        desk.is_proven()
