"""Push: one upload per name, honest about what waits, nothing sent twice without need."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest

from certbroker.errors import CredentialsRejected, Missing, Rejected, Unavailable
from certbroker.model import Done, Failed, Record, Waiting
from certbroker.testkit.simulator import Fault, Response
from certbroker_fly.simulator import Quirks
from tests.fly.rig import NAMES, label, make_bundle, make_fly
from tests.fly.test_simulator import ask

ODD = (
    Quirks(),
    Quirks(status_style="docs"),
    Quirks(blanks="missing"),
    Quirks(blanks="null"),
    Quirks(fractions=True),
    Quirks(extra_member=True),
    Quirks(newest_first=True),
)


@pytest.mark.parametrize("quirks", ODD, ids=label)
def test_a_proven_name_is_done_in_every_style_of_answer(quirks: Quirks) -> None:
    fly = make_fly(quirks)
    fly.prove(*NAMES)
    bundle = make_bundle()
    provider = fly.provider()
    assert provider.push(bundle, provider.inspect(bundle.assignment)) == dict.fromkeys(NAMES, Done())
    assert fly.served() == dict.fromkeys(NAMES, bundle.fingerprint)


@pytest.mark.parametrize("quirks", ODD, ids=label)
def test_an_unproven_name_waits_for_its_record_in_every_style_of_answer(quirks: Quirks) -> None:
    fly = make_fly(quirks)
    fly.prove("www.example.org")
    bundle = make_bundle()
    outcomes = fly.provider().push(bundle, {})
    app, org = fly.simulator.apps["site-blue"].proofs
    record = Record("_fly-ownership.example.com", "TXT", (org, app), separator=";")
    assert outcomes == {"example.com": Waiting((record,)), "*.example.com": Waiting((record,)), NAMES[2]: Done()}
    assert set(fly.served()) == {NAMES[2]}


def test_each_name_is_uploaded_in_its_own_call_and_done_ones_are_not_checked() -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    fly.provider().push(make_bundle(), {})
    assert fly.calls == ["POST apps/site-blue/certificates/custom"] * 3


def test_a_wildcard_is_one_encoded_path_segment() -> None:
    fly = make_fly()
    bundle = make_bundle(("*.example.com",))
    fly.provider().push(bundle, {})
    assert fly.calls[-1] == "POST apps/site-blue/certificates/%2A.example.com/check"


def test_the_record_published_in_the_same_run_needs_a_check_and_no_second_upload() -> None:
    fly = make_fly()
    bundle, provider = make_bundle(), fly.provider()
    provider.push(bundle, provider.inspect(bundle.assignment))
    fly.prove(*NAMES)
    before = provider.inspect(bundle.assignment)
    fly.simulator.requests.clear()
    assert set(provider.push(bundle, before).values()) == {Done()}
    assert [call for call in fly.calls if call.endswith("/custom")] == []


def test_a_later_run_checks_what_the_store_remembers_as_this_very_certificate() -> None:
    fly = make_fly()
    bundle = make_bundle(NAMES[:1])
    fly.provider().push(bundle, {})
    later = fly.provider()
    remembered = {
        name: replace(live, fingerprint=bundle.fingerprint) for name, live in later.inspect(bundle.assignment).items()
    }
    fly.simulator.requests.clear()
    assert isinstance(later.push(bundle, remembered)["example.com"], Waiting)
    assert fly.calls == ["POST apps/site-blue/certificates/example.com/check"]
    fly.prove(*NAMES)
    assert later.push(bundle, remembered) == {"example.com": Done()}
    assert fly.calls == ["POST apps/site-blue/certificates/example.com/check"]


@pytest.mark.parametrize("remembers", [True, False])
def test_another_key_with_the_same_end_is_uploaded_over_a_waiting_one(remembers: bool) -> None:
    fly = make_fly()
    first, second = make_bundle(NAMES[:1]), make_bundle(NAMES[:1], number=2)
    assert first.version.lifetime.ends == second.version.lifetime.ends
    fly.provider().push(first, {})
    fly.prove(*NAMES)
    later = fly.provider()
    before = later.inspect(first.assignment)
    if remembers:
        before = {name: replace(live, fingerprint=first.fingerprint) for name, live in before.items()}
    assert later.push(second, before) == {"example.com": Done()}
    assert fly.served() == {"example.com": second.fingerprint}


def test_a_waiting_certificate_that_vanished_is_uploaded_again() -> None:
    fly = make_fly()
    bundle, provider = make_bundle(NAMES[:1]), fly.provider()
    provider.push(bundle, {})
    before = provider.inspect(bundle.assignment)
    ask(fly, "DELETE", "/certificates/example.com")
    fly.prove(*NAMES)
    assert provider.push(bundle, before) == {"example.com": Done()}


def test_a_renewal_replaces_in_place_and_deletes_nothing() -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    fly.provider().push(make_bundle(), {})
    renewed = make_bundle(number=2, ends=make_bundle().version.lifetime.ends + timedelta(days=30))
    provider = fly.provider()
    fly.simulator.requests.clear()
    provider.push(renewed, provider.inspect(renewed.assignment))
    assert fly.served() == dict.fromkeys(NAMES, renewed.fingerprint)
    assert {request.method for request in fly.simulator.writes} == {"POST"}


@pytest.mark.parametrize("conflicts", [1, 2])
def test_a_conflict_is_looked_at_and_tried_once_more(conflicts: int) -> None:
    fly = make_fly(Quirks(repost_conflicts=conflicts))
    fly.prove(*NAMES)
    old, new = make_bundle(NAMES[:1]), make_bundle(NAMES[:1], number=2)
    fly.provider().push(old, {})
    fly.simulator.requests.clear()
    outcome = fly.provider().push(new, {})["example.com"]
    assert [call.split()[0] for call in fly.calls] == ["POST", "GET", "POST"]
    if conflicts == 1:
        assert outcome == Done()
        assert fly.served() == {"example.com": new.fingerprint}
    else:
        assert isinstance(outcome, Failed)
        assert outcome.error.status == 409
        assert fly.served() == {"example.com": old.fingerprint}


@pytest.mark.parametrize("status", [409, 422])
def test_a_name_that_another_app_holds_fails_alone_and_stays_served_there(status: int) -> None:
    fly = make_fly(Quirks(one_app_per_name=True, refusal_status=409 if status == 409 else 422))
    fly.prove(*NAMES)
    held = make_bundle(NAMES[:1])
    fly.provider("site-blue").push(held, {})
    both = make_bundle(number=2)
    outcomes = fly.provider("site-green").push(both, {})
    refused = outcomes["example.com"]
    assert isinstance(refused, Failed)
    assert isinstance(refused.error, Rejected)
    assert "if another Fly app holds example.com" in str(refused.error.hint)
    assert [outcomes[name] for name in NAMES[1:]] == [Done(), Done()]
    assert fly.served("site-blue") == {"example.com": held.fingerprint}


def test_two_apps_hold_one_name_where_fly_allows_it() -> None:
    fly = make_fly(Quirks(one_app_per_name=False))
    fly.prove(*NAMES)
    bundle = make_bundle()
    for app in ("site-blue", "site-green"):
        assert set(fly.provider(app).push(bundle, {}).values()) == {Done()}
        assert fly.served(app) == dict.fromkeys(NAMES, bundle.fingerprint)


def test_one_refused_name_does_not_hold_up_the_others() -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    refuse = Response.of(422, {"error": "certificate does not cover hostname"})
    fly.simulator.faults.append(Fault(refuse, matches=lambda request: b'"*.example.com"' in request.body))
    outcomes = fly.provider().push(make_bundle(), {})
    failed = outcomes["*.example.com"]
    assert isinstance(failed, Failed)
    assert "does not cover hostname" in failed.error.what
    assert outcomes["example.com"] == outcomes["www.example.org"] == Done()


WHOLE_APP = [(401, CredentialsRejected), (403, CredentialsRejected), (404, Missing), (429, Unavailable)]


@pytest.mark.parametrize(("status", "error"), WHOLE_APP)
def test_trouble_with_the_whole_app_is_raised_at_once(status: int, error: type[Exception]) -> None:
    fly = make_fly()
    fly.simulator.faults.append(Fault(Response.html(status, "<h1>no</h1>"), times=9))
    with pytest.raises(error):
        fly.provider().push(make_bundle(), {})
    assert len(fly.calls) == 1


@pytest.mark.parametrize(("status", "error"), WHOLE_APP)
def test_trouble_with_the_whole_app_later_on_is_the_outcome_of_what_is_left(
    status: int, error: type[Exception]
) -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    fly.simulator.faults.append(Fault(Response.html(status, "<h1>no</h1>"), skip=1, times=9))
    outcomes = fly.provider().push(make_bundle(), {})
    assert outcomes["example.com"] == Done()
    assert [type(outcome.error) for outcome in outcomes.values() if isinstance(outcome, Failed)] == [error, error]
    assert len(fly.calls) == 2


def test_a_server_error_on_one_name_does_not_hold_up_the_others() -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    fly.simulator.faults.append(Fault(Response.html(502, "<h1>no</h1>")))
    outcomes = dict(fly.provider().push(make_bundle(), {}))
    failed = outcomes.pop("example.com")
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, Unavailable)
    assert set(outcomes.values()) == {Done()}


@pytest.mark.parametrize("passed", [0, 1])
def test_a_dead_line_ends_the_push(passed: int) -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    fly.simulator.faults.append(Fault("reset", skip=passed, times=9))
    with contextlib.suppress(Unavailable):
        outcomes = fly.provider().push(make_bundle(), {})
        assert [type(outcome) for outcome in outcomes.values()] == [Done, Failed, Failed]
    assert len(fly.calls) == passed + 1


def test_an_unknown_app_is_named() -> None:
    fly = make_fly()
    token = fly.simulator.org_token("personal")
    with pytest.raises(Missing, match="knows no app site-red") as caught:
        fly.provider("site-red", token=token).push(make_bundle(), {})
    assert "fly tokens create deploy -a site-red" in str(caught.value.hint)


def test_the_deadline_of_the_run_ends_a_push_that_the_next_one_finishes() -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    names = tuple(f"n{number}.example.com" for number in range(8))
    fly.prove(*names)
    bundle = make_bundle(names)
    outcomes = fly.provider(seconds=3.5).push(bundle, {})
    late = [name for name, outcome in outcomes.items() if isinstance(outcome, Failed)]
    assert 0 < len(late) < len(names)
    provider = fly.provider()
    assert set(provider.push(bundle, provider.inspect(bundle.assignment)).values()) == {Done()}


def test_calls_are_paced_at_one_a_second_after_a_burst_of_three() -> None:
    fly = make_fly(Quirks(rate_limit=True))
    names = tuple(f"n{number}.example.com" for number in range(7))
    fly.prove(*names)
    begun = fly.clock.monotonic()
    assert set(fly.provider().push(make_bundle(names), {}).values()) == {Done()}
    assert fly.clock.monotonic() - begun == pytest.approx(4.0)


def test_a_pending_name_without_a_named_record_waits_for_the_platform() -> None:
    fly = make_fly()
    entry = {"source": "custom", "status": "pending_ownership"}
    bare = Response.of(200, {"hostname": "example.com", "certificates": [entry]})
    fly.simulator.faults.append(Fault(bare, matches=lambda request: request.path.endswith("/check")))
    assert fly.provider().push(make_bundle(NAMES[:1]), {}) == {"example.com": Waiting(())}


@pytest.mark.parametrize("body", [{"hostname": "example.com"}, {"hostname": "example.com", "certificates": None}, {}])
def test_an_answer_without_the_certificate_is_not_called_done(body: dict[str, object]) -> None:
    fly = make_fly()
    fly.simulator.faults.append(Fault(Response.of(201, body), times=2))
    assert isinstance(fly.provider().push(make_bundle(NAMES[:1]), {})["example.com"], Failed)
