"""A private key is recognized in every request, in every place of it, in every dress; and an honest request is never suspected."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from josepy.jwk import JWKEC, JWKRSA

from certbroker.sandbox.ca import leaks
from tests.sandbox.client import Dns, make_ca
from tests.sandbox.wire import Wire

Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
EC: Final = ec.generate_private_key(ec.SECP256R1())
KEYS: Final[dict[str, Private]] = {
    "p256": EC,
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "rsa": rsa.generate_private_key(65537, 2048),
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def pem(key: Private, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def der(key: Private) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@cache
def _jwk(name: str) -> str:
    key = KEYS[name]
    made = JWKRSA(key=key) if isinstance(key, rsa.RSAPrivateKey) else JWKEC(key=key)
    return str(made.json_dumps())


def jwk(key: Private) -> dict[str, Any]:
    return dict(json.loads(_jwk(next(name for name, known in KEYS.items() if known is key))))


def jws(inner: object) -> dict[str, str]:
    """As the nested ones of a binding and of keyChange."""
    return {
        "protected": b64(b'{"alg":"HS256"}'),
        "payload": b64(json.dumps(inner).encode()),
        "signature": b64(b"s" * 32),
    }


def without(key: Private, *members: str) -> dict[str, Any]:
    return {name: value for name, value in jwk(key).items() if name not in members}


FORMS: Final[dict[str, Callable[[Private], Any]]] = {
    "jwk": jwk,
    "jwk without its type": lambda key: without(key, "kty"),
    "jwk as text": lambda key: json.dumps(jwk(key)),
    "jwk as text as text": lambda key: json.dumps(json.dumps(jwk(key))),
    "jwk in base64": lambda key: b64(json.dumps(jwk(key)).encode()),
    "jwk in a nested jws": lambda key: jws(jwk(key)),
    "jwk in the header of a nested jws": lambda key: {
        **jws({}),
        "protected": b64(json.dumps({"jwk": jwk(key)}).encode()),
    },
    "jwk in a compact jws": lambda key: ".".join(jws(jwk(key)).values()),
    "jwk as the name of a member": lambda key: {json.dumps(jwk(key)): 1},
    "pem": pem,
    "pem of the old form": lambda key: pem(key, PrivateFormat.TraditionalOpenSSL),
    "pem with its lines escaped": lambda key: pem(key).replace("\n", "\\n"),
    "pem on one line": lambda key: pem(key).replace("\n", " "),
    "pem in base64": lambda key: base64.b64encode(pem(key).encode()).decode(),
    "pem without its head": lambda key: "\n".join(pem(key).splitlines()[1:-1]),
    "der in base64url": lambda key: b64(der(key)),
    "der in base64": lambda key: base64.b64encode(der(key)).decode(),
    "der in hex": lambda key: der(key).hex(),
    "der as numbers": lambda key: list(der(key)),
    "deep": lambda key: [[{"a": [{"b": jws({"c": [b64(json.dumps({"d": pem(key)}).encode())]})}]}]],
}


@pytest.mark.parametrize("name", list(KEYS))
@pytest.mark.parametrize("form", list(FORMS))
def test_a_private_key_is_known_by_its_form(form: str, name: str) -> None:
    found = list(leaks.find(json.dumps(jws({"note": FORMS[form](KEYS[name])})).encode()))
    assert found
    assert not any("BEGIN" in words or len(words) > 200 for words in found)


def numbers(key: Private) -> dict[str, int]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {"scalar": key.private_numbers().private_value}
    private = key.private_numbers()
    return {"exponent": private.d, "factor": private.p, "other factor": private.q}


NUMBERS: Final[dict[str, Callable[[bytes], Any]]] = {
    "base64url": b64,
    "base64": lambda raw: base64.b64encode(raw).decode(),
    "hex": lambda raw: raw.hex(),
    "hex with colons": lambda raw: raw.hex(":"),
    "a number": lambda raw: int.from_bytes(raw, "big"),
    "bytes": list,
}


@pytest.mark.parametrize("name", list(KEYS))
@pytest.mark.parametrize("form", list(NUMBERS))
def test_a_bare_number_is_known_by_its_public_half(form: str, name: str) -> None:
    key = KEYS[name]
    known = leaks.Known([key.public_key(), EC.public_key()])
    for number in numbers(key).values():
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        body = json.dumps(jws({"note": NUMBERS[form](raw)})).encode()
        assert list(leaks.find(body, known=known)) == ["body.payload.note: the private half of a key"]
        stranger = leaks.Known([ec.generate_private_key(ec.SECP256R1()).public_key()])
        assert list(leaks.find(body, known=stranger)) == []


# ---- on the wire -----------------------------------------------------------------------------------------------------------

HMAC: Final = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
PATHS: Final = (
    "/new-account",
    "/acct/1",
    "/new-order",
    "/order/1",
    "/authz/1",
    "/chall/1",
    "/order/1/finalize",
    "/cert/1",
)
PATHS_TOO: Final = ("/revoke-cert", "/key-change")


@pytest.fixture
def wire() -> Wire:
    dns = Dns()
    key = JWKEC(key=EC)
    return Wire(make_ca(dns, eab_keys={"kid-1": HMAC}), dns, key).join()


SCALAR: Final = b64(EC.private_numbers().private_value.to_bytes(32, "big"))


@pytest.mark.plants_keys
@pytest.mark.parametrize("path", PATHS + PATHS_TOO)
def test_no_kind_of_request_gets_through_with_one(wire: Wire, path: str) -> None:
    for secret in (SCALAR, HMAC, pem(EC), jwk(EC)):
        before = len(wire.ca.violations)
        account = (
            {}
            if path not in ("/new-account", "/revoke-cert")
            else {"kid": None, "jwk": wire.key.public_key().to_json()}
        )
        tries = [
            wire.post(path, {"note": secret}, **account),
            wire.post(path, jws(secret), **account),
            wire.post(path, None, **account, note=secret),
            wire.send("POST", path, json.dumps({**wire.signed(path, {}, **account), "note": secret}).encode()),
        ]
        assert [answer.status for answer in tries] == [400] * len(tries)
        assert {answer.json["detail"] for answer in tries} == {"the request holds private key material"}
        assert len(wire.ca.violations) >= before + len(tries)
    assert not any(SCALAR in words or HMAC in words for words in wire.ca.violations)


@pytest.mark.plants_keys
def test_neither_an_address_nor_a_header_nor_an_unsigned_question_holds_one(wire: Wire) -> None:
    for secret in (SCALAR, HMAC, b64(pem(EC).encode()), b64(der(EC))):
        tries = [
            wire.send("GET", f"/ari/{secret}"),
            wire.send("HEAD", "/nonce", Cookie=secret),
            wire.send("GET", "/dir", User_Agent=f"client.{secret}"),
        ]
        assert [answer.status for answer in tries] == [400] * 3
    assert len(wire.ca.violations) == 12


def test_an_honest_order_is_never_suspected(wire: Wire) -> None:
    wire.obtain("example.com", "*.example.com")
    assert wire.ca.violations == []


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary().map(b64),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=4, max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(value=JSON, raw=st.binary(max_size=200))
def test_whatever_is_sent_is_searched_without_a_crash(value: object, raw: bytes) -> None:
    known = leaks.Known([key.public_key() for key in KEYS.values()], [HMAC.encode()])
    assert list(leaks.find(json.dumps(value).encode(), known=known)) == []
    assert list(leaks.find(raw, known=known)) == []
