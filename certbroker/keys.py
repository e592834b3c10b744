"""Private keys, signing requests, and PEM to facts. The one room that reads and writes key material in the clear."""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID, NameOID

from certbroker.errors import BadMaterial
from certbroker.model import KeyType, Lifetime
from certbroker.names import covers, is_address
from certbroker.secret import Secret

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CURVES: Final[dict[KeyType, ec.EllipticCurve]] = {KeyType.P256: ec.SECP256R1(), KeyType.P384: ec.SECP384R1()}
_SIZES: Final = {KeyType.RSA2048: 2048, KeyType.RSA3072: 3072, KeyType.RSA4096: 4096}
UNREADABLE: Final = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` raises at a certificate that somebody made wrong on purpose: at once, or when a part of it is looked at."""

LONGEST_NAME: Final = 120
"""Characters of a foreign name that are shown."""

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


def generate(key_type: KeyType) -> Secret:
    """A new private key as unencrypted PKCS#8 PEM."""
    if key_type in _CURVES:
        return pkcs8(ec.generate_private_key(_CURVES[key_type]))
    return pkcs8(rsa.generate_private_key(public_exponent=65537, key_size=_SIZES[key_type]))


def pkcs8(key: PrivateKey) -> Secret:
    """`key` as unencrypted PKCS#8 PEM, the only form we store and send."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Secret(pem.decode())


def load_key(pem: Secret, *, what: str = "the private key", passphrase: Secret | None = None) -> PrivateKey:
    """Read a PEM private key (PKCS#8, PKCS#1 or SEC1).

    Raises:
        BadMaterial: it is no key, needs a passphrase, or is of a kind we do not support. Never quotes it.
    """
    try:
        key = serialization.load_pem_private_key(
            pem.reveal().encode(), passphrase.reveal().encode() if passphrase else None
        )
    except TypeError:
        if passphrase is None:
            raise BadMaterial(
                f"{what} is protected by a passphrase", hint="decrypt it first: openssl pkey -in KEY -out PLAIN"
            ) from None
        raise BadMaterial(f"{what} is not protected by a passphrase, but one was given") from None
    except (ValueError, UnicodeError):
        with_it = " with this passphrase" if passphrase else ""
        raise BadMaterial(f"{what} is not a readable PEM private key{with_it}") from None
    except UnsupportedAlgorithm:
        raise BadMaterial(f"{what} is of a kind that cannot be used") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise BadMaterial(f"{what} is neither ECDSA nor RSA")
    key_type_of(key, what=what)
    return key


def key_type_of(key: object, *, what: str = "the key") -> KeyType:
    """The type of a private or public key. Raises BadMaterial if it is none of ours."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        for key_type, curve in _CURVES.items():
            if key.curve.name == curve.name:
                return key_type
        raise BadMaterial(f"{what} uses the curve {key.curve.name}; P-256 and P-384 are supported")
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        for key_type, size in _SIZES.items():
            if key.key_size == size:
                return key_type
        raise BadMaterial(f"{what} is RSA with {key.key_size} bits; 2048, 3072 and 4096 are supported")
    raise BadMaterial(f"{what} is neither ECDSA nor RSA")


def signing_request(key: Secret, names: Sequence[str]) -> bytes:
    """A PEM certificate signing request: empty subject, `names` (DNS names and IP addresses) as SAN, SHA-256."""
    san = x509.SubjectAlternativeName([general_name(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(san, critical=False)
    return builder.sign(load_key(key), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def general_name(name: str) -> x509.DNSName | x509.IPAddress:
    """A name as we keep it, as a SAN has it (RFC 5280 section 4.2.1.6)."""
    return x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name)


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """What its SAN names, in the form that we keep: DNS names, then IP addresses; empty if it has none.

    An address that is written as a DNS name is none (RFC 9110 section 4.3.5). Raises ValueError if the SAN cannot be read.
    """
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = [name for name in map(str.lower, san.get_values_for_type(x509.DNSName)) if not is_address(name)]
    return (*names, *map(str, san.get_values_for_type(x509.IPAddress)))


def read_chain(pem: str, *, what: str = "the chain") -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM text, in its order. Raises BadMaterial if there is none or one cannot be read."""
    blocks = _CERTIFICATE.findall(pem)
    if not blocks or pem.count("-----BEGIN CERTIFICATE-----") != len(blocks):
        raise BadMaterial(f"{what} is not a PEM certificate chain")
    try:
        return tuple(x509.load_pem_x509_certificate(block.encode()) for block in blocks)
    except UNREADABLE:
        raise BadMaterial(f"{what} holds a certificate that cannot be read") from None


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER, lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a leaf certificate says. `issued_by` is the issuer's common name (or its whole name if it has none)."""

    fingerprint: str
    serial: int
    names: tuple[str, ...]
    lifetime: Lifetime
    issued_by: str
    key_type: KeyType
    authority_key_id: bytes | None
    key_id: str
    """SHA-256 of the SubjectPublicKeyInfo, hex."""


def leaf_facts(certificate: x509.Certificate) -> Leaf:
    """Raises BadMaterial if it has no names, a key type we do not support, or cannot be read."""
    try:
        return _leaf_facts(certificate)
    except UNREADABLE:
        raise BadMaterial("the certificate cannot be read") from None


def _leaf_facts(certificate: x509.Certificate) -> Leaf:
    try:
        names = names_of(certificate)
    except ValueError:
        names = ()
    if not names:
        raise BadMaterial("the certificate names neither a DNS name nor an IP address in its SAN")
    if not all(name.isascii() and name.isprintable() for name in names):
        raise BadMaterial("the certificate names something in its SAN that is no DNS name")
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_KEY_IDENTIFIER).value
        authority = extension.key_identifier if isinstance(extension, x509.AuthorityKeyIdentifier) else None
    except x509.ExtensionNotFound:
        authority = None
    lifetime = Lifetime(certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    issued_by = common_name(certificate.issuer)
    key_type = key_type_of(certificate.public_key(), what="the certificate's key")
    return Leaf(
        fingerprint=fingerprint(certificate),
        serial=certificate.serial_number,
        names=names,
        lifetime=lifetime,
        issued_by=issued_by,
        key_type=key_type,
        authority_key_id=authority,
        key_id=key_id(certificate.public_key()),
    )


def common_name(name: x509.Name) -> str:
    """The CN, or the whole name as RFC 4514 text; nothing in it that a terminal would obey. Raises ValueError if it cannot be read."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = str(found[0].value) if found else name.rfc4514_string()
    return "".join(sign if sign.isprintable() else " " for sign in text[:LONGEST_NAME])


def _subject(certificate: x509.Certificate, otherwise: str) -> str:
    try:
        return common_name(certificate.subject) or otherwise
    except UNREADABLE:
        return otherwise


def check_pair(chain_pem: str, key_pem: Secret, names: Sequence[str], now: datetime) -> Leaf:
    """Refuse what must never reach a target; return the leaf's facts.

    Checks: the chain parses; leaf first, each certificate signed by the next; no self-signed root at its end beyond the
    leaf; the leaf is valid now; every one of `names` is covered; the key belongs to the leaf.

    Raises:
        BadMaterial: the first thing that is wrong, in words.
    """
    chain = read_chain(chain_pem)
    if _is_ca(chain[0]) and len(chain) > 1:
        raise BadMaterial("the chain is in the wrong order: it begins with a CA certificate, the leaf must come first")
    leaf = leaf_facts(chain[0])
    for position, (lower, upper) in enumerate(itertools.pairwise(chain), start=1):
        try:
            lower.verify_directly_issued_by(upper)
        except UNREADABLE:
            raise BadMaterial(
                f"the chain is in the wrong order: certificate {position} ({_subject(lower, 'the leaf')}) "
                f"is not signed by certificate {position + 1} ({_subject(upper, 'nameless')})"
            ) from None
    if now < leaf.lifetime.starts:
        raise BadMaterial(f"the certificate is not valid before {leaf.lifetime.starts:%Y-%m-%d %H:%M} UTC")
    if now >= leaf.lifetime.ends:
        raise BadMaterial(f"the certificate expired on {leaf.lifetime.ends:%Y-%m-%d %H:%M} UTC")
    uncovered = [name for name in names if not any(covers(pattern, name) for pattern in leaf.names)]
    if uncovered:
        raise BadMaterial(f"the certificate does not cover {', '.join(uncovered)}")
    if public_bytes(load_key(key_pem).public_key()) != public_bytes(chain[0].public_key()):
        raise BadMaterial("the private key does not belong to the certificate")
    return leaf


def public_bytes(key: object) -> bytes:
    """SubjectPublicKeyInfo, DER: equal for equal keys."""
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise BadMaterial("the key is neither ECDSA nor RSA")
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(public_key: object) -> str:
    """SHA-256 of the SubjectPublicKeyInfo, hex: two keys with one id are one key."""
    return hashlib.sha256(public_bytes(public_key)).hexdigest()


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False
