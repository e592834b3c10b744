"""An honest CA whose answers are spoilt on the way, anywhere and anyhow: what comes out is a version or one of our errors, in
time and within a bounded number of requests, and the next day an honest run finds a store that works.
"""

from __future__ import annotations

import random
import ssl
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certbroker.errors import BadMaterial, CertbrokerError, IssuanceError, IssuerUnavailable, NothingDone, ProviderError
from certbroker.issuer.ari import certificate_id
from certbroker.issuer.certificate import certified
from certbroker.keys import generate, load_key
from certbroker.model import KeyType, RevocationReason, Standing, Version, Window
from certbroker.sandbox.ca.authority import Authority, profiles
from tests.clock import START, TestClock
from tests.issuer.desk import wanted
from tests.issuer.liar import STEPS, Lie, Named, Plain
from tests.issuer.lied_to import BASE, CASES, NAMES, fit_to_show, nothing_secret, scene, within_bounds
from tests.issuer.lies import lies

pytestmark = pytest.mark.timeout(900)  # many cases, and more of them when one has to be shrunk

# ---- what holds, whatever it says ------------------------------------------------------------------------------------------


@settings(max_examples=CASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.lists(
        lies(*(step for step in STEPS if step not in ("ari", "revoke-cert", "key-change"))), min_size=1, max_size=3
    )
)
def test_no_lie_breaks_an_order_or_the_store(tmp_path_factory: pytest.TempPathFactory, told: list[Lie]) -> None:
    folder = tmp_path_factory.mktemp("liar")
    with scene(folder) as (ca, at, liar):
        liar.tell(*told)
        first = within_bounds(at, liar, lambda: at.issuer().obtain([wanted(*NAMES)])[0])
        assert isinstance(first, Version | IssuanceError | NothingDone | ProviderError)
        standing = within_bounds(at, liar, lambda: at.issuer().check())
        assert isinstance(standing, Standing | CertbrokerError)
        finalized = ca.finalizations

        liar.tell()
        at.world.clock.sleep(timedelta(days=2).total_seconds())
        later = within_bounds(at, liar, lambda: at.issuer().obtain([wanted(*NAMES)])[0])
        assert isinstance(later, Version), later
        assert later.account_uri in [BASE + account.path for account in ca.accounts]
        assert ca.finalizations - finalized <= 1
        assert at.issuer().check().account == later.account_uri
        assert at.store.unremoved() == []
        assert at.store.open_orders() == []
        nothing_secret(at, folder)


@settings(max_examples=CASES // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(lies("ari", "ari", "dir"), min_size=1, max_size=2))
def test_no_lie_about_when_to_renew_is_believed_beyond_reason(
    tmp_path_factory: pytest.TempPathFactory, told: list[Lie]
) -> None:
    folder = tmp_path_factory.mktemp("liar")
    with scene(folder) as (_, at, liar):
        version = at.issuer().obtain([wanted(*NAMES)])[0]
        assert isinstance(version, Version)
        at.world.clock.sleep(timedelta(days=2).total_seconds())
        liar.tell(*told)
        now = at.world.clock.now()
        window = within_bounds(at, liar, lambda: at.issuer().windows([version])[0])
        if isinstance(window, Window):
            assert window.start <= window.drawn < window.end
            assert now < window.ask_again <= at.world.clock.now() + timedelta(days=1)
        else:
            assert window is None
        assert at.store.window(version.id) == window
        liar.tell()
        at.world.clock.sleep(timedelta(days=2).total_seconds())
        honest = at.issuer().windows([version])[0]
        assert honest is not None
        assert version.lifetime.starts < honest.drawn < version.lifetime.ends
        nothing_secret(at, folder)


@settings(max_examples=CASES // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(lies("revoke-cert", "revoke-cert", "nonce"), min_size=1, max_size=2), by_own_key=st.booleans())
def test_no_lie_keeps_a_revocation_from_being_asked_for_again(
    tmp_path_factory: pytest.TempPathFactory, told: list[Lie], by_own_key: bool
) -> None:
    folder = tmp_path_factory.mktemp("liar")
    with scene(folder) as (ca, at, liar):
        version = at.issuer().obtain([wanted(*NAMES)])[0]
        assert isinstance(version, Version)
        box = at.store.box("version", str(version.id))
        assert box is not None
        key = at.vault.unseal(at.store.id, "version", str(version.id), box) if by_own_key else None
        liar.tell(*told)
        done = within_bounds(
            at, liar, lambda: at.issuer().revoke(version, RevocationReason.KEY_COMPROMISE, key_pem=key)
        )
        assert isinstance(done, bool | CertbrokerError)
        liar.tell()
        at.world.clock.sleep(timedelta(days=2).total_seconds())
        again = at.issuer().revoke(version, RevocationReason.KEY_COMPROMISE, key_pem=key)
        assert isinstance(again, bool)
        assert ca.find(version.fingerprint).revoked_at is not None
        nothing_secret(at, folder)


def test_a_ca_that_calls_an_order_ready_forever_is_asked_ever_more_rarely(tmp_path: Path) -> None:
    with scene(tmp_path) as (ca, at, liar):
        ready = b'{"status": "ready", "finalize": "http://ca.test/order/x/finalize", "authorizations": ["http://ca.test/authz/1"]}'
        liar.tell(*(Lie(step, Plain(status=200, body=ready), times=10_000) for step in ("order", "finalize")))
        outcome = at.issuer().obtain([wanted(*NAMES)])[0]
        assert isinstance(outcome, IssuerUnavailable), outcome
        assert "still ready" in outcome.what
        assert liar.asked < 50
        assert ca.bugs == []


def test_a_list_of_thousands_of_authorizations_is_not_worked_off(tmp_path: Path) -> None:
    with scene(tmp_path) as (_, at, liar):
        liar.tell(Lie("new-order", Named("authorizations", [f"{BASE}/authz/{n}" for n in range(5000)])))
        outcome = at.issuer().obtain([wanted(*NAMES)])[0]
        assert isinstance(outcome, IssuanceError)
        assert outcome.what == "sandbox wants 5000 authorizations for one order"
        assert liar.asked < 10


# ---- the certificate itself: cheap enough for many cases -------------------------------------------------------------------

KEY: Final = generate(KeyType.P256)


@cache
def chain() -> tuple[bytes, ...]:
    """A leaf and two intermediates, as DER."""
    authority = Authority(TestClock(), random.Random(7), chain_length=3, alternates=0)
    leaf = authority.issue(load_key(KEY).public_key(), NAMES, next(iter(profiles().values())))
    return tuple(one.public_bytes(Encoding.DER) for one in authority.chains(leaf)[0])


TAGS: Final = [0x00, 0x01, 0x02, 0x05, 0x0C, 0x13, 0x16, 0x1E, 0x30, 0x31, 0x80, 0x82, 0xA0, 0xA3, 0xFF]


@pytest.mark.filterwarnings("ignore")  # cryptography warns of what it will refuse one day: negative serials, long names
@settings(max_examples=CASES * 40)
@given(
    which=st.integers(0, 2),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(TAGS) | st.integers(0, 255)),
        min_size=1,
        max_size=3,
    ),
)
def test_no_byte_of_a_certificate_crashes_its_reader(which: int, changes: list[tuple[float, int]]) -> None:
    spoilt = bytearray(chain()[which])
    for share, value in changes:
        spoilt[int(share * len(spoilt))] = value
    ders = [bytes(spoilt) if number == which else der for number, der in enumerate(chain())]
    text = "".join(ssl.DER_cert_to_PEM_cert(der) for der in ders)
    try:
        got = certified(text, KEY, NAMES, START)
    except BadMaterial as error:
        fit_to_show(error.what, error.hint)
    else:
        fit_to_show(*got.names, got.leaf.issued_by)
        certificate_id(got.leaf)
