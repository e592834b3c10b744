"""Bundles to try an adapter with, made by a toy CA in memory; and bad ones, to see them refused.

Every certificate says NOT TRUSTED. The leaves look as a public CA's do today: empty subject, critical SAN, signed by an
intermediate; the chain is leaf plus intermediate, without the root.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certbroker import keys
from certbroker.model import Assignment, Bundle, KeyType, Lifetime, Version
from certbroker.secret import Secret

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

NOW: Final = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
"""When the toys are made, unless told otherwise."""

LIFETIME: Final = timedelta(days=45)
BACKDATED: Final = timedelta(hours=1)
"""A certificate is valid a little before it is issued, for clocks that are slow."""


@dataclass(frozen=True, slots=True)
class ToyCA:
    """A root and an intermediate that nobody trusts. Its keys live in this object alone."""

    root: x509.Certificate
    intermediate: x509.Certificate
    _key: keys.PrivateKey = field(repr=False)
    """The intermediate's."""

    @property
    def root_pem(self) -> str:
        return _pem(self.root)

    @property
    def intermediate_pem(self) -> str:
        return _pem(self.intermediate)

    def sign(self, public_key: PublicKey, names: Sequence[str], lifetime: Lifetime) -> x509.Certificate:
        """A leaf for `names`."""
        return _sign(
            public_key=public_key,
            subject=x509.Name([]),
            issuer=self.intermediate.subject,
            signer=self._key,
            lifetime=lifetime,
            extensions=[
                (x509.BasicConstraints(ca=False, path_length=None), True),
                (x509.SubjectAlternativeName([keys.general_name(name) for name in names]), True),
                (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
                (_usage(ca=False), True),
            ],
        )


def make_ca(*, now: datetime = NOW, name: str = "certbroker toy") -> ToyCA:
    """A new CA, good for ten years. `name` becomes part of the common names, beside NOT TRUSTED."""
    life = Lifetime(now - timedelta(days=1), now + timedelta(days=3650))
    root_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    top, middle = _named(f"{name} root NOT TRUSTED"), _named(f"{name} R1 NOT TRUSTED")
    root = _sign(
        public_key=root_key.public_key(),
        subject=top,
        issuer=top,
        signer=root_key,
        lifetime=life,
        extensions=[(x509.BasicConstraints(ca=True, path_length=None), True), (_usage(ca=True), True)],
    )
    intermediate = _sign(
        public_key=key.public_key(),
        subject=middle,
        issuer=top,
        signer=root_key,
        lifetime=life,
        extensions=[(x509.BasicConstraints(ca=True, path_length=0), True), (_usage(ca=True), True)],
    )
    return ToyCA(root, intermediate, key)


@functools.cache
def default_ca() -> ToyCA:
    """One CA for the whole process: `make_bundle` uses it when none is named."""
    return make_ca()


def make_bundle(
    names: Sequence[str],
    *,
    assignment: Assignment | None = None,
    certificate: str = "main",
    target: str = "place",
    key_type: KeyType = KeyType.P256,
    now: datetime = NOW,
    lifetime: timedelta = LIFETIME,
    ca: ToyCA | None = None,
    number: int = 1,
) -> Bundle:
    """Version `number` for `names`, as the core would hand it to a provider.

    Args:
        assignment: which names go to which target; by default all of `names`, to `target`.
        now: the moment of issue; it begins an hour before and ends `lifetime` after its beginning.
    """
    ca = ca or default_ca()
    key_pem = keys.generate(key_type)
    starts = now.replace(microsecond=0) - BACKDATED
    leaf = ca.sign(keys.load_key(key_pem).public_key(), names, Lifetime(starts, starts + lifetime))
    assignment = assignment or Assignment(certificate, target, tuple(names))
    version = Version(
        id=number,
        certificate=assignment.certificate,
        key_type=key_type,
        number=number,
        issuer="toy",
        profile=None,
        fingerprint=keys.fingerprint(leaf),
        serial=leaf.serial_number,
        issued_by=keys.common_name(leaf.issuer),
        names=tuple(names),
        lifetime=Lifetime(leaf.not_valid_before_utc, leaf.not_valid_after_utc),
        chain_pem=_pem(leaf) + ca.intermediate_pem,
        roots_pem=ca.root_pem,
        trusted=False,
    )
    return Bundle(assignment, version, key_pem)


# ---- bad ones --------------------------------------------------------------------------------------------------------


def with_wrong_key(bundle: Bundle) -> Bundle:
    """A key of the right type that belongs to another certificate."""
    return replace(bundle, key_pem=keys.generate(bundle.version.key_type))


def in_wrong_order(bundle: Bundle) -> Bundle:
    """The intermediate first, then the leaf. What `version` says of the leaf stays true."""
    return _with_chain(bundle, bundle.intermediates_pem + bundle.leaf_pem)


def without_intermediate(bundle: Bundle) -> Bundle:
    """The leaf alone."""
    return _with_chain(bundle, bundle.leaf_pem)


def with_strange_intermediate(bundle: Bundle, other: ToyCA) -> Bundle:
    """The leaf with an intermediate that did not sign it."""
    return _with_chain(bundle, bundle.leaf_pem + other.intermediate_pem)


def expired(names: Sequence[str], *, now: datetime = NOW, ca: ToyCA | None = None) -> Bundle:
    """It ended a day before `now`."""
    return make_bundle(names, now=now - LIFETIME - timedelta(days=1) + BACKDATED, ca=ca)


def not_yet_valid(names: Sequence[str], *, now: datetime = NOW, ca: ToyCA | None = None) -> Bundle:
    """It begins a day after `now`."""
    return make_bundle(names, now=now + timedelta(days=1) + BACKDATED, ca=ca)


def with_passphrase(key_pem: Secret, passphrase: str) -> Secret:
    """The key, encrypted (PKCS#8)."""
    wrapped = serialization.BestAvailableEncryption(passphrase.encode())
    return _written(key_pem, serialization.PrivateFormat.PKCS8, wrapped)


def in_old_form(key_pem: Secret) -> Secret:
    """The key as `BEGIN EC PRIVATE KEY` or `BEGIN RSA PRIVATE KEY` (SEC1, PKCS#1): right, but not what we send."""
    return _written(key_pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())


def _written(
    key_pem: Secret, form: serialization.PrivateFormat, encryption: serialization.KeySerializationEncryption
) -> Secret:
    key = keys.load_key(key_pem)
    return Secret(key.private_bytes(serialization.Encoding.PEM, form, encryption).decode())


def _with_chain(bundle: Bundle, chain_pem: str) -> Bundle:
    return replace(bundle, version=replace(bundle.version, chain_pem=chain_pem))


# ---- X.509 -----------------------------------------------------------------------------------------------------------


def _sign(
    *,
    public_key: PublicKey,
    subject: x509.Name,
    issuer: x509.Name,
    signer: keys.PrivateKey,
    lifetime: Lifetime,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(lifetime.starts)
        .not_valid_after(lifetime.ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, hashes.SHA256())


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
