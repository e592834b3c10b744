"""Orders at a sandbox CA that has a bad day."""

from __future__ import annotations

from datetime import timedelta

import pytest

from certbroker.config import IssuerSettings
from certbroker.errors import (
    ChallengeFailed,
    IssuanceError,
    IssuerUnavailable,
    NothingDone,
    RateLimited,
)
from certbroker.model import Method, Version
from certbroker.sandbox.ca import Problem
from certbroker.testkit.simulator import Fault, Response
from tests.issuer.desk import version, wanted
from tests.issuer.scene import BASE, Scene, is_new_order


def test_a_hundred_orders_pass_though_every_fifth_nonce_is_refused(scene: Scene) -> None:
    scene.ca.bad.rejected_nonces = 0.2
    requests = [wanted(f"n{i}.example.com", f"*.n{i}.example.com", certificate=f"c{i}") for i in range(100)]
    outcomes = scene.obtain(*requests)
    assert sum(isinstance(outcome, Version) for outcome in outcomes) == 100
    assert scene.at.store.unremoved() == []


def test_one_bad_name_does_not_harm_the_other_certificates(scene: Scene) -> None:
    scene.ca.bad.validation_problems["bad.example.com"] = Problem("caa", "CAA forbids it")
    outcomes = scene.obtain(
        wanted("good.example.com", certificate="a"),
        wanted("bad.example.com", "*.bad.example.com", certificate="b"),
        wanted("elsewhere.test", certificate="c"),
        wanted("fine.example.com", certificate="d"),
    )
    assert isinstance(outcomes[0], Version)
    assert isinstance(outcomes[3], Version)
    bad, elsewhere = outcomes[1], outcomes[2]
    assert isinstance(bad, ChallengeFailed)
    assert "bad.example.com: CAA forbids it" in bad.what
    assert "*.bad.example.com: CAA forbids it" in bad.what
    assert not isinstance(elsewhere, Version)
    assert scene.at.store.open_orders() == []
    assert scene.clean()


def test_a_name_that_cannot_be_proven_is_never_ordered(scene: Scene) -> None:
    scene.dns.add_zone("flydns.net")
    scene.dns.add("_acme-challenge.example.com", "CNAME", "example.com.d6lmmxg.flydns.net")
    outcome = scene.obtain()[0]
    assert isinstance(outcome, NothingDone)
    assert "Fly" in outcome.what
    assert scene.ca.new_orders == 0


def test_caa_that_forbids_stops_the_order(scene: Scene) -> None:
    scene.dns.add("example.com", "CAA", '0 issue "someone-else.test"')
    outcome = scene.obtain()[0]
    assert isinstance(outcome, NothingDone)
    assert "someone-else.test" in outcome.what
    assert scene.ca.new_orders == 0
    assert [problem.forbids for problem in scene.at.issuer().caa_problems(("example.com",), Method.DNS_01)] == [True]


def test_a_rate_limit_is_told_with_its_time_and_the_order_is_tried_again_later(scene: Scene) -> None:
    scene.ca.bad.rate_limited = 1
    outcome = scene.obtain()[0]
    assert isinstance(outcome, RateLimited)
    assert outcome.retry_after == 3600
    scene.one()
    assert scene.ca.new_orders == 1


def test_a_short_wait_that_the_ca_asks_for_is_waited(scene: Scene) -> None:
    busy = Response(503, b"<h1>busy</h1>", {"Content-Type": "text/html", "Retry-After": "5"})
    scene.ca.faults = [Fault(busy, matches=is_new_order)]
    before = scene.clock.monotonic()
    scene.one()
    assert scene.clock.monotonic() - before >= 5


@pytest.mark.parametrize("path", ["/authz/", "/chall/", "/order/", "/cert/"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_line_that_dies_is_taken_up_again_by_the_next_run_at_most(scene: Scene, path: str, when: str) -> None:
    scene.ca.faults = [Fault("reset", when=when, matches=lambda r: r.path.startswith(path))]  # type: ignore[arg-type]
    outcome = scene.obtain()[0]
    if not isinstance(outcome, Version):
        assert isinstance(outcome, IssuerUnavailable)
        assert scene.clean()
        scene.one()
    assert scene.ca.new_orders == 1
    assert len(scene.ca.issued) == 1
    assert scene.clean()


def test_a_ca_that_never_finishes_is_left_to_the_next_run_with_the_same_order(scene: Scene) -> None:
    scene.ca.bad.finalize_seconds = 3600.0
    outcome = scene.obtain()[0]
    assert isinstance(outcome, IssuerUnavailable)
    assert "processing" in outcome.what
    assert scene.clean()
    scene.clock.advance(timedelta(hours=1))
    scene.one()
    assert scene.ca.new_orders == 1
    assert scene.ca.finalizations == 1
    assert "order-resumed" in scene.at.kinds()


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_ca_is_not_looked_at_before_it_asks_to_be(scene: Scene, form: str) -> None:
    scene.ca.bad.finalize_seconds = 4.0
    scene.ca.bad.retry_after = 5
    scene.ca.bad.retry_after_form = form  # type: ignore[assignment]
    before = scene.clock.monotonic()
    scene.one(wanted("example.com"))
    assert 5 <= scene.clock.monotonic() - before < 6


def test_an_order_that_the_ca_gives_up_is_told_and_the_next_one_is_new(scene: Scene) -> None:
    scene.ca.bad.finalize_problem = Problem("badCSR", "no such key")
    outcome = scene.obtain()[0]
    assert isinstance(outcome, IssuanceError)
    assert "no such key" in outcome.what
    assert [kind for kind, _, _ in scene.at.store.boxes()] == ["account"]
    scene.ca.bad.finalize_problem = None
    scene.clock.advance(timedelta(minutes=6))
    scene.one()
    assert scene.ca.new_orders == 2


@pytest.mark.parametrize("kind", ["order", "authorization", "challenge"])
@pytest.mark.parametrize("status", ["expired", "confused"])
def test_a_status_that_is_of_no_use_is_named_and_nothing_hangs(scene: Scene, kind: str, status: str) -> None:
    scene.at.issuer().account()
    scene.ca.bad.shown_status[kind] = status  # type: ignore[index]
    outcome = scene.obtain()[0]
    assert isinstance(outcome, IssuanceError)
    assert status in outcome.what
    assert scene.clean()


def test_a_strange_identifier_type_is_named(scene: Scene) -> None:
    scene.ca.bad.identifier_type = "onion"
    outcome = scene.obtain()[0]
    assert isinstance(outcome, IssuanceError)
    assert "onion" in outcome.what


def test_a_ca_that_offers_no_dns_01_is_told_with_what_it_offers(scene: Scene) -> None:
    scene.ca.bad.offered = ("http-01",)
    outcome = scene.obtain(wanted("example.com"))[0]
    assert isinstance(outcome, IssuanceError)
    assert "it offers http-01" in outcome.what


def test_a_profile_goes_with_the_order_and_one_that_is_not_offered_stops_it(scene: Scene) -> None:
    chosen = IssuerSettings("sandbox", f"{BASE}/dir", profile="shortlived", agree_to_terms=True)
    got = version(scene.at.issuer(settings=chosen).obtain([wanted()])[0])
    assert got.profile == "shortlived"
    assert got.lifetime.length < timedelta(days=7)
    absent = IssuerSettings("sandbox", f"{BASE}/dir", profile="gone", agree_to_terms=True)
    outcome = scene.at.issuer(settings=absent).obtain([wanted(certificate="other")])[0]
    assert isinstance(outcome, NothingDone)
    assert "classic, tlsserver, shortlived" in outcome.what
    assert scene.ca.new_orders == 1


def test_a_directory_that_moved_is_asked_for_again(scene: Scene) -> None:
    scene.at.issuer().account()
    kept = scene.at.store.directory(f"{BASE}/dir")
    assert kept is not None
    scene.at.store.put_directory(f"{BASE}/dir", {**kept[0], "newOrder": f"{BASE}/old-order"})
    scene.one()
    assert scene.asked().count("GET dir") == 2


def test_a_directory_is_kept_for_a_day(scene: Scene) -> None:
    scene.at.issuer().account()
    scene.clock.advance(timedelta(hours=23))
    scene.at.issuer().directory()
    assert scene.asked().count("GET dir") == 1
    scene.clock.advance(timedelta(hours=2))
    scene.at.issuer().directory()
    assert scene.asked().count("GET dir") == 2
