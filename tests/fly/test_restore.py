"""Restore, prune, edges: what comes back, what is never deleted, where to look."""

from __future__ import annotations

import pytest

from certbroker.errors import CredentialsRejected, Missing, Rejected, Unavailable
from certbroker.model import Edge, Keep
from certbroker.testkit.simulator import Fault, Request, Response
from certbroker_fly.simulator import FlyApp, Quirks
from tests.fly.rig import NAMES, make_bundle, make_fly


def test_the_previous_version_is_uploaded_again() -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    old, new = make_bundle(), make_bundle(number=2)
    fly.provider().push(old, {})
    provider = fly.provider()
    before = provider.inspect(new.assignment)
    provider.push(new, before)
    fly.provider().restore(new.assignment, before, old)
    assert fly.served() == dict.fromkeys(NAMES, old.fingerprint)


def test_flys_own_certificate_takes_over_again_where_it_served_before() -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    fly.simulator.manage("site-blue", "example.com")
    managed = fly.served()["example.com"]
    bundle, provider = make_bundle(), fly.provider()
    before = provider.inspect(bundle.assignment)
    provider.push(bundle, before)
    fly.simulator.requests.clear()
    provider.restore(bundle.assignment, before, None)
    assert [request.path for request in fly.simulator.writes] == ["/v1/apps/site-blue/certificates/example.com/custom"]
    assert fly.served() == {**dict.fromkeys(NAMES, bundle.fingerprint), "example.com": managed}
    provider.restore(bundle.assignment, before, None)
    assert fly.served()["example.com"] == managed


def test_nothing_is_deleted_when_flys_own_certificate_is_gone() -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    fly.simulator.manage("site-blue", "example.com")
    bundle, provider = make_bundle(NAMES[:1]), fly.provider()
    before = provider.inspect(bundle.assignment)
    provider.push(bundle, before)
    token = fly.simulator.deploy_token("site-blue")
    stop = Request("DELETE", "/v1/apps/site-blue/certificates/example.com/acme", (), {"Authorization": token}, b"")
    fly.simulator.handle(stop)
    provider.restore(bundle.assignment, before, None)
    assert fly.served() == {"example.com": bundle.fingerprint}


def test_nothing_is_touched_where_nothing_can_come_back() -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    bundle, provider = make_bundle(), fly.provider()
    provider.push(bundle, {})
    fly.simulator.requests.clear()
    provider.restore(bundle.assignment, {}, None)
    assert fly.calls == []


def test_every_name_is_tried_before_a_refusal_is_told() -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    old, new = make_bundle(), make_bundle(number=2)
    provider = fly.provider()
    provider.push(new, {})
    refuse = Response.of(422, {"error": "no"})
    fly.simulator.faults.append(Fault(refuse, matches=lambda request: request.write))
    with pytest.raises(Rejected):
        provider.restore(new.assignment, {}, old)
    assert fly.served() == {NAMES[0]: new.fingerprint, NAMES[1]: old.fingerprint, NAMES[2]: old.fingerprint}


def test_there_is_never_anything_to_prune() -> None:
    fly = make_fly()
    assert fly.provider().prune(make_bundle().assignment, Keep(frozenset())) == ()
    assert fly.calls == []


def test_the_edges_are_the_public_addresses_of_the_app_asked_for_once() -> None:
    fly = make_fly()
    provider = fly.provider()
    for _ in range(2):
        assert provider.edges(make_bundle().assignment) == (Edge("137.66.0.10"), Edge("2a09:8280:1::1:abcd"))
    assert fly.calls == ["GET apps/site-blue/ip_assignments"]


@pytest.mark.parametrize("answer", [Response.of(403, {"error": "unauthorized"}), Response.of(200, {"ips": None})])
def test_a_token_that_may_not_list_addresses_learns_them_from_a_name(answer: Response) -> None:
    fly = make_fly()
    bundle = make_bundle()
    fly.provider().push(bundle, {})
    fly.simulator.faults.append(Fault(answer, times=9, matches=lambda request: request.path.endswith("assignments")))
    assert fly.provider().edges(bundle.assignment) == (Edge("137.66.0.10"), Edge("2a09:8280:1::1:abcd"))


def test_a_refused_listing_is_told_if_no_name_knows_better() -> None:
    fly = make_fly()
    refused = Response.of(403, {"error": "unauthorized"})
    fly.simulator.faults.append(Fault(refused, matches=lambda request: request.path.endswith("assignments")))
    with pytest.raises(CredentialsRejected):
        fly.provider().edges(make_bundle().assignment)


def test_an_app_without_public_addresses_has_no_edges() -> None:
    fly = make_fly(apps=(FlyApp("site-blue"),))
    bundle = make_bundle(NAMES[:1])
    fly.provider().push(bundle, {})
    assert fly.provider().edges(bundle.assignment) == ()


def test_the_edges_of_an_unknown_app_are_an_error() -> None:
    fly = make_fly()
    with pytest.raises(Missing):
        fly.provider("site-red", token=fly.simulator.org_token("personal")).edges(make_bundle().assignment)


def test_an_address_list_that_cannot_be_had_now_is_not_guessed() -> None:
    fly = make_fly(Quirks())
    fly.simulator.faults.append(Fault("reset", times=9))
    with pytest.raises(Unavailable):
        fly.provider().edges(make_bundle().assignment)
