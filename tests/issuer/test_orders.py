"""Orders at the sandbox CA, with a real DNS on loopback: what is asked, what is kept, what survives."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from certbroker.config import IssuerSettings
from certbroker.errors import (
    IssuanceError,
    IssuerUnavailable,
    LeaseHeld,
    NothingDone,
)
from certbroker.events import ReplacesRefused
from certbroker.keys import check_pair
from certbroker.model import KeyType, Version
from certbroker.testkit.simulator import Fault, Response
from tests.issuer.desk import version, wanted
from tests.issuer.scene import BASE, Scene, is_new_order

# ---- the plain way -----------------------------------------------------------------------------------------------------


def test_a_name_and_its_wildcard_become_a_version_with_its_sealed_key(scene: Scene) -> None:
    got = scene.one()
    assert got.names == ("example.com", "*.example.com")
    assert (got.number, got.issuer, got.rehearsal, got.trusted) == (1, "sandbox", False, False)
    box = scene.at.store.box("version", str(got.id))
    assert box is not None
    key = scene.at.vault.unseal(scene.at.store.id, "version", str(got.id), box)
    check_pair(got.chain_pem, key, got.names, scene.clock.now())
    assert scene.at.store.variant("main", KeyType.P256).wanted == got
    assert scene.clean()
    assert scene.at.kinds() == ["account", "order-started", *["proof-published"] * 2, "issued", *["proof-removed"] * 2]


@pytest.mark.parametrize("key_type", [KeyType.P384, KeyType.RSA2048])
def test_the_key_is_of_the_type_that_was_asked_for(scene: Scene, key_type: KeyType) -> None:
    assert scene.one(wanted(key_type=key_type)).key_type is key_type


def test_the_account_is_made_once_and_its_key_is_sealed_before(scene: Scene) -> None:
    died: list[bool] = []

    def look() -> None:
        died.append(scene.at.store.box("account", f"sandbox {BASE}/dir") is not None)

    scene.ca.faults = [Fault(look, when="after", matches=lambda r: r.path == "/new-account")]
    assert isinstance(scene.obtain()[0], IssuerUnavailable)
    assert died == [True]
    scene.one()
    assert len(scene.ca.accounts) == 1
    before = len(scene.ca.requests)
    scene.one(wanted(certificate="other"))
    assert "POST new-account" not in scene.asked(before)
    assert "GET dir" not in scene.asked(before)


def test_issuers_and_directories_have_accounts_of_their_own(scene: Scene) -> None:
    mine = scene.at.issuer().account()
    other = scene.at.issuer(settings=IssuerSettings("second", f"{BASE}/dir", agree_to_terms=True)).account()
    assert mine != other
    assert scene.at.issuer().account() == mine


def test_terms_that_nobody_agreed_to_stop_everything_before_a_key_is_made(scene: Scene) -> None:
    unwilling = IssuerSettings("sandbox", f"{BASE}/dir")
    outcome = scene.at.issuer(settings=unwilling).obtain([wanted()])[0]
    assert isinstance(outcome, NothingDone)
    assert f"{BASE}/terms" in outcome.what
    assert "agree_to_terms = true" in (outcome.hint or "")
    assert list(scene.at.store.boxes()) == []
    assert scene.ca.writes == []


def test_an_account_that_was_ended_is_told_with_a_way_out(scene: Scene) -> None:
    scene.at.issuer().account()
    scene.ca.accounts[0].status = "deactivated"
    with pytest.raises(IssuanceError, match="does not know our account") as caught:
        scene.at.issuer().check()
    assert "certbroker account deactivate sandbox --yes" in (caught.value.hint or "")
    assert isinstance(scene.obtain()[0], IssuanceError)


def test_a_check_makes_no_account_and_then_tells_which_one_it_is(scene: Scene) -> None:
    assert "no account yet" in scene.at.issuer().check().name
    assert scene.ca.accounts == []
    uri = scene.at.issuer().account()
    standing = scene.at.issuer().check()
    assert standing.account == uri
    assert "shortlived" in standing.reach


# ---- what it costs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "validation"), [(1, 0.0), (2, 0.0), (2, 3.0), (2, 20.0), (10, 3.0), (25, 20.0)])
def test_requests_for_pending_names_stay_in_the_budget(scene: Scene, count: int, validation: float) -> None:
    """2N + 6, and one a look, with at most 2 + log2(wait / 0.25 s) looks."""
    scene.at.issuer().account()
    scene.ca.bad.validation_seconds = validation
    scene.ca.bad.finalize_seconds = 0.0
    before = len(scene.ca.requests)
    scene.one(wanted(*[f"n{i}.example.com" for i in range(count)]))
    looks = scene.asked(before).count("POST order") - 1  # one of them is the finalization
    assert looks <= 1 + 2 + math.log2(max(validation, 0.25) / 0.25)
    assert len(scene.asked(before)) - looks <= 2 * count + 6


@pytest.mark.parametrize("count", [1, 10])
def test_requests_with_valid_authorizations_do_not_count_names(scene: Scene, count: int) -> None:
    scene.ca.bad.reuse_authorizations = True
    names = [f"n{i}.example.com" for i in range(count)]
    scene.one(wanted(*names))
    before = len(scene.ca.requests)
    scene.one(wanted(*names, certificate="other"))
    asked = scene.asked(before)
    assert 1 <= asked.count("HEAD nonce") <= 3  # what more than one name could need
    assert [one for one in asked if one != "HEAD nonce"] == ["POST new-order", "POST order", "POST cert"]


def test_a_finalization_that_is_answered_at_once_is_not_looked_at_again(scene: Scene) -> None:
    before = len(scene.ca.requests)
    scene.one(wanted("example.com"))
    assert scene.asked(before)[-3:] == ["POST order", "POST order", "POST cert"]


def test_all_orders_come_before_any_authorization_and_share_one_wait(scene: Scene) -> None:
    """Pebble locks up when the two overlap."""
    scene.at.issuer().account()
    before = len(scene.ca.requests)
    outcomes = scene.obtain(*[wanted(f"n{i}.example.com", certificate=f"c{i}") for i in range(6)])
    assert all(isinstance(outcome, Version) for outcome in outcomes)
    asked = scene.asked(before)
    assert asked.index("POST authz") > len(asked) - 1 - asked[::-1].index("POST new-order")
    assert asked.index("POST chall") > len(asked) - 1 - asked[::-1].index("POST authz")
    assert scene.clock.monotonic() - 1000 < 1


# ---- the floor ---------------------------------------------------------------------------------------------------------


def test_nothing_is_signed_twice_within_five_minutes(scene: Scene) -> None:
    scene.one()
    outcome = scene.obtain()[0]
    assert isinstance(outcome, NothingDone)
    assert outcome.retry_after == pytest.approx(300, abs=2)
    assert scene.ca.new_orders == 1
    scene.clock.advance(timedelta(minutes=5))
    assert scene.one().number == 2


def test_a_rehearsal_is_never_wanted_and_does_not_stand_in_the_way(scene: Scene) -> None:
    rehearsed = scene.one(wanted(rehearsal=True))
    assert rehearsed.rehearsal
    assert scene.at.store.variant("main", KeyType.P256).wanted is None
    got = scene.one()
    assert scene.at.store.variant("main", KeyType.P256).wanted == got


def test_a_run_that_lost_the_certificate_to_another_touches_nothing_more(scene: Scene) -> None:
    def lost(certificate: str) -> None:
        if certificate == "a":
            raise LeaseHeld("certificate/a", "another run", 60)

    requests = [wanted("a.example.com", certificate="a"), wanted("b.example.com", certificate="b")]
    outcomes = scene.at.issuer().obtain(requests, still_ours=lost)
    assert isinstance(outcomes[0], LeaseHeld)
    assert isinstance(outcomes[1], Version)
    assert scene.ca.new_orders == 1


# ---- replaces ----------------------------------------------------------------------------------------------------------


def later(scene: Scene) -> None:
    scene.clock.advance(timedelta(minutes=10))


def test_the_ca_is_told_what_is_replaced(scene: Scene) -> None:
    first = scene.one()
    later(scene)
    scene.one(wanted(replaces=first))
    assert scene.ca.orders[-1].replaces == scene.ca.find(first.fingerprint).cert_id


def test_replaces_that_is_refused_is_left_out_once(scene: Scene) -> None:
    first = scene.one()
    for _ in range(2):
        later(scene)
        scene.one(wanted(replaces=first))
    refused = [event for event in scene.at.told if isinstance(event, ReplacesRefused)]
    assert len(refused) == 1
    assert "409" in refused[0].detail
    assert scene.ca.orders[-1].replaces is None
    assert scene.ca.new_orders == 3


@pytest.mark.parametrize(("status", "kind"), [(404, "malformed"), (403, "unauthorized"), (400, "malformed")])
def test_every_way_to_refuse_replaces_leads_to_one_order_without_it(scene: Scene, status: int, kind: str) -> None:
    first = scene.one()
    later(scene)
    problem = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": "no"}
    scene.ca.faults = [Fault(Response.of(status, problem), matches=is_new_order, times=2 if status == 404 else 1)]
    before = len(scene.ca.requests)
    outcome = scene.obtain(wanted(replaces=first))[0]
    assert len([e for e in scene.at.told if isinstance(e, ReplacesRefused)]) == 1
    assert isinstance(outcome, Version) or status == 404
    assert scene.asked(before).count("POST new-order") == 2


def test_another_accounts_version_is_not_named(scene: Scene) -> None:
    first = scene.one()
    second = IssuerSettings("second", f"{BASE}/dir", agree_to_terms=True)
    later(scene)
    version(scene.at.issuer(settings=second).obtain([wanted(replaces=first)])[0])
    assert scene.ca.orders[-1].replaces is None
    assert "replaces-refused" not in scene.at.kinds()
