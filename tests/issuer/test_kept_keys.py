"""A version that keeps the private key of the one it replaces, and the keys that are never kept."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from certbroker.config import IssuerSettings
from certbroker.errors import IssuerUnavailable
from certbroker.keys import check_pair
from certbroker.model import KeyType, RevocationReason, Version
from certbroker.sandbox.ca import SandboxCA
from certbroker.testkit.simulator import Fault, Response, SimulatorTransport
from tests.clock import TestClock
from tests.issuer.desk import Desk, desk, own_dns, version, wanted

BASE = "http://ca.test"


@dataclass
class Scene:
    ca: SandboxCA
    at: Desk

    def one(self, key_of: Version | None = None, key_type: KeyType = KeyType.P256, *, minutes: int = 10) -> Version:
        self.at.world.clock.sleep(minutes * 60)
        request = wanted("example.com", key_type=key_type, key_of=key_of)
        return version(self.at.issuer().obtain([request])[0])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = TestClock()
    with own_dns() as dns:
        ca = SandboxCA(clock=clock, rng=random.Random(7), lookup_txt=dns.lookup_txt, base_url=BASE)
        settings = IssuerSettings("sandbox", f"{BASE}/dir", agree_to_terms=True)
        with desk(tmp_path, settings, dns.address, clock, transport=SimulatorTransport(ca)) as at:
            yield Scene(ca, at)


@pytest.mark.parametrize("key_type", list(KeyType))
def test_the_key_goes_on_and_is_sealed_for_the_new_version_too(scene: Scene, key_type: KeyType) -> None:
    first = scene.one(key_type=key_type)
    second = scene.one(first, key_type)
    assert (second.key_type, second.key_id, second.key_use) == (key_type, first.key_id, 2)
    assert second.fingerprint != first.fingerprint
    box = scene.at.store.box("version", str(second.id))
    assert box
    key = scene.at.vault.unseal(scene.at.store.id, "version", str(second.id), box)
    check_pair(second.chain_pem, key, second.names, scene.at.world.clock.now())


def test_without_a_word_each_version_gets_a_new_key(scene: Scene) -> None:
    made = [scene.one(), scene.one(), scene.one()]
    assert len({each.key_id for each in made}) == 3
    assert [each.key_use for each in made] == [1, 1, 1]


def test_the_count_goes_on_though_old_versions_are_forgotten(scene: Scene) -> None:
    have = scene.one()
    for use in range(2, 6):
        have = scene.one(have)
        scene.at.store.prune(scene.at.world.clock.now(), keep_versions=1)
        assert have.key_use == use


def test_the_key_of_a_revoked_version_is_not_kept_whoever_asks(scene: Scene) -> None:
    first = scene.one()
    second = scene.one(first)
    scene.at.store.revoked(first.id, scene.at.world.clock.now(), RevocationReason.UNSPECIFIED)
    assert scene.one(second).key_id not in {first.key_id, second.key_id}


def test_an_order_left_behind_with_a_key_that_was_revoked_since_is_given_up(scene: Scene) -> None:
    first = scene.one()
    away = Fault(
        Response.html(503, "<html>away</html>"), skip=1, matches=lambda r: r.path.startswith("/order"), times=99
    )
    scene.ca.faults.append(away)
    with pytest.raises(IssuerUnavailable):
        scene.one(first)
    scene.ca.faults.clear()
    scene.at.store.revoked(first.id, scene.at.world.clock.now(), RevocationReason.UNSPECIFIED)
    assert scene.one(first).key_id != first.key_id
    assert [row.error for row in map(scene.at.store.order, (1, 2, 3)) if row and row.state == "failed"] == [
        "its key was revoked meanwhile"
    ]


def test_a_key_of_another_type_is_not_kept(scene: Scene) -> None:
    first = scene.one()
    assert scene.one(first, KeyType.RSA2048).key_type is KeyType.RSA2048
