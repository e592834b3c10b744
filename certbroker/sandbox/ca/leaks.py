"""Looks for private key material in what a client sends. No request of the protocol ever has a place for any."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any, Final

PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Of a JWK (RFC 7518 6.2.2, 6.3.2, 6.4.1)."""
PEM: Final = "PRIVATE KEY-----"


def find(body: bytes, where: str = "body") -> Iterator[str]:
    """What is wrong in a request body and where, in words that do not repeat it. JWS inside JWS are opened."""
    try:
        value = json.loads(body)
    except ValueError:
        if PEM.encode() in body:
            yield f"{where}: a PEM private key"
        return
    yield from _walk(value, where)


def _walk(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _walk(item, where)
    elif isinstance(value, dict):
        if "kty" in value and (private := sorted(PRIVATE_MEMBERS & set(value))):
            yield f"{where}: a JWK with {', '.join(private)}"
        for key, item in value.items():
            yield from _walk(item, f"{where}.{key}")
    elif isinstance(value, str):
        try:
            inner = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        except (binascii.Error, ValueError):
            inner = b""
        if PEM in value:
            yield f"{where}: a PEM private key"
        elif inner:
            yield from find(inner, where)
