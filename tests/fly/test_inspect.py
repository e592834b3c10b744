"""Inspect: what Fly says, per name, without changing anything."""

from __future__ import annotations

import pytest

from certbroker.errors import CredentialsRejected, Missing, Misunderstood, Unavailable
from certbroker.model import Owner, Record, Restorable
from certbroker.testkit.simulator import Fault, Response
from certbroker_fly.simulator import Quirks
from tests.fly.rig import NAMES, label, make_bundle, make_fly

ODD = (
    Quirks(),
    Quirks(status_style="docs"),
    Quirks(blanks="missing"),
    Quirks(blanks="null"),
    Quirks(fractions=True),
    Quirks(extra_member=True),
)


def test_a_name_with_nothing_there_is_left_out_and_the_app_is_asked_for_once() -> None:
    fly = make_fly()
    assert fly.provider().inspect(make_bundle().assignment) == {}
    assert [call for call in fly.calls if call.endswith("/certificates")] == ["GET apps/site-blue/certificates"]


def test_an_unknown_app_is_no_empty_answer() -> None:
    fly = make_fly()
    with pytest.raises(Missing, match="knows no app site-red"):
        fly.provider("site-red", token=fly.simulator.org_token("personal")).inspect(make_bundle().assignment)


@pytest.mark.parametrize(("hides", "error"), [(False, CredentialsRejected), (True, Missing)])
def test_an_app_that_the_token_may_not_see_is_an_error(hides: bool, error: type[Exception]) -> None:
    fly = make_fly(Quirks(hides_apps=hides))
    with pytest.raises(error):
        fly.provider("site-green", token=fly.simulator.deploy_token("site-blue")).inspect(make_bundle().assignment)


@pytest.mark.parametrize("quirks", ODD, ids=label)
def test_an_uploaded_certificate_tells_its_end_and_not_whose_it_is(quirks: Quirks) -> None:
    fly = make_fly(quirks)
    fly.prove(*NAMES)
    bundle = make_bundle()
    fly.provider().push(bundle, {})
    found = fly.provider().inspect(bundle.assignment)
    assert set(found) == set(NAMES)
    for live in found.values():
        assert (live.owner, live.restorable, live.reference) == (Owner.UNKNOWN, Restorable.NO, "custom")
        assert live.ends == bundle.version.lifetime.ends
        assert live.issued_by == "Test CA E1"
        assert (live.fingerprint, live.serial, live.pending) == (None, None, ())
        assert live.agrees(bundle.version) is None


@pytest.mark.parametrize("quirks", ODD, ids=label)
def test_flys_own_certificate_stands_behind_an_uploaded_one(quirks: Quirks) -> None:
    fly = make_fly(quirks)
    fly.prove(*NAMES)
    fly.simulator.manage("site-blue", "example.com")
    bundle = make_bundle(NAMES[:1])
    before = fly.provider().inspect(bundle.assignment)["example.com"]
    assert (before.owner, before.restorable, before.reference) == (Owner.MANAGED, Restorable.MANAGED, "fly")
    assert before.ends is not None
    fly.provider().push(bundle, {})
    after = fly.provider().inspect(bundle.assignment)["example.com"]
    assert (after.owner, after.restorable, after.reference) == (Owner.UNKNOWN, Restorable.MANAGED, "custom")


@pytest.mark.parametrize("quirks", ODD, ids=label)
def test_a_certificate_that_is_not_served_yet_names_its_record(quirks: Quirks) -> None:
    fly = make_fly(quirks)
    bundle = make_bundle(("*.example.com",))
    fly.provider().push(bundle, {})
    app, org = fly.simulator.apps["site-blue"].proofs
    live = fly.provider().inspect(bundle.assignment)["*.example.com"]
    assert live.pending == (Record("_fly-ownership.example.com", "TXT", (org, app), separator=";"),)


def test_a_hostname_that_fly_has_not_got_a_certificate_for_is_nothing_to_come_back_to() -> None:
    fly = make_fly()
    for entries in ([], None, [{"source": "fly", "status": "pending_validation"}]):
        body = {"hostname": "example.com", "configured": True, "status": "Ready", "certificates": entries}
        fly.simulator.faults.append(Fault(Response.of(200, body)))
        assert fly.provider().inspect(make_bundle(NAMES[:1]).assignment) == {}


def test_inspecting_writes_nothing() -> None:
    fly = make_fly()
    fly.provider().inspect(make_bundle().assignment)
    assert fly.simulator.writes == []


@pytest.mark.parametrize(
    "body",
    [
        {"hostname": "example.com", "certificates": [{"source": "custom", "status": "active", "expires_at": "soon"}]},
        {"hostname": "example.com", "certificates": [{"source": "custom", "status": "active", "expires_at": None}]},
        {"hostname": "example.com", "certificates": [None, 7, {"source": "custom", "status": "active"}]},
        {"hostname": "example.com", "certificates": [{"source": "custom", "status": "active"}], "dns_requirements": []},
    ],
)
def test_an_unreadable_end_is_silence(body: dict[str, object]) -> None:
    fly = make_fly()
    fly.simulator.faults.append(Fault(Response.of(200, body)))
    live = fly.provider().inspect(make_bundle(NAMES[:1]).assignment)["example.com"]
    assert live.ends is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Response.html(200, "<h1>hello</h1>"), Misunderstood),
        (Response.of(200, ["a list"]), Misunderstood),
        (Response.of(200, {"certificates": []}), Misunderstood),
        (Response.html(503, "<h1>busy</h1>"), Unavailable),
        (Response.of(302, {}), Misunderstood),
    ],
)
def test_an_answer_that_is_none_is_our_error(answer: Response, error: type[Exception]) -> None:
    fly = make_fly()
    fly.simulator.faults.append(Fault(answer))
    with pytest.raises(error):
        fly.provider().inspect(make_bundle(NAMES[:1]).assignment)


@pytest.mark.parametrize("header", [{"Retry-After": "17"}, {}])
def test_a_rate_limit_says_when_to_come_back_if_fly_does(header: dict[str, str]) -> None:
    fly = make_fly()
    fly.simulator.faults.append(Fault(Response.of(429, {"error": "slow down"}, **header)))
    with pytest.raises(Unavailable) as caught:
        fly.provider().inspect(make_bundle(NAMES[:1]).assignment)
    assert caught.value.retry_after == (17.0 if header else None)
