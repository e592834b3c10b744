"""Names that are not ordered, and names that a CA refuses."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from certbroker.config import IssuerSettings
from certbroker.errors import IssuanceError, NothingDone
from certbroker.issuer.messages import Authorization
from certbroker.sandbox.ca import Problem, SandboxCA
from certbroker.testkit.simulator import SimulatorTransport
from tests.clock import TestClock
from tests.issuer.desk import Desk, desk, own_dns, wanted

BASE = "http://ca.test"


@dataclass
class Scene:
    ca: SandboxCA
    at: Desk

    def refusal(self, *names: str) -> Exception:
        [found] = self.at.issuer().obtain([wanted(*names)])
        assert isinstance(found, Exception)
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = TestClock()
    with own_dns() as dns:
        ca = SandboxCA(clock=clock, rng=random.Random(7), lookup_txt=dns.lookup_txt, base_url=BASE)
        settings = IssuerSettings("sandbox", f"{BASE}/dir", agree_to_terms=True)
        with desk(tmp_path, settings, dns.address, clock, transport=SimulatorTransport(ca)) as at:
            yield Scene(ca, at)


def test_an_address_is_not_ordered_where_only_a_dns_record_would_prove_it(scene: Scene) -> None:
    error = scene.refusal("example.com", "192.0.2.1")
    assert isinstance(error, NothingDone)
    assert "192.0.2.1 cannot be proven by dns-01" in error.what
    assert scene.ca.requests == []


def test_an_authorization_for_an_address_is_read_in_the_form_that_we_keep() -> None:
    told: dict[str, object] = {
        "identifier": {"type": "ip", "value": "2001:0DB8::0001"},
        "status": "valid",
        "challenges": [],
    }
    assert Authorization.read("sandbox", f"{BASE}/authz/1", told).name == "2001:db8::1"
    told["identifier"] = {"type": "ip", "value": "example.com"}
    with pytest.raises(IssuanceError, match="which is no IP address"):
        Authorization.read("sandbox", f"{BASE}/authz/1", told)


def test_a_name_that_the_ca_refuses_is_named(scene: Scene) -> None:
    scene.ca.bad.refused_names["example.com"] = Problem("rejectedIdentifier", "it is a public suffix", status=403)
    error = scene.refusal("example.com")
    assert isinstance(error, IssuanceError)
    assert error.what == 'sandbox refused the order (403): "example.com: it is a public suffix"'
    assert error.hint == "this CA does not sign this name: take it out, or name another issuer"


def test_every_name_that_the_ca_refuses_is_named(scene: Scene) -> None:
    for name in ("a.example.com", "c.example.com"):
        scene.ca.bad.refused_names[name] = Problem("rejectedIdentifier", "on our list", status=403)
    error = scene.refusal("a.example.com", "b.example.com", "c.example.com")
    assert isinstance(error, IssuanceError)
    assert "a.example.com: on our list" in error.what
    assert "c.example.com: on our list" in error.what
    assert "b.example.com" not in error.what
    assert error.hint == "this CA does not sign this name: take it out, or name another issuer"
