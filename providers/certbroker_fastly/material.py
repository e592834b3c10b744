"""What is uploaded: how Fastly recognises a key, and the chain as it wants it."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certbroker import keys
from certbroker.model import Bundle, Version


def public_key_sha1(bundle: Bundle) -> str:
    """As Fastly computes it: over the PEM text of the public key, with its final newline; not over the DER."""
    public = keys.read_chain(bundle.leaf_pem)[0].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha1(pem, usedforsecurity=False).hexdigest()


def blob(version: Version, *, with_root: bool) -> str:
    """Leaf and intermediates in one text; the root too, if we know it, where Fastly is asked to take an untrusted one."""
    return version.chain_pem + _root(version) if with_root else version.chain_pem


def _root(version: Version) -> str:
    last = keys.read_chain(version.chain_pem)[-1]
    for root in keys.read_chain(version.roots_pem) if version.roots_pem else ():
        if _signed(last, root):
            return root.public_bytes(Encoding.PEM).decode()
    return ""


def _signed(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
