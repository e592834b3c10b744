"""A push that failed may have arrived all the same: what it made worse is found without another push, and put back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from certbroker.testkit.simulator import Fault, Request, Response
from tests.matrix.faults import HTML, LATE, SLOW_DOWN
from tests.matrix.stage import NAMES, Stage, certificate, stage

TARGETS = [("fastly", "fastly"), ("fly", "fly-blue")]
TOMORROW = Response.of(429, SLOW_DOWN, **{"Retry-After": "86400"})


def _switches(request: Request) -> bool:
    """The write that edges follow."""
    return request.write and ("/activations" in request.path or request.path.endswith("/custom"))


@pytest.fixture(params=TARGETS, ids=[target for _, target in TARGETS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Stage, str, str]]:
    """v1 is served, v2 is wanted."""
    platform, target = request.param
    with stage(tmp_path / "stage") as made:
        made.configure(certificate(target))
        made.prove(*NAMES)
        made.issue()
        made.renew()
        made.later()
        made.issue()
        yield made, platform, target


@pytest.mark.parametrize("answer", [HTML, TOMORROW], ids=["500", "429 until tomorrow"])
def test_an_edge_that_it_broke_gets_back_what_it_served_in_the_same_run(
    place: tuple[Stage, str, str], answer: Response
) -> None:
    made, platform, target = place
    new, old = made.store.versions("main")
    edges = made.platforms[platform].edges
    edges.choke(next(iter(edges.addresses)))
    made.platforms[platform].simulator.faults.append(Fault(answer, when="after", matches=_switches))
    report = made.renew()
    assert report.exit_code == 1
    assert [trouble.what for trouble in report.troubles if "worse than before the push" in trouble.what]
    assert [trouble.what for trouble in report.troubles if trouble.what.endswith("v1 was put back")]
    assert set(made.phases(target, new).values()) <= {"restored", "failed"}
    assert edges.fingerprints(NAMES[0]) == {old.fingerprint}
    assert edges.wrong == []


def test_an_edge_that_breaks_later_is_found_while_the_next_push_is_not_due(place: tuple[Stage, str, str]) -> None:
    made, platform, target = place
    new, old = made.store.versions("main")
    at = made.platforms[platform]
    at.edges.choke(next(iter(at.edges.addresses)))
    at.edges.delay = LATE
    at.simulator.faults.append(Fault(TOMORROW, when="after", matches=_switches))
    made.renew()
    assert made.phases(target, new)[NAMES[0]] == "failed"
    assert at.edges.fingerprints(NAMES[0]) == {old.fingerprint}
    at.edges.delay = timedelta()
    writes = len(at.simulator.writes)
    made.later(timedelta(minutes=6))
    assert "" in at.edges.fingerprints(NAMES[0])
    made.renew()
    assert made.phases(target, new)[NAMES[0]] == "restored"
    assert at.edges.fingerprints(NAMES[0]) == {old.fingerprint}
    assert len(at.simulator.writes) > writes


def test_what_is_being_put_back_is_not_forgotten_while_the_platform_is_away(place: tuple[Stage, str, str]) -> None:
    """The first name broke an edge and cannot be put back; the push of the second failed. Then nothing is answered at all."""
    made, platform, target = place
    new, old = made.store.versions("main")
    at = made.platforms[platform]
    at.edges.choke(next(iter(at.edges.addresses)))
    at.simulator.faults.append(Fault(HTML, matches=_switches, skip=1, times=1000))
    made.renew()
    assert made.phases(target, new) == {NAMES[0]: "restoring", NAMES[1]: "failed"}
    at.simulator.faults[0] = Fault(HTML, times=1000)
    made.later()
    made.renew()
    assert made.phases(target, new)[NAMES[0]] == "restoring"
    at.simulator.faults.clear()
    made.later()
    made.renew()
    assert made.phases(target, new)[NAMES[0]] == "restored"
    assert at.edges.fingerprints(NAMES[0]) == {old.fingerprint}
