"""The key that signs for an account: its algorithm follows its kind, and it is read as other clients keep it."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from josepy.jwa import ES256, ES384, RS256, JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA

from certbroker.errors import BadMaterial
from certbroker.keys import PrivateKey
from certbroker.model import KeyType

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
