"""The shipped suite explains its failures as tests of our own do."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests import compiled

pytest.register_assert_rewrite(
    "certbroker.testkit.behaviour", "certbroker.testkit.bad_days", "certbroker.testkit.managing"
)

# Timing never fails a test: a busy machine draws slowly too.
settings.register_profile("certbroker", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("certbroker")

compiled.keep_for_all_engines()

# As in the program itself: what is imported is never garbage, and to look through it takes a twentieth of all the time.
gc.set_threshold(20_000)


@pytest.fixture(autouse=True)
def no_private_key_is_sent(request: pytest.FixtureRequest) -> Iterator[None]:
    """In whatever test: no request to a sandbox CA in this process holds private key material, unless the test puts it there."""
    heard = _Heard(logging.CRITICAL)
    line = logging.getLogger("certbroker.sandbox.ca.server")
    line.addHandler(heard)
    yield
    line.removeHandler(heard)
    if request.node.get_closest_marker("plants_keys") is None:
        assert heard.said == []


class _Heard(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
