"""Orders at the sandbox CA, with a real DNS on loopback: what is asked, what is kept, what survives."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from certbroker.config import IssuerSettings
from certbroker.errors import (
    ChallengeFailed,
    IssuanceError,
    IssuerUnavailable,
    LeaseHeld,
    NothingDone,
    RateLimited,
)
from certbroker.events import ReplacesRefused
from certbroker.keys import check_pair
from certbroker.model import KeyType, Method, Version
from certbroker.sandbox.ca import Problem, SandboxCA
from certbroker.sandbox.dns import DnsServer
from certbroker.testkit.simulator import Fault, Request, Response, SimulatorTransport
from tests.clock import TestClock
from tests.issuer.desk import Desk, desk, own_dns, version, wanted

BASE = "http://ca.test"
SETTINGS = IssuerSettings("sandbox", f"{BASE}/dir", agree_to_terms=True)


@dataclass
class Scene:
    """A CA, a DNS, and an issuer between them."""

    ca: SandboxCA
    dns: DnsServer
    clock: TestClock
    at: Desk

    def obtain(self, *requests: object) -> list[object]:
        return list(self.at.issuer().obtain([*requests] or [wanted()]))  # type: ignore[list-item]

    def one(self, *requests: object) -> Version:
        return version(self.obtain(*requests)[0])

    def asked(self, start: int = 0) -> list[str]:
        """Method and kind of each request to the CA."""
        return [f"{r.method} {r.path.split('/')[1]}" for r in self.ca.requests[start:]]

    def clean(self) -> bool:
        """Nothing of ours is left in the zone."""
        return self.dns.txt("_acme-challenge.example.com") == [] and self.at.store.unremoved() == []


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = TestClock()
    with own_dns() as dns:
        ca = SandboxCA(clock=clock, rng=random.Random(7), lookup_txt=dns.lookup_txt, base_url=BASE)
        ca.bad.retry_after = None
        with desk(tmp_path, SETTINGS, dns.address, clock, transport=SimulatorTransport(ca)) as at:
            yield Scene(ca, dns, clock, at)
        assert ca.violations == []


def is_new_order(request: Request) -> bool:
    return request.path == "/new-order"


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


# ---- bad days ----------------------------------------------------------------------------------------------------------


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
