"""The shipped suite explains its failures as tests of our own do."""

import pytest

pytest.register_assert_rewrite("certbroker.testkit.behaviour", "certbroker.testkit.bad_days")
