"""The account's key: read as other clients keep it, refused where it cannot be used, signed with as its kind asks."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final

import pytest
from acme import messages
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from certbroker.errors import BadMaterial
from certbroker.issuer.account_key import algorithm, kind, read
from certbroker.secret import Secret

if TYPE_CHECKING:
    from tests.issuer.test_killed import Scene

KEYS: Final = {
    "rsa-2048": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ecdsa-p256": ec.generate_private_key(ec.SECP256R1()),
    "ecdsa-p384": ec.generate_private_key(ec.SECP384R1()),
}


def pem(key: object, shape: PrivateFormat = PrivateFormat.PKCS8, passphrase: bytes | None = None) -> str:
    protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return str(key.private_bytes(Encoding.PEM, shape, protection).decode())  # type: ignore[attr-defined]


PEMS: Final = {name: pem(key) for name, key in KEYS.items()}


def register(here: Scene, text: str) -> str:
    """An account that another client made with this key; its URI."""
    other = here.at.issuer()
    line = other._new_line()
    line.new_nonce = other.directory().new_nonce
    line.identify(read(Secret(text), "x"), None)
    reply = line.ask(
        other.directory().new_account, "an account", messages.NewRegistration(terms_of_service_agreed=True)
    )
    return reply.headers["Location"]


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("shape", ["PKCS#8", "as openssl and acme.sh write it", "JWK"])
def test_a_key_is_read_as_certbot_lego_and_acme_sh_keep_it(name: str, shape: str) -> None:
    text = PEMS[name] if shape == "PKCS#8" else pem(KEYS[name], PrivateFormat.TraditionalOpenSSL)
    if shape == "JWK":
        text = read(Secret(PEMS[name]), "x").json_dumps()
    found = read(Secret(f"\n{text}\n" if shape == "JWK" else text), "x")
    assert kind(found).value == name
    assert algorithm(found).name == {"rsa-2048": "RS256", "ecdsa-p256": "ES256", "ecdsa-p384": "ES384"}[name]
    assert found.public_key().thumbprint() == read(Secret(PEMS[name]), "x").public_key().thumbprint()


BAD: Final = {
    "protected by a passphrase": pem(KEYS["ecdsa-p256"], passphrase=b"secret"),
    "P-521": pem(ec.generate_private_key(ec.SECP521R1())),
    "neither ECDSA nor RSA": pem(ed25519.Ed25519PrivateKey.generate()),
    "neither ECDSA nor RSA ": pem(dsa.generate_private_key(2048)),
    "1024 bits": pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
    "not a readable PEM": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "not a readable PEM ": "",
    "JSON, and no key": json.dumps({"body": {}, "uri": "https://ca.example/acct/1"}),
    "neither PEM nor JSON": "{ nothing",
    "holds a public key": read(Secret(PEMS["ecdsa-p256"]), "x").public_key().json_dumps(),
    "cannot be read": json.dumps({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "d": "AAAA"}),
    "cannot be read ": json.dumps({"kty": ["EC"], "d": 7}),
    "an account's key is RSA": json.dumps({"kty": "oct", "k": "c2VjcmV0", "d": "x"}),
}


@pytest.mark.parametrize("why", BAD)
def test_what_is_no_usable_key_is_refused_in_words_that_do_not_quote_it(why: str) -> None:
    with pytest.raises(BadMaterial) as caught:
        read(Secret(BAD[why]), "account.key")
    told = f"{caught.value.what} {caught.value.hint}"
    assert why.strip().replace("P-521", "secp521r1") in told
    body = "".join(BAD[why].split("\n")[1:2])
    assert not body or body not in told
    assert caught.value.__cause__ is None


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()) | st.dictionaries(
    st.sampled_from(["kty", "d", "crv", "x", "y", "n", "e", "k"]), st.text() | st.integers() | st.none()
).map(json.dumps))  # fmt: skip
def test_whatever_a_file_holds_only_our_error_comes_out(text: str) -> None:
    with pytest.raises(BadMaterial):
        read(Secret(text), "x")
