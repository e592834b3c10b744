"""Key material that must be refused, each with its own words; and what those words never hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from certbroker import keys
from certbroker.errors import BadMaterial
from certbroker.model import Bundle, KeyType
from certbroker.secret import Secret
from certbroker.testkit.bundles import NOW, default_ca, make_bundle

NAMES = ("example.com", "*.example.com")
GOOD = make_bundle(NAMES)
OTHER = make_bundle(NAMES)


def blocks(bundle: Bundle) -> list[str]:
    found = bundle.version.chain_pem.split("-----END CERTIFICATE-----\n")
    return [f"{block}-----END CERTIFICATE-----\n" for block in found if block.strip()]


def refused(chain: str, key: Secret = GOOD.key_pem, names: tuple[str, ...] = NAMES, *, days: float = 0) -> BadMaterial:
    with pytest.raises(BadMaterial) as caught:
        keys.check_pair(chain, key, names, NOW + timedelta(days=days))
    assert not any(line in repr(caught.value) for line in key.reveal().splitlines() if len(line) > 12)
    return caught.value


def test_a_good_pair_tells_its_facts() -> None:
    leaf = keys.check_pair(GOOD.version.chain_pem, GOOD.key_pem, NAMES, NOW)
    assert leaf.fingerprint == GOOD.version.fingerprint
    assert set(leaf.names) == set(NAMES)
    assert leaf.key_type is KeyType.P256


def test_addresses_are_asked_for_and_read_as_addresses() -> None:
    names = ("example.com", "192.0.2.1", "2001:db8::1")
    request = x509.load_pem_x509_csr(keys.signing_request(GOOD.key_pem, names))
    san = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == ["example.com"]
    assert [str(address) for address in san.get_values_for_type(x509.IPAddress)] == ["192.0.2.1", "2001:db8::1"]
    made = make_bundle(names)
    assert keys.check_pair(made.version.chain_pem, made.key_pem, names, NOW).names == names
    assert refused(GOOD.version.chain_pem, names=("192.0.2.1",)).what == "the certificate does not cover 192.0.2.1"


def test_a_key_of_another_certificate() -> None:
    assert "the private key does not belong to the certificate" in refused(GOOD.version.chain_pem, OTHER.key_pem).what


def test_the_intermediate_first() -> None:
    leaf, intermediate = blocks(GOOD)
    told = refused(intermediate + leaf).what
    assert "wrong order" in told


def test_an_intermediate_that_signed_something_else() -> None:
    leaf, intermediate = blocks(GOOD)
    told = refused(leaf + default_ca().root_pem + intermediate).what
    assert "certificate 1" in told
    assert "is not signed by certificate 2" in told


@pytest.mark.parametrize(("days", "told"), [(45.5, "expired on 2027-01-07"), (-1, "is not valid before 2026-11-23")])
def test_out_of_its_time(days: float, told: str) -> None:
    assert told in refused(GOOD.version.chain_pem, days=days).what


def test_names_that_it_does_not_cover_are_named() -> None:
    told = refused(GOOD.version.chain_pem, names=("example.com", "a.b.example.com", "example.net")).what
    assert told == "the certificate does not cover a.b.example.com, example.net"


@pytest.mark.parametrize(
    "chain",
    [
        "",
        "not a chain",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        GOOD.version.chain_pem[:-40],
        GOOD.version.chain_pem.replace("M", "\x00", 1),
        "<html>502 Bad Gateway</html>",
    ],
)
def test_what_is_no_chain(chain: str) -> None:
    refused(chain)


def pem(key: object, kind: serialization.PrivateFormat, passphrase: str = "") -> Secret:
    protection = (
        serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    )
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey)
    return Secret(key.private_bytes(serialization.Encoding.PEM, kind, protection).decode())


def test_a_key_with_a_passphrase_says_how_to_take_it_off() -> None:
    locked = pem(keys.load_key(GOOD.key_pem), serialization.PrivateFormat.PKCS8, "open sesame")
    caught = refused(GOOD.version.chain_pem, locked)
    assert "is protected by a passphrase" in caught.what
    assert "openssl pkey" in (caught.hint or "")
    assert keys.load_key(locked, passphrase=Secret("open sesame"))
    with pytest.raises(BadMaterial, match="is not a readable PEM private key") as caught_wrong:
        keys.load_key(locked, passphrase=Secret("open barley"))
    assert "barley" not in repr(caught_wrong.value)
    with pytest.raises(BadMaterial, match="is not protected by a passphrase, but one was given"):
        keys.load_key(GOOD.key_pem, passphrase=Secret("open sesame"))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Secret("garbage"), "is not a readable PEM private key"),
        (lambda: Secret(GOOD.key_pem.reveal()[:-60]), "is not a readable PEM private key"),
        (lambda: Secret(GOOD.version.chain_pem), "is not a readable PEM private key"),
        (lambda: Secret("\udcff"), "is not a readable PEM private key"),
        (lambda: pem(ed25519.Ed25519PrivateKey.generate(), serialization.PrivateFormat.PKCS8), "neither ECDSA nor RSA"),
        (
            lambda: pem(ec.generate_private_key(ec.SECP521R1()), serialization.PrivateFormat.PKCS8),
            "uses the curve secp521r1; P-256 and P-384 are supported",
        ),
        (
            lambda: pem(rsa.generate_private_key(65537, 1024), serialization.PrivateFormat.PKCS8),
            "is RSA with 1024 bits; 2048, 3072 and 4096 are supported",
        ),
    ],
)
def test_what_is_no_key_of_ours(make: Callable[[], Secret], told: str) -> None:
    with pytest.raises(BadMaterial, match=told):
        keys.load_key(make(), what="the key of main")


@pytest.mark.parametrize("kind", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_every_usual_form_of_a_key_is_read_and_leaves_as_pkcs8(kind: serialization.PrivateFormat) -> None:
    key = keys.load_key(GOOD.key_pem)
    assert keys.pkcs8(keys.load_key(pem(key, kind))) == GOOD.key_pem
