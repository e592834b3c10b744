"""How the Fastly simulator reads what is uploaded to it: keys and chains."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from certbroker.secret import Secret
from certbroker_fastly.estate import Refusal

_DER = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
_PEM = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class ReadKey:
    """A usable private key. `kind` is "RSA" or "EC"."""

    kind: str
    length: int
    sha1: str
    public: bytes
    pem: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReadChain:
    """A usable chain."""

    leaf: x509.Certificate
    last: x509.Certificate
    names: tuple[str, ...]
    public: bytes


def read_key(text: Any) -> ReadKey:
    """RSA 2048, P-256 and P-384, unencrypted. Raises Refusal."""
    title = "Can't create private key"
    if not isinstance(text, str) or not text:
        raise Refusal(title, "sim: key can't be blank")
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Refusal(title, "sim: key is not an unencrypted PEM private key") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size == 2048:
        kind, length = "RSA", 2048
    elif isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in ("secp256r1", "secp384r1"):
        kind, length = "EC", key.curve.key_size
    else:
        raise Refusal(title, "sim: key must be RSA 2048, ECDSA 256 or ECDSA 384")
    public = key.public_key()
    sha1 = hashlib.sha1(public.public_bytes(*_PEM), usedforsecurity=False).hexdigest()
    return ReadKey(kind, length, sha1, public.public_bytes(*_DER), Secret(text))


def read_chain(text: Any, now: datetime, *, dates: bool) -> ReadChain:
    """Leaf first, each signed by the next. `dates`: it must be valid now. Raises Refusal."""
    title = "Can't create certificate"
    if not isinstance(text, str) or not text:
        raise Refusal(title, "sim: cert_blob can't be blank")
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise Refusal(title, "sim: cert_blob is not PEM") from None
    leaf = chain[0]
    names = san(leaf)
    if not names:
        raise Refusal(title, "need at least one DNS name, got none", 400)
    for lower, upper in itertools.pairwise(chain):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            raise Refusal(title, "sim: the chain is broken") from None
    if dates and not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        raise Refusal(title, "sim: the certificate is expired or not yet valid")
    return ReadChain(leaf, chain[-1], names, leaf.public_key().public_bytes(*_DER))


def reaches(last: x509.Certificate, roots: Sequence[x509.Certificate]) -> bool:
    """Whether the end of a chain is one of `roots` or signed by one."""
    for root in roots:
        try:
            last.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def san(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))


def common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def signature_algorithm(certificate: x509.Certificate) -> str:
    """As Go's x509 calls it."""
    digest = (certificate.signature_hash_algorithm.name if certificate.signature_hash_algorithm else "").upper()
    elliptic = "ecdsa" in (certificate.signature_algorithm_oid._name or "").lower()
    return f"ECDSA-{digest}" if elliptic else f"{digest}-RSA"
