"""Pushing: what is written, in which order, and what survives it."""

from __future__ import annotations

import json

import pytest

from certbroker.errors import Rejected, Unavailable
from certbroker.model import Done, KeyType
from certbroker.testkit.rig import STORE
from tests.fastly.rig import NAMES, Fastly, failure, make_fastly, serves, version


def test_the_first_push_writes_key_certificate_and_an_activation_per_name() -> None:
    fastly, bundle = make_fastly(), version()
    assert fastly.push(bundle) == dict.fromkeys(NAMES, Done())
    assert fastly.writes == ["POST private_keys", "POST certificates", *["POST activations"] * 3]
    assert serves(fastly, bundle)
    assert {row["name"] for row in fastly.simulator.certificate_names()} == {
        f"certbroker/{STORE}/main/{bundle.fingerprint[:12]}"
    }


def test_a_renewal_moves_activations_and_deletes_nothing() -> None:
    fastly, bundle = make_fastly(), version(2)
    fastly.push(version())
    fastly.writes  # noqa: B018 - forget what the first push wrote
    fastly.push(bundle)
    assert fastly.writes == ["POST private_keys", "POST certificates", *["PATCH activations"] * 3]
    assert serves(fastly, bundle)


def test_an_activation_is_moved_by_naming_its_certificate_and_nothing_else() -> None:
    fastly = make_fastly()
    fastly.push(version())
    fastly.push(version(2))
    patches = [json.loads(r.body)["data"] for r in fastly.simulator.requests if r.method == "PATCH"]
    assert len(patches) == 3
    for data in patches:
        assert set(data) == {"type", "id", "relationships"}
        assert set(data["relationships"]) == {"tls_certificate"}


def test_a_chain_goes_leaf_first_with_its_intermediates_and_without_allow_untrusted_root() -> None:
    fastly, bundle = make_fastly(), version()
    fastly.push(bundle)
    sent = {r.path: json.loads(r.body)["data"]["attributes"] for r in fastly.simulator.writes if "activ" not in r.path}
    assert sent["/tls/certificates"] == {
        "cert_blob": bundle.version.chain_pem,
        "name": f"certbroker/{STORE}/main/{bundle.fingerprint[:12]}",
    }
    assert sent["/tls/private_keys"]["key"].startswith("-----BEGIN PRIVATE KEY-----")


def test_an_untrusted_root_is_sent_along_where_the_file_says_so() -> None:
    fastly, bundle = make_fastly(), version()
    fastly.quirk(untrusted="reject")
    with pytest.raises(Rejected, match="sim: the chain ends in no trusted root"):
        fastly.push(bundle)
    assert set(fastly.push(bundle, allow_untrusted_root=True).values()) == {Done()}
    sent = json.loads(fastly.simulator.writes[-4].body)["data"]["attributes"]
    assert sent["allow_untrusted_root"] is True
    assert sent["cert_blob"] == bundle.version.chain_pem + str(bundle.version.roots_pem)


@pytest.mark.parametrize("key_type", [KeyType.P256, KeyType.P384, KeyType.RSA2048])
def test_every_declared_key_type_is_taken(key_type: KeyType) -> None:
    fastly = make_fastly()
    assert key_type in fastly.provider().traits.key_types
    assert set(fastly.push(version(key_type=key_type)).values()) == {Done()}


def test_a_key_that_exists_already_is_used() -> None:
    fastly, bundle = make_fastly(), version()
    fastly.simulator.add_key(bundle.key_pem, name=None)
    fastly.push(bundle)
    assert "POST private_keys" not in fastly.writes
    assert serves(fastly, bundle)


def test_a_key_that_the_listing_does_not_show_yet_is_no_failure() -> None:
    """Fastly answers 400 `Key already exists: '…'`."""
    fastly, bundle = make_fastly(), version()
    fastly.quirk(list_lag=50)
    fastly.line.gate.cut(1, "before")
    with pytest.raises(Unavailable):
        fastly.push(bundle)
    fastly.line.gate.mend()
    fastly.push(bundle)
    assert fastly.writes[:3] == ["POST private_keys", "POST private_keys", "POST certificates"]
    assert serves(fastly, bundle)


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_listings_that_are_behind_delay_and_never_harm(lag: int) -> None:
    fastly, old, new = make_fastly(), version(), version(2)
    fastly.push(old)
    fastly.quirk(list_lag=lag)
    for _ in range(8):
        fastly.push(new)
        assert {fastly.served(name) for name in NAMES} <= {old.fingerprint, new.fingerprint}
        fastly.prune(new)
    fastly.quirk(list_lag=0)
    fastly.prune(new)
    assert serves(fastly, new)
    assert len(fastly.state()) == 1 + 1 + 1 + len(NAMES), "configuration, key, certificate, activations"


@pytest.mark.parametrize("lag", [0, 3])
def test_one_certificate_twice_is_cleared_up(lag: int) -> None:
    """A cut push whose certificate the listing does not show yet uploads it again."""
    fastly, bundle = make_fastly(), version()
    fastly.quirk(list_lag=lag)
    fastly.line.gate.cut(2, "before")
    with pytest.raises(Unavailable):
        fastly.push(bundle)
    fastly.line.gate.mend()
    fastly.push(bundle)
    assert len(fastly.simulator.certificate_names()) == (2 if lag else 1)
    fastly.quirk(list_lag=0)
    assert fastly.prune(bundle) == (("certificate " + fastly.simulator.certificate_names()[0]["name"],) if lag else ())
    assert len(fastly.simulator.certificate_names()) == 1
    assert serves(fastly, bundle)


def test_a_certificate_uploaded_under_another_name_is_used_where_fastly_takes_it_only_once() -> None:
    fastly, bundle = make_fastly(), version()
    fastly.quirk(same_certificate="refuse")
    fastly.simulator.add_foreign(bundle.version.chain_pem, bundle.key_pem, name="exported and uploaded by hand")
    assert set(fastly.push(bundle).values()) == {Done()}
    assert len(fastly.simulator.certificate_names()) == 1
    fastly.prune()
    assert serves(fastly, bundle)


def test_an_object_of_ours_that_somebody_replaced_in_place_is_not_taken_for_ours() -> None:
    fastly, bundle = make_fastly(), version()
    fastly.push(bundle)
    fastly.quirk(new_key_on_patch=True)
    other = version(3)
    fastly.simulator.add_key(other.key_pem, name="x")
    certificate = fastly.simulator.certificate_names()[0]["id"]
    fastly.simulator._changes().update_certificate(
        certificate, {"data": {"attributes": {"cert_blob": other.version.chain_pem}}}
    )
    assert serves(fastly, other)
    fastly.push(bundle)
    assert serves(fastly, bundle)


def test_mutual_tls_and_configuration_survive() -> None:
    fastly = make_fastly()
    fastly.push(version())
    mutual = attach_mutual(fastly, "example.com")
    assert set(fastly.push(version(2)).values()) == {Done()}
    assert {a.mutual for a in fastly.simulator.estate.activations.values() if a.domain == "example.com"} == {mutual}


def test_mutual_tls_that_fastly_drops_is_told_at_once() -> None:
    fastly = make_fastly()
    fastly.push(version())
    mutual = attach_mutual(fastly, "example.com")
    fastly.quirk(mutual_survives=False)
    outcomes = fastly.push(version(2))
    error = failure(outcomes["example.com"])
    assert "dropped its mutual TLS" in error.what
    assert mutual in str(error.hint)
    assert outcomes["*.example.com"] == Done()


def attach_mutual(fastly: Fastly, name: str) -> str:
    changes = fastly.simulator._changes()
    changes.answer("POST", ["mutual_authentications"], {"data": {"attributes": {"cert_bundle": "pem", "name": "m"}}})
    mutual = next(iter(fastly.simulator.estate.mutuals))
    for activation in list(fastly.simulator.estate.activations.values()):
        if activation.domain == name:
            fastly.simulator.estate.move(activation, mutual=mutual)
    return mutual
