"""What Fly tells of the certificates that it gets itself."""

from __future__ import annotations

from datetime import timedelta

from certbroker.model import Record
from certbroker.provider import ManagedFacts, TellsManaged
from certbroker.testkit.simulator import Fault, Response
from tests.clock import START
from tests.fly.rig import make_bundle, make_fly


def test_a_certificate_of_flys_own_tells_its_end_and_what_its_renewal_needs() -> None:
    fly = make_fly()
    fly.simulator.manage("site-blue", "example.com")
    app = fly.simulator.apps["site-blue"]
    provider = fly.provider()
    assert isinstance(provider, TellsManaged)
    facts = provider.managed(("example.com", "www.example.com"))
    assert set(facts) == {"example.com"}
    found = facts["example.com"]
    assert (found.state, found.ends) == ("issued", START + timedelta(days=90))
    assert str(found.challenge) == f"_acme-challenge.example.com.  CNAME  example.com.{app.id}.flydns.net."
    assert [record.type for record in found.routing] == ["A", "AAAA", "CNAME"]
    org, own = app.proofs[1], app.proofs[0]
    assert found.ownership == Record("_fly-ownership.example.com", "TXT", (org, own), separator=";")
    assert fly.simulator.writes == []


def test_what_was_uploaded_and_never_asked_for_is_none_of_its_own() -> None:
    fly = make_fly()
    fly.prove("example.com", "*.example.com")
    bundle = make_bundle(("example.com", "*.example.com"))
    provider = fly.provider()
    provider.push(bundle, {})
    facts = provider.managed(bundle.assignment.names)
    assert {found.state for found in facts.values()} == {"none"}
    assert facts["*.example.com"].challenge == facts["example.com"].challenge
    assert facts["*.example.com"].routing == ()  # a wildcard is proven by the label alone


def test_one_that_was_asked_for_and_is_not_there_is_pending() -> None:
    fly = make_fly()
    body = {"hostname": "example.com", "acme_requested": True, "certificates": [], "dns_requirements": None}
    fly.simulator.faults.append(Fault(Response.of(200, body)))
    assert fly.provider().managed(("example.com",)) == {
        "example.com": ManagedFacts("pending", authority="letsencrypt.org")
    }
