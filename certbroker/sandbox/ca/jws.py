"""Signed requests: every check of RFC 8555 6.2 that does not need to know the account. The cryptography is josepy's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from acme import jws as acme_jws
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy.errors import Error as JoseError
from josepy.json_util import decode_b64jose
from josepy.jwk import JWK, JWKEC, JWKRSA, JWKOct

from certbroker.sandbox.ca.problem import Problem

UNPADDED: Final = re.compile(r"[A-Za-z0-9_-]*")
ALGORITHMS: Final = ("RS256", "ES256", "ES384")
"""What Let's Encrypt takes from accounts."""
MAC_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1"}
RSA_BITS: Final = (2048, 3072, 4096)


@dataclass(frozen=True, slots=True)
class Signed:
    """A JWS whose form is right and whose signature is still to be verified."""

    jws: acme_jws.JWS
    alg: str
    url: str
    nonce: str | None
    kid: str | None
    jwk: JWK | None

    @property
    def payload(self) -> bytes:
        return bytes(self.jws.payload)

    def json(self) -> dict[str, Any]:
        """The payload, which must be a JSON object."""
        try:
            value = json.loads(self.payload)
        except ValueError:
            raise Problem("malformed", "the payload is not JSON") from None
        if not isinstance(value, dict):
            raise Problem("malformed", "the payload is not a JSON object")
        return value

    def verify(self, key: JWK) -> None:
        """Raises Problem if the algorithm does not fit the key or the signature is wrong."""
        fits = (
            isinstance(key, JWKOct)
            if self.alg in MAC_ALGORITHMS
            else isinstance(key, JWKRSA)
            if self.alg == "RS256"
            else isinstance(key, JWKEC) and key.key.curve.name == CURVES[self.alg]
        )
        if not fits:
            raise bad_algorithm(f"{self.alg} does not fit the key")
        if not self.jws.verify(key):
            raise Problem("malformed", "the JWS signature is wrong")


def read(body: bytes, *, inner: bool = False) -> Signed:
    """A request body. `inner`: a JWS inside another's payload, which has no nonce. Raises Problem."""
    try:
        value = json.loads(body)
    except ValueError:
        raise Problem("malformed", "the body is not JSON") from None
    return take(value, inner=inner)


def take(value: Any, *, inner: bool = False, algorithms: tuple[str, ...] = ALGORITHMS) -> Signed:
    """Like `read`, of decoded JSON."""
    if not isinstance(value, dict) or set(value) != {"protected", "payload", "signature"}:
        raise Problem("malformed", "not a flattened JWS with protected, payload and signature alone")
    for member, text in value.items():
        if not isinstance(text, str) or not UNPADDED.fullmatch(text):
            raise Problem("malformed", f"{member} is not base64url without padding")
    protected = _protected(value["protected"])
    alg, url, nonce, kid = (protected.get(member) for member in ("alg", "url", "nonce", "kid"))
    if alg not in algorithms:
        raise bad_algorithm(f"the algorithm {alg} is not taken")
    if not isinstance(url, str):
        raise Problem("malformed", "the protected header has no url")
    if inner and nonce is not None:
        raise Problem("malformed", "an inner JWS has no nonce")
    if not inner and not isinstance(nonce, str):
        raise Problem("badNonce", "the protected header has no nonce")
    if nonce is not None and not UNPADDED.fullmatch(nonce):
        raise Problem("malformed", "the nonce is not base64url without padding")
    if ("kid" in protected) == ("jwk" in protected):
        raise Problem("malformed", "the protected header has either jwk or kid")
    jwk = key_of(protected["jwk"]) if "jwk" in protected else None
    try:
        jws = acme_jws.JWS.from_json(value)
    except (JoseError, ValueError, KeyError, TypeError):
        raise Problem("malformed", "the JWS cannot be read") from None
    if jwk is not None:
        check_account_key(jwk)
    return Signed(jws, str(alg), url, nonce, kid if isinstance(kid, str) else None, jwk)


def key_of(value: Any) -> JWK:
    """A JWK from its JSON. Raises Problem."""
    try:
        key = JWK.from_json(value)
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        key = None
    if not isinstance(key, JWK):
        raise Problem("badPublicKey", "the JWK cannot be read")
    return key


def check_account_key(key: JWK) -> None:
    """Raises Problem unless it is of a kind that Let's Encrypt takes."""
    if isinstance(key, JWKRSA) and key.key.key_size in RSA_BITS:
        return
    if isinstance(key, JWKEC) and key.key.curve.name in CURVES.values():
        return
    raise Problem("badPublicKey", "the account key is neither RSA of 2048, 3072 or 4096 bits, P-256 nor P-384")


def bad_algorithm(detail: str) -> Problem:
    return Problem("badSignatureAlgorithm", detail, extra={"algorithms": list(ALGORITHMS)})


def thumbprint(key: object) -> bytes | None:
    """RFC 7638, of a certificate's key; None for kinds that cannot sign for ACME. Equal for equal keys."""
    if isinstance(key, rsa.RSAPublicKey):
        return bytes(JWKRSA(key=key).thumbprint())
    return bytes(JWKEC(key=key).thumbprint()) if isinstance(key, ec.EllipticCurvePublicKey) else None


def _protected(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(decode_b64jose(text))
    except (JoseError, ValueError):
        raise Problem("malformed", "the protected header cannot be read") from None
    if not isinstance(value, dict):
        raise Problem("malformed", "the protected header is not a JSON object")
    return value
