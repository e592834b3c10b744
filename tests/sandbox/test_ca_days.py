"""The moods and bad days of the sandbox's CA, each switched on by itself."""

from __future__ import annotations

import base64
import email.utils
import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
import requests

from certbroker.sandbox.ca import Problem, SandboxCA
from certbroker.testkit.simulator import Fault, LineDead, Response
from tests.clock import START, TestClock
from tests.sandbox.client import URL, Dns, make_ca
from tests.sandbox.wire import Reply, Wire

NAMES = ("example.com", "*.example.com")


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def ca(clock: TestClock) -> SandboxCA:
    return make_ca(Dns(), clock=clock)


@pytest.fixture
def wire(ca: SandboxCA) -> Wire:
    wire = Wire(ca)
    ca.books.lookup_txt = wire.dns.lookup_txt
    return wire.join()


def look(wire: Wire, order: Reply) -> Reply:
    return wire.post(order.headers["Location"])


def test_validation_takes_as_long_as_it_is_told(wire: Wire, clock: TestClock) -> None:
    wire.ca.bad.validation_seconds = 30
    order = wire.order(*NAMES)
    wire.prove(order)
    assert look(wire, order).json["status"] == "pending"
    assert wire.authorizations(order)[0]["challenges"][0]["status"] == "processing"
    clock.sleep(30)
    assert look(wire, order).json["status"] == "ready"
    (valid,) = wire.authorizations(order)[0]["challenges"]  # boulder then shows the valid one alone
    assert valid["status"] == "valid"


def test_validation_can_get_stuck(wire: Wire, clock: TestClock) -> None:
    wire.ca.bad.stuck_validations = True
    order = wire.order("example.com")
    wire.prove(order)
    clock.sleep(3600)
    assert look(wire, order).json["status"] == "pending"


def test_validation_can_fail_with_a_problem_and_its_subproblems(wire: Wire) -> None:
    part = Problem("dns", "SERVFAIL from a far away place", name="example.com")
    wire.ca.bad.validation_problems["example.com"] = Problem("unauthorized", "secondary validation", subproblems=[part])
    order = wire.order(*NAMES)
    wire.prove(order)
    assert look(wire, order).json["status"] == "invalid"
    assert "error" not in look(wire, order).json  # as at boulder: the authorizations tell
    error = wire.authorizations(order)[0]["challenges"][0]["error"]
    assert error["subproblems"][0]["identifier"] == {"type": "dns", "value": "example.com"}


def test_dns_that_fails_is_told_apart_from_dns_that_is_empty(ca: SandboxCA, wire: Wire) -> None:
    def broken(name: str) -> list[str]:
        raise OSError

    ca.books.lookup_txt = broken
    order = wire.order("example.com")
    wire.prove(order)
    assert wire.authorizations(order)[0]["challenges"][0]["error"]["type"].endswith(":dns")


def test_both_values_of_a_name_and_its_wildcard_are_found_among_others(wire: Wire) -> None:
    wire.dns.values["_acme-challenge.example.com"] = ["somebody else's"]
    assert wire.obtain(*NAMES).json["status"] == "valid"


def test_caa_can_forbid(ca: SandboxCA, wire: Wire) -> None:
    ca.set_caa(lambda name, wildcard: '0 issuewild ";"' if wildcard else None)
    order = wire.order(*NAMES)
    wire.prove(order)
    base, star = wire.authorizations(order)
    assert (base["status"], star["status"]) == ("valid", "invalid")
    assert star["challenges"][0]["error"]["type"].endswith(":caa")


def test_dns_account_01_is_bound_to_the_account(wire: Wire) -> None:
    order = wire.order(*NAMES)
    label = base64.b32encode(hashlib.sha256(str(wire.kid).encode()).digest()[:10]).decode().lower()
    wire.prove(order, "dns-account-01", f"_{label}._acme-challenge")
    assert look(wire, order).json["status"] == "ready"


def test_what_it_cannot_validate_it_says(wire: Wire) -> None:
    order = wire.order("example.com")
    wire.prove(order, "http-01")
    error = next(c["error"] for c in wire.authorizations(order)[0]["challenges"] if "error" in c)
    assert "does not validate http-01" in error["detail"]


def test_only_some_challenges_may_be_offered(wire: Wire) -> None:
    wire.ca.bad.offered = ("http-01",)
    base, star = wire.authorizations(wire.order(*NAMES))
    assert [c["type"] for c in base["challenges"]] == ["http-01"]
    assert star["challenges"] == []


def test_finalizing_can_take_time_and_names_it(wire: Wire, clock: TestClock) -> None:
    wire.ca.bad.finalize_seconds = 10
    wire.ca.bad.retry_after = 3
    order = wire.obtain("example.com")
    assert (order.json["status"], order.headers["Retry-After"]) == ("processing", "3")
    assert "certificate" not in order.json
    clock.sleep(10)
    done = look(wire, order)
    assert done.json["status"] == "valid"
    assert "Retry-After" not in done.headers
    assert wire.ca.issued[0].leaf.not_valid_before_utc == START + timedelta(seconds=10) - timedelta(hours=1)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-8))])
def test_retry_after_can_be_a_date_in_any_zone(wire: Wire, zone: timezone) -> None:
    wire.ca.bad.finalize_seconds = 60
    wire.ca.bad.retry_after = 30
    wire.ca.bad.retry_after_form = "date"
    wire.ca.bad.retry_after_zone = zone
    text = wire.obtain("example.com").headers["Retry-After"]
    assert email.utils.parsedate_to_datetime(text) == START + timedelta(seconds=30)
    assert text.endswith("GMT") is (zone is UTC)


def test_an_order_can_end_invalid_after_it_was_finalized(wire: Wire) -> None:
    wire.ca.bad.finalize_problem = Problem("serverInternal", "the signer is away")
    done = wire.obtain("example.com")
    assert done.json["status"] == "invalid"
    assert done.json["error"]["detail"] == "the signer is away"
    assert not wire.ca.issued


def test_a_rate_limit_says_until_when_and_ends(wire: Wire) -> None:
    wire.ca.bad.rate_limited = 1
    refused = wire.order("example.com")
    assert (refused.status, refused.problem, refused.headers["Retry-After"]) == (429, "rateLimited", "3600")
    assert refused.json["detail"].endswith("retry after 2026-11-23T10:00:00Z")
    assert wire.order("example.com").status == 201


def test_names_can_be_refused_alone_or_together(wire: Wire) -> None:
    for name in (*NAMES[:1], "www.example.com"):
        wire.ca.bad.refused_names[name] = Problem("rejectedIdentifier", f"policy forbids {name}")
    assert wire.order(*NAMES).problem == "rejectedIdentifier"
    both = wire.order("example.com", "www.example.com")
    assert both.problem == "malformed"
    assert [part["identifier"]["value"] for part in both.json["subproblems"]] == ["example.com", "www.example.com"]


def test_new_terms_stop_orders(wire: Wire) -> None:
    wire.ca.bad.terms_changed = True
    assert wire.order("example.com").problem == "userActionRequired"


@pytest.mark.parametrize("reuse", [False, True])
def test_a_pending_order_is_handed_back_or_not(wire: Wire, reuse: bool) -> None:
    wire.ca.bad.reuse_orders = reuse
    first = wire.order(*NAMES)
    again = wire.order(*reversed(NAMES))
    assert again.status == 201
    assert (first.headers["Location"] == again.headers["Location"]) is reuse
    assert wire.ca.new_orders == (1 if reuse else 2)
    assert wire.order(*NAMES, profile="tlsserver").headers["Location"] != first.headers["Location"]
    stranger = Wire(wire.ca).join()
    assert stranger.order(*NAMES).headers["Location"] != first.headers["Location"]


@pytest.mark.parametrize("reuse", [False, True])
def test_valid_authorizations_are_taken_over_or_not(wire: Wire, reuse: bool) -> None:
    wire.obtain(*NAMES)
    wire.ca.bad.reuse_authorizations = reuse
    again = wire.order(*NAMES)
    assert again.json["status"] == ("ready" if reuse else "pending")


def test_authorizations_and_orders_expire(wire: Wire, clock: TestClock) -> None:
    order = wire.order("example.com")
    clock.advance(timedelta(days=8))
    assert look(wire, order).json["status"] == "invalid"
    assert wire.authorizations(order)[0]["status"] == "expired"
    wire.obtain("example.com")
    wire.ca.bad.reuse_authorizations = True
    clock.advance(timedelta(days=31))
    assert wire.order("example.com").json["status"] == "pending"


def test_an_authorization_can_be_deactivated(wire: Wire) -> None:
    order = wire.order("example.com")
    assert wire.post(order.json["authorizations"][0], {"status": "deactivated"}).json["status"] == "deactivated"
    assert look(wire, order).json["status"] == "invalid"


def test_objects_can_claim_states_and_types_that_nobody_knows(wire: Wire) -> None:
    wire.ca.bad.shown_status = {"order": "daydreaming", "authorization": "expired"}
    wire.ca.bad.identifier_type = "onion"
    order = wire.order("example.com")
    assert order.json["status"] == "daydreaming"
    (authorization,) = wire.authorizations(order)
    assert (authorization["status"], authorization["identifier"]["type"]) == ("expired", "onion")


def test_some_servers_ask_for_patience_on_authorizations(wire: Wire) -> None:
    order = wire.order("example.com")
    assert "Retry-After" not in wire.post(order.json["authorizations"][0]).headers
    wire.ca.bad.retry_after_on_authorizations = True
    assert wire.post(order.json["authorizations"][0]).headers["Retry-After"] == "1"


def test_nonces_are_rejected_at_about_the_rate_that_is_set(wire: Wire) -> None:
    wire.ca.bad.rejected_nonces = 0.2
    problems = [wire.post("/new-order", {}).problem for _ in range(200)]
    assert 20 < problems.count("badNonce") < 60


def test_a_line_that_dies_after_the_order_was_taken_leaves_the_order(wire: Wire) -> None:
    def new_order(request: object) -> bool:
        return getattr(request, "path", "") == "/new-order"

    wire.ca.faults.append(Fault("reset", when="after", matches=new_order))
    wire.ca.faults.append(Fault(Response.html(503, "<h1>no server is available</h1>"), matches=new_order))
    with pytest.raises(LineDead):
        wire.order("example.com")
    assert wire.ca.new_orders == 1
    html = wire.order("example.com")
    assert (html.status, html.headers["Content-Type"]) == (503, "text/html")
    assert "Replay-Nonce" not in html.headers
    assert wire.ca.new_orders == 1


# renewal information and replaces


def ask(wire: Wire, cert_id: str) -> Reply:
    return wire.send("GET", f"/ari/{cert_id}")


def test_a_window_is_what_the_test_says_however_strange(wire: Wire) -> None:
    wire.obtain("example.com")
    issued = wire.ca.issued[0]
    wire.ca.set_window(issued.fingerprint, START + timedelta(days=2), START + timedelta(days=1), f"{URL}/why")
    answer = ask(wire, issued.cert_id)
    assert answer.json == {
        "suggestedWindow": {"start": "2026-11-25T09:00:00Z", "end": "2026-11-24T09:00:00Z"},
        "explanationURL": f"{URL}/why",
    }
    assert answer.headers["Retry-After"] == "21600"
    wire.ca.set_renewal_info(issued.serial, b"<html>")
    assert ask(wire, issued.cert_id).body == b"<html>"
    wire.ca.set_renewal_info(issued.serial, None)
    wire.ca.revoke(issued.fingerprint)
    end = datetime.fromisoformat(ask(wire, issued.cert_id).json["suggestedWindow"]["end"])
    assert end < START


def test_short_lives_are_renewed_at_half(wire: Wire) -> None:
    wire.obtain("example.com", profile="shortlived")
    leaf = wire.ca.issued[0].leaf
    window = ask(wire, wire.ca.issued[0].cert_id).json["suggestedWindow"]
    start, end = (datetime.fromisoformat(window[side]) for side in ("start", "end"))
    middle = leaf.not_valid_before_utc + (leaf.not_valid_after_utc - leaf.not_valid_before_utc) / 2
    assert start < middle < end
    assert end - start < timedelta(hours=4)


def test_unknown_and_malformed_certificate_identifiers_are_told_apart(wire: Wire) -> None:
    assert ask(wire, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE").status == 404
    assert ask(wire, "nodot").status == 400
    assert ask(wire, "pad=.AA").status == 400


def test_replaces_is_kept_and_held_against_the_next(wire: Wire) -> None:
    wire.obtain(*NAMES)
    cert_id = wire.ca.issued[0].cert_id
    done = wire.obtain("example.com", replaces=cert_id)
    assert (done.json["replaces"], done.json["status"]) == (cert_id, "valid")
    again = wire.order("example.com", replaces=cert_id)
    assert (again.status, again.problem) == (409, "alreadyReplaced")


def test_an_order_that_failed_does_not_count_as_replacement(wire: Wire) -> None:
    wire.obtain("example.com")
    cert_id = wire.ca.issued[0].cert_id
    order = wire.order("example.com", replaces=cert_id)
    wire.post(order.json["authorizations"][0], {"status": "deactivated"})
    assert wire.order("example.com", replaces=cert_id).status == 201


def test_replaces_is_refused_as_boulder_does(wire: Wire) -> None:
    wire.obtain("example.com")
    cert_id = wire.ca.issued[0].cert_id
    unknown = wire.order("example.com", replaces="aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")
    assert (unknown.status, unknown.problem) == (404, "malformed")
    foreign = Wire(wire.ca).join().order("example.com", replaces=cert_id)
    assert (foreign.status, foreign.problem) == (403, "unauthorized")
    apart = wire.order("example.net", replaces=cert_id)
    assert (apart.status, apart.problem) == (400, "malformed")


def test_a_renewal_inside_its_window_is_exempt_from_limits(wire: Wire, clock: TestClock) -> None:
    wire.obtain("example.com")
    issued = wire.ca.issued[0]
    wire.ca.bad.rate_limited = 9
    assert wire.order("example.com", replaces=issued.cert_id).problem == "rateLimited"
    wire.ca.set_window(issued.serial, START, START + timedelta(days=1))
    assert wire.order("example.com", replaces=issued.cert_id).status == 201


def test_a_certificate_without_an_order_is_not_among_the_issued(ca: SandboxCA) -> None:
    chain, key = ca.issue_directly("example.com")
    assert chain.count("BEGIN CERTIFICATE") == 2
    assert key
    assert ca.issued == []


def test_two_worlds_of_one_seed_tell_the_same_story() -> None:
    def story() -> list[str]:
        wire = Wire(make_ca(Dns())).join()
        order = wire.order("example.com")
        return [str(wire.kid), order.headers["Location"], wire.authorizations(order)[0]["challenges"][0]["token"]]

    assert story() == story()


def test_every_request_is_remembered(wire: Wire) -> None:
    wire.order("example.com")
    assert [request.path for request in wire.ca.writes] == ["/new-account", "/new-order"]
    assert wire.ca.refusals == []
    assert isinstance(wire.ca.requests[0].headers, requests.structures.CaseInsensitiveDict)
