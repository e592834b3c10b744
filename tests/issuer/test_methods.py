"""Proofs by other methods than dns-01, at the sandbox CA."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.challenges import Means
from certbroker.challenges.means import account_label
from certbroker.errors import IssuanceError, NothingDone, RecordWanted
from certbroker.events import ProofPublished
from certbroker.model import Method
from certbroker.sandbox.ca import SandboxCA
from certbroker.testkit.simulator import SimulatorTransport
from tests.clock import TestClock
from tests.issuer.desk import desk, own_dns, version, wanted
from tests.issuer.scene import BASE, SETTINGS, Scene


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


# ---- dns-persist-01 ----------------------------------------------------------------------------------------------------

PERSIST = Means(Method.DNS_PERSIST_01)
IDENTITY = "sandbox.certbroker.test"


def test_a_standing_permission_proves_both_names_and_nothing_is_written(scene: Scene) -> None:
    scene.ca.bad.offered = ("dns-persist-01",)
    uri = scene.at.issuer().account()
    long = f"{IDENTITY}; accounturi={uri}; note={'x' * 300}; policy=wildcard"
    scene.dns.add("_validation-persist.example.com", "TXT", long)
    scene.one(wanted(means=PERSIST))
    assert scene.dns.updates == 0
    assert published(scene) == set()


def test_a_record_that_does_not_stand_is_told_whole_before_any_order(scene: Scene) -> None:
    """The account is made for it, and the record is the one that serves the wildcard too."""
    outcome = scene.obtain(wanted(means=PERSIST))[0]
    assert isinstance(outcome, RecordWanted)
    uri = scene.at.issuer().account()
    record = f'"{IDENTITY}; accounturi={uri}; policy=wildcard"'
    assert outcome.hint == f"publish _validation-persist.example.com.  TXT  {record}"
    assert scene.ca.new_orders == 0
    assert len(scene.ca.accounts) == 1


def test_a_ca_that_knows_itself_by_another_domain_than_its_directory_says_is_asked_for_that_one(scene: Scene) -> None:
    uri = scene.at.issuer().account()
    scene.dns.add("_validation-persist.www.example.com", "TXT", f"{IDENTITY}; accounturi={uri}")
    scene.ca.bad.persist_identities = ("other.certbroker.test",)
    outcome = scene.obtain(wanted("www.example.com", means=PERSIST))[0]
    assert isinstance(outcome, RecordWanted)
    assert "other.certbroker.test; accounturi=" in str(outcome.hint)
    scene.ca.bad.persist_identities = ()
    outcome = scene.obtain(wanted("www.example.com", means=PERSIST))[0]
    assert isinstance(outcome, IssuanceError)
    assert "without its domains" in outcome.what


# ---- an alias zone -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [Method.DNS_01, Method.DNS_ACCOUNT_01])
def test_an_alias_zone_takes_the_proof_once_the_cname_stands(scene: Scene, method: Method) -> None:
    means = Means(method, alias="validation.example.com")
    outcome = scene.obtain(wanted(means=means))[0]
    assert isinstance(outcome, RecordWanted)
    assert scene.ca.new_orders == 0
    cname, target = str(outcome.hint).removeprefix("publish ").split(".  CNAME  ")
    assert target.endswith("example.com.validation.example.com.")
    scene.dns.add(cname, "CNAME", target)
    scene.one(wanted(means=means))
    assert published(scene) == {target.removesuffix(".")}


def test_a_cname_that_goes_elsewhere_is_told_with_whose_it_is(scene: Scene) -> None:
    scene.dns.add("_acme-challenge.example.com", "CNAME", "example.com.d6lmmxg.flydns.net.")
    outcome = scene.obtain(wanted(means=Means(alias="validation.example.com")))[0]
    assert isinstance(outcome, NothingDone)
    assert not isinstance(outcome, RecordWanted)
    assert "held by Fly" in outcome.what
    record = "_acme-challenge.example.com.  CNAME  example.com.validation.example.com."
    assert outcome.hint == f"let it be {record}"
