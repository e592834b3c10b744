"""The suite that says what a provider is, passed by the Fastly adapter, on the likely Fastly and on an unlikely one."""

from __future__ import annotations

import functools

import pytest

from certbroker.testkit.conformance import Behaviour, NewRig, ProviderConformance
from certbroker_fastly.simulator import Quirks
from tests.fastly.rig import fastly_rig


class TestFastly(ProviderConformance):
    @pytest.fixture
    def new_rig(self) -> NewRig:
        return fastly_rig


class TestAnUnlikelyFastly(Behaviour):
    """Every open question answered the other way, as far as they go together."""

    @pytest.fixture
    def new_rig(self) -> NewRig:
        quirks = Quirks(
            new_key_on_patch=True,
            one_activation_per="domain",
            links=False,
            refusal_status=422,
            same_certificate="refuse",
            dates="accept",
            stale_domains=False,
            ec_key_type="EC",
            ec_key_length=0,
            rate_headers=True,
            rename_certificate=False,
            managed_activation_moves=True,
            plain_401=True,
            tokens_self=403,
            mutual_member=False,
            old_statuses=True,
        )
        return functools.partial(fastly_rig, quirks)
