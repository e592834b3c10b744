"""Looks at real edges: a flake is looked at again, and a dead one is not waited for once a name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.probe import Verdict
from certbroker.sandbox.edge import TlsEdge, Trouble
from certbroker.testkit.bundles import default_ca, make_bundle
from certbroker.watch.inventory import Expected, Inventory
from certbroker.watch.looking import DEAD, look_at
from tests.clock import START, TestClock
from tests.watch.given import DAY, at_target, entry, inventory
from tests.world import CountingNetwork, make_world

BUNDLE = make_bundle(("example.com",))
SERVED = Expected(
    fingerprint=BUNDLE.fingerprint, label="v1", starts=START, ends=START + DAY, act_by=START + DAY, roots="toy"
)


class Mending(TestClock):
    """While somebody waits, the edge comes to itself."""

    def __init__(self, edge: TlsEdge) -> None:
        super().__init__()
        self._edge = edge

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._edge.listeners[0].trouble = Trouble.NONE


@pytest.fixture
def edge() -> Iterator[TlsEdge]:
    with TlsEdge() as made:
        made.serve("example.com", BUNDLE.version.chain_pem, BUNDLE.key_pem)
        yield made


def told(edge: TlsEdge, names: int = 1) -> Inventory:
    at = at_target(SERVED, edges=1).model_copy(
        update={"names": ("example.com", *(f"n{number}.example.com" for number in range(1, names)))}
    )
    return inventory(
        entry(at, versions=(SERVED,)),
        roots={"toy": default_ca().root_pem},
        connect_to={"192.0.2.1:443": edge.address},
    )


def test_it_is_judged_by_the_roots_that_the_inventory_has(edge: TlsEdge, tmp_path: Path) -> None:
    [look] = look_at(told(edge), make_world(tmp_path), lambda: False)
    assert (look.seen.verdict, look.seen.fingerprint) == (Verdict.VALID, BUNDLE.fingerprint)
    assert look.seen.starts == BUNDLE.version.lifetime.starts


@pytest.mark.parametrize("trouble", [Trouble.CLOSED, Trouble.RESET, Trouble.PLAINTEXT])
def test_one_flake_is_no_alarm(trouble: Trouble, edge: TlsEdge, tmp_path: Path) -> None:
    edge.listeners[0].trouble = trouble
    [look] = look_at(told(edge), make_world(tmp_path, clock=Mending(edge)), lambda: False)
    assert look.seen.verdict is Verdict.VALID


def test_an_edge_that_is_dead_is_asked_for_a_few_names(edge: TlsEdge, tmp_path: Path) -> None:
    edge.listeners[0].stop()
    network = CountingNetwork()
    found = look_at(told(edge, 100), make_world(tmp_path, network=network), lambda: False)
    assert {each.seen.verdict for each in found} == {Verdict.UNREACHABLE}
    assert {each.seen.name for each in found} == {
        "example.com",
        *(f"n{number}.example.com" for number in range(1, 100)),
    }
    assert 3 * DEAD <= len(network.contacts) <= 3 * (DEAD + 16)


def test_asked_to_end_it_looks_at_nothing_more(edge: TlsEdge, tmp_path: Path) -> None:
    network = CountingNetwork()
    assert look_at(told(edge, 100), make_world(tmp_path, network=network), lambda: True) == []
    assert network.contacts == []
