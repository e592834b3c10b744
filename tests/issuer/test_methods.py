"""Proofs by other methods than dns-01, at the sandbox CA."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.challenges import Means
from certbroker.challenges.means import account_label
from certbroker.errors import IssuanceError, NothingDone
from certbroker.events import ProofPublished
from certbroker.model import Method
from certbroker.sandbox.ca import SandboxCA
from certbroker.testkit.simulator import SimulatorTransport
from tests.clock import TestClock
from tests.issuer.desk import desk, own_dns, version, wanted
from tests.issuer.test_orders import BASE, SETTINGS, Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = TestClock()
    with own_dns() as dns:
        ca = SandboxCA(clock=clock, rng=random.Random(7), lookup_txt=dns.lookup_txt, base_url=BASE)
        ca.bad.retry_after = None
        with desk(tmp_path, SETTINGS, dns.address, clock, transport=SimulatorTransport(ca)) as at:
            yield Scene(ca, dns, clock, at)
        assert ca.violations == []


ACCOUNT_LABEL = Means(Method.DNS_ACCOUNT_01)


def owner(scene: Scene) -> str:
    account = scene.at.store.account("sandbox", SETTINGS.directory)
    assert account is not None
    return f"{account_label(account.uri)}._acme-challenge.example.com"


def published(scene: Scene) -> set[str]:
    return {event.record for event in scene.at.told if isinstance(event, ProofPublished)}


def test_dns_account_01_is_proven_under_the_label_of_the_account(scene: Scene) -> None:
    """With a new account, whose label nobody knew before; the plain name is somebody else's CNAME, and left alone."""
    scene.ca.bad.offered = ("dns-account-01",)
    scene.dns.add("_acme-challenge.example.com", "CNAME", "example.com.d6lmmxg.flydns.net.")
    scene.one(wanted(means=ACCOUNT_LABEL))
    assert published(scene) == {owner(scene)}
    assert scene.dns.txt(owner(scene)) == []
    assert scene.at.store.unremoved() == []


def test_a_cname_at_the_label_of_the_account_is_followed(scene: Scene) -> None:
    scene.ca.bad.offered = ("dns-account-01",)
    uri = scene.at.issuer().account()
    scene.dns.add(f"{account_label(uri)}._acme-challenge.example.com", "CNAME", "proofs.example.com.")
    scene.one(wanted(means=ACCOUNT_LABEL))
    assert published(scene) == {"proofs.example.com"}


def test_a_label_that_somebody_else_holds_stops_the_order(scene: Scene) -> None:
    uri = scene.at.issuer().account()
    scene.dns.add(f"{account_label(uri)}._acme-challenge.example.com", "CNAME", "x.flydns.net.")
    outcome = scene.obtain(wanted(means=ACCOUNT_LABEL))[0]
    assert isinstance(outcome, NothingDone)
    assert "held by Fly" in outcome.what
    assert scene.ca.new_orders == 0


def test_a_ca_that_does_not_offer_the_method_is_told_apart(scene: Scene) -> None:
    scene.ca.bad.offered = ("dns-01",)
    outcome = scene.obtain(wanted(means=ACCOUNT_LABEL))[0]
    assert isinstance(outcome, IssuanceError)
    assert "does not offer dns-account-01 for example.com: it offers dns-01" in outcome.what


def test_each_order_of_a_run_is_proven_its_own_way(scene: Scene) -> None:
    one, other = scene.obtain(wanted(), wanted("www.example.com", certificate="www", means=ACCOUNT_LABEL))
    assert version(one).certificate == "main"
    assert version(other).certificate == "www"
    assert published(scene) == {"_acme-challenge.example.com", owner(scene).replace("example", "www.example")}
