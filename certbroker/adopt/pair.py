"""One private key and the certificates that were found with it, put in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certbroker import keys
from certbroker.errors import BadMaterial
from certbroker.secret import Secret

LONGEST: Final = 10
"""Certificates of a chain, the leaf included; public CAs have three or four."""


@dataclass(frozen=True, slots=True)
class Pair:
    """`kind` and `where` tell people where it was found."""

    kind: str
    where: str
    chain_pem: str
    """Leaf first, each signed by the next, as far as they were found; perhaps with the root."""
    key: Secret
    """Unencrypted PKCS#8 PEM."""
    left_out: int = 0
    """Certificates that do not belong to the chain."""


def put_together(kind: str, where: str, certificates: Sequence[x509.Certificate], key: Secret) -> Pair:
    """Find the leaf by its key, then whoever signed it, and so on up: programs differ in the order they write.

    Raises:
        BadMaterial: the key belongs to none of them, or to several.
    """
    own = keys.public_bytes(keys.load_key(key).public_key())
    rest = list({keys.fingerprint(each): each for each in certificates}.values())
    leaves = [each for each in rest if _public_bytes(each) == own]
    if not leaves:
        raise BadMaterial(f"the private key does not belong to the certificate in {where}")
    if len(leaves) > 1:
        raise BadMaterial(f"{len(leaves)} certificates in {where} belong to the private key: leave the one to import")
    chain = leaves
    rest.remove(leaves[0])
    while len(chain) < LONGEST and (above := next((each for each in rest if _signed(chain[-1], each)), None)):
        chain.append(above)
        rest.remove(above)
    pem = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain)
    return Pair(kind, where, pem.decode(), key, len(rest))


def _public_bytes(certificate: x509.Certificate) -> bytes | None:
    try:
        return keys.public_bytes(certificate.public_key())
    except (BadMaterial, *keys.UNREADABLE):
        return None


def _signed(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except keys.UNREADABLE:
        return False
    return True
