"""The toy bundles are what a public CA would have issued, but for the trust; the bad ones are bad in one way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from certbroker import keys
from certbroker.errors import BadMaterial
from certbroker.model import Bundle, KeyType
from certbroker.secret import Secret
from certbroker.testkit import bundles
from certbroker.testkit.bundles import NOW, make_bundle, make_ca

NAMES = ("example.com", "*.example.com")


@pytest.mark.parametrize("key_type", KeyType)
def test_a_bundle_is_what_the_core_hands_to_a_provider(key_type: KeyType) -> None:
    made = make_bundle(NAMES, key_type=key_type)
    leaf = keys.check_pair(made.version.chain_pem, made.key_pem, NAMES, NOW)
    assert (leaf.fingerprint, leaf.serial, leaf.names) == (made.fingerprint, made.version.serial, NAMES)
    assert (leaf.key_type, leaf.lifetime, leaf.issued_by) == (key_type, made.version.lifetime, made.version.issued_by)
    assert made.version.lifetime.length == bundles.LIFETIME
    assert made.leaf_pem + made.intermediates_pem == made.version.chain_pem


def test_its_chain_ends_in_its_own_root_and_in_no_other() -> None:
    made, ca = make_bundle(NAMES), bundles.default_ca()
    chain = keys.read_chain(made.version.chain_pem)
    judge = PolicyBuilder().store(Store([ca.root])).time(NOW).build_server_verifier(x509.DNSName("www.example.com"))
    assert judge.verify(chain[0], list(chain[1:]))[-1] == ca.root
    other = PolicyBuilder().store(Store([make_ca().root])).time(NOW)
    with pytest.raises(x509.verification.VerificationError):
        other.build_server_verifier(x509.DNSName("www.example.com")).verify(chain[0], list(chain[1:]))


def test_it_looks_as_public_certificates_do_today_and_says_not_trusted() -> None:
    leaf, intermediate = keys.read_chain(make_bundle(NAMES).version.chain_pem)
    assert list(leaf.subject) == []
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert "NOT TRUSTED" in keys.common_name(leaf.issuer)
    assert "NOT TRUSTED" in keys.common_name(intermediate.issuer)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (bundles.with_wrong_key(make_bundle(NAMES)), "does not belong"),
        (bundles.in_wrong_order(make_bundle(NAMES)), "wrong order"),
        (bundles.with_strange_intermediate(make_bundle(NAMES), make_ca(name="other")), "is not signed by"),
        (bundles.expired(NAMES), "expired on 2026-11-22"),
        (bundles.not_yet_valid(NAMES), "not valid before 2026-11-24"),
        (make_bundle(["example.org"]), "does not cover"),
    ],
    ids=["key", "order", "intermediate", "expired", "early", "names"],
)
def test_a_bad_one_is_refused_for_its_one_fault(bad: Bundle, says: str) -> None:
    with pytest.raises(BadMaterial, match=says):
        keys.check_pair(bad.version.chain_pem, bad.key_pem, NAMES, NOW)


def test_a_leaf_alone_has_no_intermediates() -> None:
    alone = bundles.without_intermediate(make_bundle(NAMES))
    assert alone.intermediates_pem == ""
    assert len(keys.read_chain(alone.version.chain_pem)) == 1


@pytest.mark.parametrize("key_type", [KeyType.P256, KeyType.RSA2048])
def test_keys_come_in_forms_that_we_read_but_do_not_send(key_type: KeyType) -> None:
    key = make_bundle(NAMES, key_type=key_type).key_pem
    old, locked = bundles.in_old_form(key), bundles.with_passphrase(key, "open sesame")
    assert "BEGIN PRIVATE KEY" not in old.reveal()
    assert keys.pkcs8(keys.load_key(old)) == key
    assert keys.pkcs8(keys.load_key(locked, passphrase=Secret("open sesame"))) == key
    with pytest.raises(BadMaterial, match="passphrase"):
        keys.load_key(locked)


def test_time_and_number_are_what_was_asked_for() -> None:
    later = NOW + timedelta(days=30)
    made = make_bundle(NAMES, now=later, lifetime=timedelta(days=6), number=7, certificate="www", target="web")
    assert made.version.lifetime.ends == later - bundles.BACKDATED + timedelta(days=6)
    assert (made.version.label, made.version.certificate, made.assignment.target) == ("v7", "www", "web")
