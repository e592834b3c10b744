"""External account binding: what is signed, what is understood, when it is opened and when not."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from josepy.jwk import JWKEC

from certbroker.config import BindingSettings, IssuerSettings
from certbroker.errors import IssuanceError, NothingDone
from certbroker.issuer.binding import Binding
from certbroker.sandbox.ca import SandboxCA
from certbroker.secret import Secret, SecretRef
from certbroker.testkit.simulator import SimulatorTransport
from tests.clock import TestClock
from tests.issuer.desk import Desk, desk, own_dns, version, wanted

BASE = "http://ca.test"
KEY = bytes(range(200, 232))
HMAC = base64.urlsafe_b64encode(KEY).decode()
EAB = BindingSettings("kid-1", SecretRef(env="HMAC"))


@dataclass
class Scene:
    ca: SandboxCA
    at: Desk

    def put(self, **environ: str) -> None:
        """Into the environment of the next run."""
        self.at.world.environ.update(environ)  # type: ignore[attr-defined]  # the test's own dictionary


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = TestClock()
    with own_dns() as dns:
        ca = SandboxCA(
            clock=clock,
            rng=random.Random(7),
            lookup_txt=dns.lookup_txt,
            base_url=BASE,
            eab_keys={"kid-1": HMAC.rstrip("=")},
            eab_required=True,
        )
        settings = IssuerSettings("house", f"{BASE}/dir", agree_to_terms=True, eab=EAB)
        with desk(tmp_path, settings, dns.address, clock, transport=SimulatorTransport(ca)) as at:
            yield Scene(ca, at)
        assert ca.violations == []


def with_eab(eab: BindingSettings | None) -> IssuerSettings:
    return IssuerSettings("house", f"{BASE}/dir", agree_to_terms=True, eab=eab)


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("text", [HMAC, HMAC.rstrip("="), base64.b64encode(KEY).decode(), f" {HMAC}\n"])
def test_a_new_account_is_bound_with_the_public_key_alone(scene: Scene, alg: Any, text: str) -> None:
    scene.put(HMAC=text)
    scene.at.issuer(settings=with_eab(BindingSettings("kid-1", EAB.hmac, alg))).account()
    assert [account.eab_kid for account in scene.ca.accounts] == ["kid-1"]


def test_it_is_sent_to_a_ca_that_does_not_say_that_it_wants_one(scene: Scene) -> None:
    scene.put(HMAC=HMAC)
    scene.ca.books.eab_required = False
    scene.at.issuer().account()
    assert scene.ca.accounts[0].eab_kid == "kid-1"


def test_an_account_that_exists_does_not_open_it_again(scene: Scene) -> None:
    scene.put(HMAC=HMAC)
    version(scene.at.issuer().obtain([wanted()])[0])
    scene.put(HMAC="")
    version(scene.at.issuer().obtain([wanted("other.example.com", certificate="other")])[0])
    assert scene.at.issuer().check().account == BASE + scene.ca.accounts[0].path
    assert len(scene.ca.accounts) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not base64 at all!", "eab.hmac of [issuer.house] leads to a key that is not base64url"),
        ("abcde", "eab.hmac of [issuer.house] leads to a key that is not base64url"),
        ("ключ", "eab.hmac of [issuer.house] leads to a key that is not base64url"),
        ("====", "eab.hmac of [issuer.house] leads to an empty key"),
        ("", "names $HMAC, which is not set"),
    ],
)
def test_a_key_that_cannot_be_read_stops_before_anything_is_made_and_is_not_shown(
    scene: Scene, text: str, says: str
) -> None:
    scene.put(HMAC=text)
    outcome = scene.at.issuer().obtain([wanted()])[0]
    assert isinstance(outcome, NothingDone)
    assert says in outcome.what
    assert not text or text not in f"{outcome.what} {outcome.hint} {outcome!r}"
    assert list(scene.at.store.boxes()) == []
    assert [request.method for request in scene.ca.requests] == ["GET"]
    with pytest.raises(NothingDone):
        scene.at.issuer().check()


def test_a_ca_that_refuses_the_credentials_is_told_with_where_they_come_from(scene: Scene) -> None:
    scene.put(HMAC=base64.urlsafe_b64encode(b"another").decode())
    with pytest.raises(IssuanceError) as caught:
        scene.at.issuer().account()
    assert "eab = " in (caught.value.hint or "")
    assert scene.ca.accounts == []


def test_a_ca_that_wants_one_without_having_said_so_names_the_setting(scene: Scene) -> None:
    scene.ca.books.eab_required = False
    unbound = scene.at.issuer(settings=with_eab(None))
    unbound.directory()
    scene.ca.books.eab_required = True
    with pytest.raises(IssuanceError) as caught:
        unbound.account()
    assert "eab = { kid = …, hmac = { env = … } } in [issuer.house]" in (caught.value.hint or "")
    assert scene.ca.orders == []


def test_a_known_ca_names_the_command_that_makes_the_credentials(scene: Scene) -> None:
    google = IssuerSettings("google", "https://dv.acme-v02.api.pki.goog/directory", agree_to_terms=True)
    scene.at.store.put_directory(google.directory, _directory())
    outcome = scene.at.issuer(settings=google).obtain([wanted()])[0]
    assert isinstance(outcome, NothingDone)
    assert "gcloud publicca external-account-keys create" in (outcome.hint or "")
    assert "[issuer.google]" in (outcome.hint or "")
    assert scene.ca.requests == []


def _directory() -> dict[str, Any]:
    names = {name: f"{BASE}/{name}" for name in ("newNonce", "newAccount", "newOrder")}
    return {**names, "meta": {"externalAccountRequired": True}}


@given(st.binary(min_size=1, max_size=80), st.sampled_from(["HS256", "HS384", "HS512"]))
def test_whatever_the_key_only_public_members_are_bound(key: bytes, alg: str) -> None:
    account = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    text = base64.urlsafe_b64encode(key).decode().rstrip("=")
    opened = Binding.opened("house", BindingSettings("k", SecretRef(env="X"), alg), lambda ref: Secret(text))  # type: ignore[arg-type]
    signed = opened.sign(account, "https://ca.example/new-account")
    bound = json.loads(base64.urlsafe_b64decode(signed["payload"] + "=="))
    assert set(bound) == {"crv", "kty", "x", "y"}
    assert json.loads(base64.urlsafe_b64decode(signed["protected"] + "==")) == {
        "alg": alg,
        "kid": "k",
        "url": "https://ca.example/new-account",
    }
