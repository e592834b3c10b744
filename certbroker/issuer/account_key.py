"""The key that signs for an account: its algorithm follows its kind, and it is read as other clients keep it."""

from __future__ import annotations

import json
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from josepy.errors import Error as JoseError
from josepy.jwa import ES256, ES384, RS256, JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA

from certbroker.errors import BadMaterial
from certbroker.keys import PrivateKey, load_key
from certbroker.model import KeyType
from certbroker.secret import Secret

_CURVES: Final = {"secp256r1": KeyType.P256, "secp384r1": KeyType.P384}
_SIZES: Final = {2048: KeyType.RSA2048, 3072: KeyType.RSA3072, 4096: KeyType.RSA4096}
_ALGORITHMS: Final = {KeyType.P256: ES256, KeyType.P384: ES384}


def kind(key: JWK) -> KeyType:
    """What it is. Raises BadMaterial for what no CA of ours takes from accounts."""
    found: KeyType | None = None
    if isinstance(key, JWKEC):
        found = _CURVES.get(key.key.curve.name)
    elif isinstance(key, JWKRSA):
        found = _SIZES.get(key.key.key_size)
    if found is None:
        raise BadMaterial("an account's key is RSA of 2048, 3072 or 4096 bits, P-256 or P-384")
    return found


def algorithm(key: JWK) -> JWASignature:
    """What it signs with (RFC 7518 section 3.1). Raises BadMaterial."""
    return _ALGORITHMS.get(kind(key), RS256)


def as_jwk(key: PrivateKey) -> JWK:
    """A private key of ours as one that signs for ACME."""
    return JWKRSA(key=key) if isinstance(key, RSAPrivateKey) else JWKEC(key=key)


def new_key() -> JWK:
    """P-256: every CA takes it, and its signatures are short."""
    return JWKEC(key=ec.generate_private_key(ec.SECP256R1()))


def read(text: Secret, what: str) -> JWK:
    """A private key as other clients keep it: PEM (lego, acme.sh) or a JWK (certbot's private_key.json).

    Args:
        what: how the file is called, for messages.

    Raises:
        BadMaterial: it is neither, is protected by a passphrase, or of a kind that no CA of ours takes. Never quotes it.
    """
    is_json = text.reveal().lstrip().startswith("{")
    key = _read_jwk(text, what) if is_json else as_jwk(load_key(text, what=what))
    kind(key)
    return key


def _read_jwk(text: Secret, what: str) -> JWK:
    try:
        value: Any = json.loads(text.reveal())
    except (ValueError, RecursionError):
        raise BadMaterial(f"{what} is neither PEM nor JSON") from None
    if "kty" not in value:
        raise BadMaterial(
            f"{what} is JSON, and no key", hint="certbot keeps the key in private_key.json, beside regr.json"
        )
    if "d" not in value:
        raise BadMaterial(f"{what} holds a public key; the private one is needed")
    try:
        key = JWK.from_json(value)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise BadMaterial(f"{what} is a JWK that cannot be read") from None
    if not isinstance(key, JWK):
        raise BadMaterial(f"{what} is a JWK that cannot be read")
    return key
