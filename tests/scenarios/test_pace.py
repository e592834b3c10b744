"""A CA that counts requests a second, as Let's Encrypt's test environment does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.town import Town, town

STAGING = {"/dir": (40, 40), "/nonce": (20, 10), "/new-account": (5, 15), "/new-order": (20, 40), "/": (20, 20)}
"""By path of the sandbox, what Let's Encrypt publishes of its test environment."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    """Six certificates of two names: some 60 requests, and each answer takes no time at all."""
    with town(tmp_path / "town") as made:
        tables = [
            made.certificate(f"c{n:02d}", names=(f"n{n}.example.com", f"m{n}.example.com"), targets=("folder",))
            for n in range(6)
        ]
        made.configure(certificates="".join(tables))
        made.ca.bad.most_per_second = STAGING
        made.ca.bad.retry_after = None
        yield made


def test_who_asks_as_fast_as_it_answers_is_sent_away(place: Town) -> None:
    place.run("renew", ends=None)
    assert place.ca.hurried


def test_a_ca_with_published_rates_is_never_asked_faster(place: Town) -> None:
    place.edit('roots = "roots.pem"', 'roots = "roots.pem"\nlimits = "letsencrypt-staging"')
    began = place.clock.monotonic()
    place.run("renew")
    assert place.ca.hurried == []
    assert len(place.ca.issued) == 6
    others = [r for r in place.ca.requests if not r.path.startswith(("/dir", "/nonce", "/new-"))]
    assert place.clock.monotonic() - began >= (len(others) - 20) / 20
