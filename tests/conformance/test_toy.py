"""The honest toy adapter is a provider: every test of the suite runs, and passes."""

from __future__ import annotations

import pytest

from certbroker.testkit.conformance import NewRig, ProviderConformance
from tests.conformance.toy_adapter import toy_rig


class TestToy(ProviderConformance):
    @pytest.fixture
    def new_rig(self) -> NewRig:
        return toy_rig
