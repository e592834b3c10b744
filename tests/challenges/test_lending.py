"""A CNAME taken away and put back as it was, by each solver that can."""

from __future__ import annotations

from pathlib import Path

import pytest

from certbroker.challenges.dnsimple_simulator import DnsimpleSimulator
from certbroker.challenges.solver import Alias, Lends
from certbroker.errors import Rejected
from certbroker.testkit.simulator import Fault
from tests.challenges.rig import VALUE, town
from tests.challenges.test_dnsimple import NAME, ours
from tests.challenges.test_rfc2136 import own

ZONE = "example.com"
FLY = Alias("x.flydns.net", 600)


@pytest.fixture
def cloud() -> DnsimpleSimulator:
    made = DnsimpleSimulator(zones=(ZONE,))
    identity = made.add_record(ZONE, "_acme-challenge", "CNAME", "x.flydns.net")
    made.zones[ZONE].records[identity]["ttl"] = 600
    return made


def stands(cloud: DnsimpleSimulator) -> tuple[str, ...]:
    return cloud.values(ZONE, "_acme-challenge", "CNAME")


def test_it_comes_back_as_it_was_and_a_proof_stands_there_meanwhile(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    solver = ours(tmp_path, cloud)
    assert isinstance(solver, Lends)
    assert solver.alias(ZONE, NAME) == FLY
    solver.take_away(ZONE, NAME, FLY)
    solver.take_away(ZONE, NAME, FLY)
    assert stands(cloud) == ()
    handle = solver.present(ZONE, NAME, VALUE)
    with pytest.raises(Rejected):
        solver.put_back(ZONE, NAME, FLY)  # the proof is in the way
    solver.clean_up(ZONE, NAME, VALUE, handle)
    solver.put_back(ZONE, NAME, FLY)
    solver.put_back(ZONE, NAME, FLY)
    assert stands(cloud) == ("x.flydns.net",)
    assert solver.alias(ZONE, NAME) == FLY


def test_one_that_somebody_changed_meanwhile_is_not_touched(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    with pytest.raises(Rejected, match=r"is a CNAME to x\.flydns\.net by now, and not to other\.example"):
        ours(tmp_path, cloud).take_away(ZONE, NAME, Alias("other.example", 60))
    assert cloud.writes == []


def test_a_put_back_whose_answer_is_lost_is_not_made_twice(tmp_path: Path, cloud: DnsimpleSimulator) -> None:
    solver = ours(tmp_path, cloud)
    solver.take_away(ZONE, NAME, FLY)
    cloud.faults.append(Fault("reset", when="after", matches=lambda request: request.method == "POST"))
    with pytest.raises(Exception, match="DNSimple"):
        solver.put_back(ZONE, NAME, FLY)
    solver.put_back(ZONE, NAME, FLY)
    assert stands(cloud) == ("x.flydns.net",)


def test_nothing_there_is_nothing_to_lend(tmp_path: Path) -> None:
    assert ours(tmp_path, DnsimpleSimulator(zones=(ZONE,))).alias(ZONE, NAME) is None


def test_by_update_it_comes_back_as_it_was_too(tmp_path: Path) -> None:
    with town(ZONE) as dns:
        dns.add(NAME, "CNAME", "x.flydns.net.")
        solver = own(tmp_path, dns)
        assert isinstance(solver, Lends)
        alias = solver.alias(ZONE, NAME)
        assert alias is not None
        assert alias.target == "x.flydns.net"
        with pytest.raises(Rejected, match=r"is a CNAME to x\.flydns\.net by now"):
            solver.take_away(ZONE, NAME, Alias("other.example", 60))
        for _ in range(2):
            solver.take_away(ZONE, NAME, alias)
        assert dns.values(NAME, "CNAME") == []
        assert solver.alias(ZONE, NAME) is None
        handle = solver.present(ZONE, NAME, VALUE)
        with pytest.raises(Rejected, match="something else stands at"):
            solver.put_back(ZONE, NAME, alias)
        solver.clean_up(ZONE, NAME, VALUE, handle)
        for _ in range(2):
            solver.put_back(ZONE, NAME, alias)
        assert dns.values(NAME, "CNAME") == ["x.flydns.net."]
        assert solver.alias(ZONE, NAME) == alias
