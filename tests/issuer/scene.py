"""A sandbox CA, a real DNS on loopback, and an issuer between them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from certbroker.config import IssuerSettings
from certbroker.model import Version
from certbroker.sandbox.ca import SandboxCA
from certbroker.sandbox.dns import DnsServer
from certbroker.testkit.simulator import Request, SimulatorTransport
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
