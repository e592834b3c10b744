"""A run has half an hour: nothing is waited for after that, and what it has no time for stays due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from certbroker.broker.desk import RUN_SECONDS
from certbroker.broker.runs import BATCH
from certbroker.testkit.simulator import Fault, Request
from tests.scenarios.town import Town, town


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "town") as made:
        yield made


def takes(place: Town, path: str, seconds: float) -> None:
    """The next request to that path of the CA is answered by nobody, and so long it takes to find out."""

    def matches(request: Request) -> bool:
        return request.path == path

    place.ca.faults.append(Fault(lambda: place.clock.advance(timedelta(seconds=seconds)), matches=matches))


@pytest.mark.parametrize(("wait", "longest"), [("10m", RUN_SECONDS), ("40m", 2400)])
def test_edges_are_not_looked_at_after_its_end_unless_the_owner_stays(place: Town, wait: str, longest: float) -> None:
    place.run("renew")
    next(iter(place.house.edges.values())).listeners[0].stuck = True
    place.later(minutes=10)
    takes(place, "/nonce", longest - 100)
    began = place.clock.monotonic()
    ran = place.run("issue", "main", "--wait", wait, ends=None)
    assert "still serves the certificate before" in ran.all
    assert longest - 20 < place.clock.monotonic() - began < longest + 20


def test_certificates_that_there_is_no_time_for_are_left_to_the_next_run(place: Town) -> None:
    tables = [
        place.certificate(f"c{n:03d}", names=(f"n{n}.example.com",), targets=("folder",)) for n in range(BATCH + 2)
    ]
    place.configure(certificates="".join(tables))
    takes(place, "/new-order", RUN_SECONDS)
    ran = place.run("renew", ends=1)
    assert "2 certificates are left to the next run" in ran.out
    with place.store() as store:
        assert len(store.failing_variants()) == BATCH
        due = [row.subject for row in store.due(place.clock.now(), kind="certificate")]
    assert due == ["c200", "c201"]
