"""A run that dies anywhere: the next one goes on with the same order, and exactly one certificate comes of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import requests

from certbroker.config import IssuerSettings
from certbroker.sandbox.ca import SandboxCA
from certbroker.sandbox.dns import DnsServer
from certbroker.testkit.simulator import SimulatorTransport
from tests.clock import TestClock
from tests.issuer.desk import Desk, desk, own_dns, version, wanted
from tests.world import CountingNetwork

BASE = "http://ca.test"
SETTINGS = IssuerSettings("sandbox", f"{BASE}/dir", agree_to_terms=True)

When = Literal["before", "after"]


class Killed(BaseException):
    """Nothing in the product catches it."""


class Deadly(SimulatorTransport):
    """The process dies at request number `at` (from 1), before or after it took effect; the network is dead to it then."""

    def __init__(self, ca: SandboxCA, network: CountingNetwork, at: int, when: When) -> None:
        super().__init__(ca)
        self._network = network
        self._left = at
        self._when = when

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        self._left -= 1
        if self._left > 0:
            return super().send(*args, **kwargs)
        if self._left == 0 and self._when == "after":
            super().send(*args, **kwargs)
        self._network.forbidden = True
        raise Killed


@dataclass
class Scene:
    ca: SandboxCA
    dns: DnsServer
    network: CountingNetwork
    at: Desk

    def live(self) -> None:
        """A run that is left alone."""
        self.network.forbidden = False
        self.at.transport = SimulatorTransport(self.ca)
        version(self.at.issuer().obtain([wanted()])[0])

    def die(self, number: int, when: When) -> bool:
        """A run that dies at that request; False if it ended before."""
        self.at.transport = Deadly(self.ca, self.network, number, when)
        try:
            version(self.at.issuer().obtain([wanted()])[0])
        except Killed:
            return True
        return False


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    folder.mkdir()
    clock = TestClock()
    with own_dns() as dns:
        ca = SandboxCA(clock=clock, rng=random.Random(7), lookup_txt=dns.lookup_txt, base_url=BASE)
        ca.bad.retry_after = None
        ca.bad.finalize_seconds = 0.1
        with desk(folder, SETTINGS, dns.address, clock) as at:
            network = at.world.network
            assert isinstance(network, CountingNetwork)
            yield Scene(ca, dns, network, at)
        assert ca.violations == []


@pytest.mark.parametrize("handed_back", [True, False])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_request_the_next_run_ends_with_one_certificate(
    tmp_path: Path, when: When, handed_back: bool
) -> None:
    """A second newOrder only for the gap between the CA's answer and our row; none where the CA hands the order back."""
    second_orders = []
    for number in range(1, 40):
        with scene(tmp_path / str(number)) as here:
            here.ca.bad.reuse_orders = handed_back
            if not here.die(number, when):
                break
            assert list(here.at.store.boxes()) or not here.ca.accounts
            here.live()
            assert len(here.ca.issued) == 1
            assert len(here.ca.accounts) == 1
            assert here.ca.finalizations == 1
            assert here.at.store.open_orders() == []
            assert here.at.store.unremoved() == []
            assert here.dns.txt("_acme-challenge.example.com") == []
            if here.ca.new_orders > 1:
                second_orders.append(number)
    assert number > 10
    assert len(second_orders) == (1 if when == "after" and not handed_back else 0)


def test_killed_twice_in_a_row_is_no_different(tmp_path: Path) -> None:
    for number in range(6, 15, 3):  # after the order's answer was written down
        with scene(tmp_path / str(number)) as here:
            assert here.die(number, "after")
            here.network.forbidden = False
            here.die(3, "after")
            here.live()
            assert len(here.ca.issued) == 1
            assert here.ca.new_orders == 1
            assert here.at.store.unremoved() == []


def test_an_order_left_behind_that_is_of_no_use_is_replaced_once(tmp_path: Path) -> None:
    with scene(tmp_path / "one") as here:
        assert here.die(9, "before")
        here.ca.orders[0].status = "invalid"
        here.live()
        assert here.ca.new_orders == 2
        assert len(here.ca.issued) == 1


def test_an_order_for_other_names_is_not_gone_on_with(tmp_path: Path) -> None:
    with scene(tmp_path / "one") as here:
        assert here.die(9, "before")
        here.network.forbidden = False
        here.at.transport = SimulatorTransport(here.ca)
        got = version(here.at.issuer().obtain([wanted("other.example.com")])[0])
        assert got.names == ("other.example.com",)
        assert here.at.store.open_orders() == []
        assert here.at.store.unremoved() == []
