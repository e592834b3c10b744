"""Looks for private key material in what a client sends. No request of the protocol ever has a place for any.

By its form: PEM, DER, a JWK with private members; in JSON, in JWS inside JWS, in base64 and hex of any of them. By its value: a bare
number has no form, but whoever knows the public key can tell whether it is the private one, and a CA knows it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from certbroker.testkit.simulator import Request

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Of a JWK (RFC 7518 6.2.2, 6.3.2, 6.4.1)."""
KEY_MEMBERS: Final = frozenset({"kty", "crv", "x", "y", "n", "e", "key_ops", "use"})
"""Each makes a JWK of what stands beside it."""
PEM: Final = re.compile(rb"-----BEGIN[ +%20A-Z0-9]*PRIVATE[ +%20]+KEY")
_JWK: Final = re.compile(rb"""\\*["'](?:d|p|q|dp|dq|qi|k)\\*["']\s*:\s*\\*["'][A-Za-z0-9_-]{16}""")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_\-\s]+={0,2}\s*")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2}[:\s]?){16,}")
LONGEST: Final = 20
"""Levels of one dress over the other."""


@dataclass(frozen=True)
class Known:
    """What is to be recognized without any form: the other half of these keys, and these secrets."""

    keys: Sequence[PublicKey] = ()
    secrets: Sequence[bytes] = field(default=(), repr=False)


def anywhere(request: Request, known: Known = Known()) -> Iterator[str]:
    """What is wrong in a whole request, and where: its body, address and headers."""
    yield from find(request.body, known=known)
    for part in request.path.split("/"):
        yield from _text(part, "path", known, 0)
    for name, value in [*request.query, *request.headers.items()]:
        yield from _text(value, name, known, 0)


def find(body: bytes, where: str = "body", known: Known = Known()) -> Iterator[str]:
    """What is wrong in a request body and where, in words that do not repeat it. JWS inside JWS are opened."""
    yield from _bytes(body, where, known, 0)


def _bytes(data: bytes, where: str, known: Known, level: int) -> Iterator[str]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict | list | str):
        yield from _walk(value, where, known, level)
    elif PEM.search(data):
        yield f"{where}: a PEM private key"
    elif _JWK.search(data):
        yield f"{where}: a JWK with private members"
    elif data[:1] == b"\x30" and _is_der(data):
        yield f"{where}: a DER private key"
    elif any(secret in data for secret in known.secrets):
        yield f"{where}: a secret that client and CA share"
    elif any(_is_half(data, key) for key in known.keys):
        yield f"{where}: the private half of a key"


def _walk(value: Any, where: str, known: Known, level: int) -> Iterator[str]:
    if level > LONGEST:
        return
    if isinstance(value, list):
        if value and all(isinstance(item, int) and 0 <= item < 256 for item in value):
            yield from _bytes(bytes(value), where, known, level + 1)
        for item in value:
            yield from _walk(item, where, known, level)
    elif isinstance(value, dict):
        if KEY_MEMBERS & set(value) and (private := sorted(PRIVATE_MEMBERS & set(value))):
            yield f"{where}: a JWK with {', '.join(private)}"
            return
        for key, item in value.items():
            yield from _text(key, f"{where}: a name", known, level)
            yield from _walk(item, f"{where}.{key}", known, level)
    elif isinstance(value, str):
        yield from _text(value, where, known, level)
    elif isinstance(value, int) and value.bit_length() > 128:
        yield from _bytes(value.to_bytes(value.bit_length() // 8 + 1, "big"), where, known, level + 1)


def _text(text: str, where: str, known: Known, level: int) -> Iterator[str]:
    if level > LONGEST:
        return
    plain = text.encode("utf-8", "replace")
    if PEM.search(plain):
        yield f"{where}: a PEM private key"
        return
    if any(secret in plain for secret in known.secrets):
        yield f"{where}: a secret that client and CA share"
        return
    if _JWK.search(plain):
        yield f"{where}: a JWK with private members"
        return
    if text.lstrip()[:1] in ("{", "[", '"'):
        yield from _bytes(plain, where, known, level + 1)
    for piece in text.split("."):  # a compact JWS has three
        for inner in _undressed(piece):
            yield from _bytes(inner, where, known, level + 1)


def _undressed(text: str) -> Iterator[bytes]:
    """What it is the base64 (of either alphabet, padded or not, on several lines) or the hex of."""
    if _BASE64.fullmatch(text):
        bare = "".join(text.split()).rstrip("=").replace("+", "-").replace("/", "_")
        with contextlib.suppress(binascii.Error, ValueError):
            yield base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    if _HEX.fullmatch(text):
        yield bytes.fromhex(re.sub(r"[:\s]", "", text))


def _is_der(data: bytes) -> bool:
    try:
        load_der_private_key(data, None)
    except TypeError:  # with a passphrase, but a private key
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _is_half(data: bytes, public: PublicKey) -> bool:
    """Whether `data` is the private scalar, exponent or one of the factors of this key, as a big-endian number."""
    number = int.from_bytes(data, "big")
    if isinstance(public, ec.EllipticCurvePublicKey):
        size = (public.curve.key_size + 7) // 8
        if not size - 2 <= len(data) <= size + 1:
            return False
        try:
            private = ec.derive_private_key(number, public.curve)
        except ValueError:
            return False
        return private.public_key() == public
    numbers = public.public_numbers()
    size = (public.key_size + 7) // 8
    if size // 2 - 2 <= len(data) <= size // 2 + 1:
        return 1 < number < numbers.n and numbers.n % number == 0
    if size - 4 <= len(data) <= size + 1:
        return pow(pow(2, numbers.e, numbers.n), number, numbers.n) == 2
    return False
