"""The sandbox's keys and certificates: roots, intermediates, leaves. Keys live in memory and nowhere else.

Shaped like a public CA's (Let's Encrypt, "Generation Y"): an ECDSA and an RSA line, chains of two to four certificates, and
alternates that end in another root. Every CA certificate calls itself NOT TRUSTED.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certbroker import keys
from certbroker.world import Clock

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
Line = Literal["ECDSA", "RSA"]

LONGEST_COMMON_NAME: Final = 64
"""Characters (RFC 5280 ub-common-name); a longer first name is left out of the subject."""
CA_LIFE: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a certificate of this profile is like. Lifetimes may be shortened by tests."""

    name: str
    description: str
    lifetime: timedelta
    most_names: int
    common_name: bool
    """Also: subject key id, and key encipherment for RSA."""
    addresses: bool = False
    """It may name IP addresses."""


def profiles() -> dict[str, Profile]:
    """Let's Encrypt's three, by name; the first is the default."""
    return {
        profile.name: profile
        for profile in (
            Profile("classic", "90 days, with a common name", timedelta(days=90), 100, True),
            Profile("tlsserver", "45 days, nothing superfluous", timedelta(days=45), 25, False),
            Profile("shortlived", "160 hours, IP addresses too", timedelta(hours=160), 25, False, addresses=True),
        )
    }


@dataclass(frozen=True, slots=True)
class _Signer:
    """A CA certificate with its key."""

    certificate: x509.Certificate
    key: PrivateKey


class Authority:
    """Roots and intermediates, made at the first need, and the leaves that they sign.

    Args:
        chain_length: certificates in a served chain, 2 to 4: the leaf and so many intermediates less one.
        alternates: further chains, each ending in a root of its own.
    """

    def __init__(self, clock: Clock, rng: random.Random, *, chain_length: int = 2, alternates: int = 0) -> None:
        if not 2 <= chain_length <= 4:
            raise ValueError("a chain has 2 to 4 certificates")
        self._clock = clock
        self._rng = rng
        self._length = chain_length
        self._roots = [self._self_signed(f"root X{number}") for number in range(1, alternates + 2)]
        self._lines: dict[Line, list[list[_Signer]]] = {}

    @property
    def roots_pem(self) -> str:
        """Every root, the default chain's first."""
        return "".join(self.root_pem(number) for number in range(len(self._roots)))

    def root_pem(self, number: int = 0) -> str:
        """One root: 0 ends the default chain, 1 the first alternate."""
        return to_pem([self._roots[number].certificate])

    def issue(self, key: PublicKey, names: Sequence[str], profile: Profile) -> x509.Certificate:
        """A leaf for `key`. Its life began a little before now, as public CAs backdate, and counts from there."""
        signer = self._line(key)[0][0]
        starts = self._clock.now().replace(microsecond=0) - min(timedelta(hours=1), profile.lifetime / 24)
        subject = names[0] if profile.common_name and len(names[0]) <= LONGEST_COMMON_NAME else None
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject) if subject else x509.Name([]))
            .issuer_name(signer.certificate.subject)
            .public_key(key)
            .serial_number(self._serial())
            .not_valid_before(starts)
            .not_valid_after(starts + profile.lifetime - timedelta(seconds=1))
            .add_extension(_usage(key_encipherment=profile.common_name and isinstance(key, rsa.RSAPublicKey)), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
            .add_extension(_authority_key_id(signer.certificate), False)
            # critical exactly when the subject is empty (RFC 5280 4.2.1.6)
            .add_extension(x509.SubjectAlternativeName([keys.general_name(name) for name in names]), subject is None)
        )
        if profile.common_name:
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
        return builder.sign(signer.key, hashes.SHA256())

    def chains(self, leaf: x509.Certificate) -> list[list[x509.Certificate]]:
        """Leaf first, no root: the default chain, then the alternates."""
        key = leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
        return [[leaf, *(signer.certificate for signer in path)] for path in self._line(key)]

    def _line(self, key: PublicKey) -> list[list[_Signer]]:
        """The intermediates for leaves with such a key, per root, lowest first. All share keys; the topmost is cross-signed."""
        kind: Line = "RSA" if isinstance(key, rsa.RSAPublicKey) else "ECDSA"
        if kind not in self._lines:
            self._lines[kind] = self._make_line(kind)
        return self._lines[kind]

    def _make_line(self, kind: Line) -> list[list[_Signer]]:
        keys: list[PrivateKey] = [_new_key(kind) for _ in range(self._length - 1)]
        labels = [f"{kind} intermediate Y{number}" for number in range(1, self._length)]
        tops = [_Signer(self._signed(labels[-1], keys[-1], root), keys[-1]) for root in self._roots]
        path: list[_Signer] = []
        above = tops[0]
        for label, key in reversed(list(zip(labels[:-1], keys[:-1], strict=True))):
            above = _Signer(self._signed(label, key, above), key)
            path.insert(0, above)
        return [[*path, top] for top in tops]

    def _self_signed(self, label: str) -> _Signer:
        key = _new_key("ECDSA")
        return _Signer(self._signed(label, key, None), key)

    def _signed(self, label: str, key: PrivateKey, signer: _Signer | None) -> x509.Certificate:
        subject = _name(f"certbroker sandbox {label} NOT TRUSTED")
        starts = self._clock.now().replace(microsecond=0) - timedelta(days=30)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer.certificate.subject if signer else subject)
            .public_key(key.public_key())
            .serial_number(self._serial())
            .not_valid_before(starts)
            .not_valid_after(starts + CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .add_extension(_usage(authority=True), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )
        if signer:
            builder = builder.add_extension(_authority_key_id(signer.certificate), False)
        return builder.sign(signer.key if signer else key, hashes.SHA256())

    def _serial(self) -> int:
        return self._rng.getrandbits(127) | 1 << 126


def to_pem(certificates: Sequence[x509.Certificate]) -> str:
    return "".join(certificate.public_bytes(serialization.Encoding.PEM).decode() for certificate in certificates)


def authority_key_id(leaf: x509.Certificate) -> bytes:
    """Of a certificate that has one; ours do."""
    return leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier or b""


def _new_key(kind: Line) -> PrivateKey:
    if kind == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _authority_key_id(signer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _usage(*, authority: bool = False, key_encipherment: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=key_encipherment,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
