"""The shipped suite explains its failures as tests of our own do."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("certbroker.testkit.behaviour", "certbroker.testkit.bad_days")

# Timing never fails a test: a busy machine draws slowly too.
settings.register_profile("certbroker", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("certbroker")
