"""Lies about our account: whatever is said while its key changes, the next day it signs with the key that the CA knows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certbroker.errors import CertbrokerError
from tests.issuer.desk import Desk
from tests.issuer.liar import Lie
from tests.issuer.lied_to import BASE, CASES, nothing_secret, scene, within_bounds
from tests.issuer.lies import lies

pytestmark = pytest.mark.timeout(900)

OWNER = f"sandbox {BASE}/dir"


def sealed(at: Desk) -> list[str]:
    return sorted(kind for kind, owner, _ in at.store.boxes() if owner == OWNER)


@settings(max_examples=CASES // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.lists(
        lies("key-change", "key-change", "acct", "acct", "new-account", "nonce", "dir"),
        min_size=1,
        max_size=4,
        unique_by=lambda lie: lie.step,  # two at one step can forge the one answer that is believed
    ),
    times=st.integers(1, 3),
)
def test_no_lie_about_a_new_key_loses_the_account(
    tmp_path_factory: pytest.TempPathFactory, told: list[Lie], times: int
) -> None:
    folder = tmp_path_factory.mktemp("liar")
    with scene(folder) as (ca, at, liar):
        uri = at.issuer().account()
        at.world.clock.sleep(timedelta(days=2).total_seconds())  # the directory is asked for again
        liar.tell(*told)
        for _ in range(times):
            done = within_bounds(at, liar, lambda: at.issuer().roll_over())
            assert done == uri or isinstance(done, CertbrokerError)
        liar.tell()
        at.world.clock.sleep(timedelta(days=2).total_seconds())
        assert at.issuer().account_status() == "valid"
        assert at.issuer().roll_over() == uri
        assert sealed(at) == ["account"]
        assert len(ca.accounts) == 1
        nothing_secret(at, folder)
