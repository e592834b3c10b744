"""PKCS#12 (RFC 7292): `.p12`, `.pfx`."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from certbroker import keys
from certbroker.errors import BadMaterial
from certbroker.secret import Secret


def read_pkcs12(shown: str, content: bytes, passphrase: Secret | None) -> tuple[tuple[x509.Certificate, ...], Secret]:
    """Its certificates and its private key, as PKCS#8 PEM. Raises BadMaterial."""
    try:
        found = pkcs12.load_pkcs12(content, passphrase.reveal().encode() if passphrase else None)
    except UnsupportedAlgorithm:
        raise BadMaterial(f"{shown} is protected in a way that cannot be read here") from None
    except (ValueError, TypeError):
        if passphrase is None:
            hint = "if it has a passphrase: --passphrase-env NAME names the variable that holds it"
            raise BadMaterial(f"{shown} is no PKCS#12 that opens without a passphrase", hint=hint) from None
        raise BadMaterial(f"{shown} is no PKCS#12 that this passphrase opens") from None
    if found.key is None:
        raise BadMaterial(f"there is no private key in {shown}")
    pem = found.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = keys.pkcs8(keys.load_key(Secret(pem.decode()), what=f"the private key in {shown}"))
    own = [found.cert.certificate] if found.cert else []
    return (*own, *(each.certificate for each in found.additional_certs)), key
