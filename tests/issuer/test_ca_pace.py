"""How fast a CA is asked: each endpoint for itself, and all lines together."""

from __future__ import annotations

import pytest

from certbroker.issuer.ca_pace import CaPace
from certbroker.issuer.messages import Directory
from certbroker.limits import LETSENCRYPT_RATES, LETSENCRYPT_STAGING_RATES, Rates
from tests.clock import TestClock

CA = "https://ca.test"
OFFER = {
    "newNonce": f"{CA}/nonce",
    "newAccount": f"{CA}/account",
    "newOrder": f"{CA}/order",
    "revokeCert": f"{CA}/revoke",
    "renewalInfo": f"{CA}/ari",
}


def waited(rates: Rates, path: str, calls: int, *, learned: bool = True) -> float:
    clock = TestClock()
    began = clock.monotonic()
    pace = CaPace(clock, rates, f"{CA}/dir")
    if learned:
        pace.learn(Directory.read("ca", OFFER))
    for _ in range(calls):
        assert pace.wait(f"{CA}{path}", began + 1000)
    return clock.monotonic() - began


@pytest.mark.parametrize(
    ("path", "burst", "per_second"),
    [
        ("/dir", 40, 40),
        ("/nonce", 10, 20),
        ("/account", 15, 5),
        ("/order", 200, 300),
        ("/revoke", 100, 10),
        ("/ari/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", 100, 1000),
        ("/order/17", 125, 250),
        ("/authz/1", 125, 250),
    ],
)
def test_every_endpoint_of_letsencrypt_has_a_rate_of_its_own(path: str, burst: int, per_second: float) -> None:
    assert waited(LETSENCRYPT_RATES, path, burst) == 0
    assert waited(LETSENCRYPT_RATES, path, burst + 30) == pytest.approx(30 / per_second)


@pytest.mark.parametrize(("path", "burst"), [("/order", 40), ("/authz/1", 20)])
def test_its_test_environment_is_slower(path: str, burst: int) -> None:
    assert waited(LETSENCRYPT_STAGING_RATES, path, burst + 30) == pytest.approx(30 / 20)


def test_before_the_directory_is_known_everything_else_is_one_of_the_others() -> None:
    assert waited(LETSENCRYPT_RATES, "/nonce", 125, learned=False) == 0
    assert waited(LETSENCRYPT_RATES, "/nonce", 126, learned=False) > 0
