"""What Fastly tells of the certificates that it manages itself."""

from __future__ import annotations

import pytest

from certbroker.model import Record
from certbroker.provider import ManagedFacts, TellsManaged
from certbroker.testkit.simulator import Fault, Response
from certbroker_fastly.simulator import EDGES
from tests.contracts import contract
from tests.fastly.rig import make_fastly
from tests.fastly.test_recorded import recorded

NAME = "example.com"


def test_a_subscription_that_is_there_tells_its_end_and_what_its_renewal_needs() -> None:
    fastly = make_fastly()
    identity = fastly.simulator.manage(NAME)
    subscription = fastly.simulator.estate.subscriptions[identity]
    provider = fastly.provider()
    assert isinstance(provider, TellsManaged)
    facts = provider.managed((NAME, "www.example.com"))
    assert set(facts) == {NAME}
    found = facts[NAME]
    assert (found.state, found.reference) == ("issued", f"subscription:{identity}")
    assert found.challenge == Record(f"_acme-challenge.{NAME}", "CNAME", (f"{subscription.validation}.",))
    assert Record(NAME, "A", (EDGES[0],)) in found.routing
    assert Record(NAME, "CNAME", ("t.sni.global.fastly.example.",)) in found.routing
    assert subscription.pair is not None
    assert found.ends is not None
    assert fastly.writes == []


@pytest.mark.parametrize("filters", [True, False])
def test_one_that_waits_is_pending_and_others_are_not_confused_with_it(filters: bool) -> None:
    fastly = make_fastly()
    fastly.quirk(filters=filters)
    for name in ("other.example.com", NAME):
        data = {"type": "tls_subscription", "relationships": {"tls_domain": {"data": [{"id": name}]}}}
        fastly.simulator._changes().answer("POST", ["subscriptions"], {"data": data})
    facts = fastly.provider().managed((NAME,))
    assert [(found.state, found.ends) for found in facts.values()] == [("pending", None)]
    assert f"_acme-challenge.{NAME}. " in str(facts[NAME].challenge)
    waiting, done = fastly.simulator.manage(NAME), fastly.provider().managed((NAME,))[NAME]
    assert (done.state, done.reference) == ("issued", f"subscription:{waiting}")


def test_a_wildcard_is_proven_by_the_label_alone() -> None:
    fastly = make_fastly()
    fastly.simulator.manage("*.example.com")
    found = fastly.provider().managed(("*.example.com",))["*.example.com"]
    assert found.challenge is not None
    assert found.challenge.name == "_acme-challenge.example.com"
    assert found.routing == ()


def test_an_answer_without_what_was_to_be_included_is_silence() -> None:
    fastly = make_fastly()
    row = {"id": "sub", "type": "tls_subscription", "relationships": {"tls_domains": {"data": [{"id": NAME}]}}}
    fastly.simulator.faults.append(Fault(Response.of(200, {"data": [row], "meta": {"total_pages": 1}})))
    assert fastly.provider().managed((NAME,)) == {NAME: ManagedFacts("pending", "subscription:sub")}


def test_the_recorded_subscription_is_read() -> None:
    contract("fastly-recorded")
    said = recorded("tls_subscription/create").json
    (domain,) = (each["id"] for each in said["data"]["relationships"]["tls_domains"]["data"])
    fastly = make_fastly()
    listed = {"data": [said["data"]], "included": said["included"], "meta": {"total_pages": 1}}
    fastly.simulator.faults.append(Fault(Response.of(200, listed)))
    found = fastly.provider().managed((domain,))[domain]
    assert (found.state, found.authority) == ("pending", "certainly.com")
    assert str(found.challenge) == f"_acme-challenge.{domain}.  CNAME  f2sk1kgtx8aj614ckh.fastly-validations.com."
    assert [record.type for record in found.routing] == ["CNAME", "A", "A", "A", "A"]
