"""Eight days of 160-hour certificates under an hourly cron that is late, or does not come: the real command line (scenario 15)."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from pathlib import Path

from certbroker.model import KeyType, Version
from certbroker.sandbox.ca.renewal import window
from tests.clock import START
from tests.scenarios.town import Town, town

DAYS = 8
"""Long enough for each to be renewed twice, and for the first to have expired."""

NAMES = ("a", "b", "c")


def versions(place: Town) -> dict[str, list[Version]]:
    """Oldest first."""
    with place.store() as store:
        return {name: list(reversed(store.versions(name, KeyType.P256))) for name in NAMES}


def test_eight_days_of_hourly_runs_renews_inside_the_windows_and_nothing_expires(tmp_path: Path) -> None:
    chance = random.Random(3)
    inside = renewals = 0
    with town(tmp_path / "town") as place:
        place.configure(
            certificates="".join(
                place.certificate(name, names=(f"{name}.example.com",), targets=("folder",)) for name in NAMES
            )
        )
        place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nprofile = "shortlived"')
        for hour in range(DAYS * 24):
            if chance.random() >= 0.05:
                before = len(place.ca.issued)
                place.run("renew")
                for issued in place.ca.issued[before:]:
                    replaced = [i for i in place.ca.issued[:before] if i.names == issued.names]
                    if replaced:
                        start, end = window(replaced[-1], place.clock.now())
                        renewals += 1
                        inside += start <= place.clock.now() < end
            planned = timedelta(hours=hour + 1, minutes=chance.uniform(0, 10))
            place.clock.advance(max(timedelta(minutes=40), planned - (place.clock.now() - START)))
        held = versions(place)
        now = place.clock.now()
    for name, made in held.items():
        assert made[-1].lifetime.ends > now, name
        for older, newer in itertools.pairwise(made):
            assert newer.lifetime.starts < older.lifetime.ends, f"{name} {older.label} expired before {newer.label}"
        assert len(made) == 3, name
    assert all(order.replaces for order in place.ca.orders[len(NAMES) :])
    assert inside / renewals > 0.95, f"{inside} of {renewals} inside the window"
