"""What it means to be a provider, as tests. Inherit, override `new_rig`; a green class is a provider.

    class TestFastly(ProviderConformance):
        @pytest.fixture
        def new_rig(self) -> NewRig:
            return fastly_rig          # a function that makes a rig: a new, empty place and the way to it

What speaks no HTTP inherits `Behaviour` alone. The suite itself is tested: it has been seen to fail on adapters that were broken
on purpose, one way each. For failures that explain themselves, put this into your `conftest.py`:

    pytest.register_assert_rewrite(
        "certbroker.testkit.behaviour", "certbroker.testkit.bad_days", "certbroker.testkit.managing"
    )
"""

from __future__ import annotations

from certbroker.testkit.bad_days import BadDays
from certbroker.testkit.behaviour import Behaviour
from certbroker.testkit.managing import Managing
from certbroker.testkit.rig import NewRig

__all__ = ["Behaviour", "Managing", "NewRig", "ProviderConformance"]


class ProviderConformance(Behaviour, BadDays, Managing):
    """All: how it behaves, what it does when the line or the service does not, and how it deals with the platform's own."""
