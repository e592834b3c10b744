"""The simulator: keys, certificates and activations, each open question both ways, as any client meets them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from certbroker import keys
from certbroker.model import Bundle, KeyType
from certbroker.secret import Secret
from certbroker.testkit.bundles import (
    NOW,
    default_ca,
    expired,
    in_old_form,
    in_wrong_order,
    make_bundle,
    make_ca,
    not_yet_valid,
    with_passphrase,
    with_strange_intermediate,
)
from certbroker_fastly.simulator import Quirks
from tests.fastly.client import NAMES, Client, attributes, both, related
from tests.fastly.rig import label

# ---- keys ------------------------------------------------------------------------------------------------------------


def test_a_new_key_has_no_moment_of_creation_yet_and_never_shows_itself() -> None:
    client, bundle = Client(), make_bundle(NAMES)
    answer = client.key(bundle.key_pem, name=None)
    assert answer.status == 201
    assert re.fullmatch("[A-Za-z0-9]{22}", answer.data["id"])
    assert answer.data["attributes"]["created_at"] is None
    assert answer.data["attributes"]["name"] is None
    seen = client.get(f"/tls/private_keys/{answer.data['id']}").data["attributes"]
    assert seen["created_at"] == "2026-11-23T09:00:00.000Z"
    line = bundle.key_pem.reveal().splitlines()[1]
    assert line not in repr(client.simulator.estate) + answer.body.decode()


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(ec_key_type="EC", ec_key_length=0)], ids=label)
def test_elliptic_keys_are_described_in_one_of_two_ways(quirks: Quirks) -> None:
    answer = Client(quirks).key(keys.generate(KeyType.P384)).data["attributes"]
    described = (answer["key_type"], answer["key_length"])
    assert described == (("ECDSA", 384) if quirks.ec_key_type == "ECDSA" else ("EC", 384))


def test_keys_of_older_forms_are_taken_and_others_refused() -> None:
    client, pem = Client(), make_bundle(NAMES, key_type=KeyType.RSA2048).key_pem
    assert client.key(in_old_form(pem)).status == 201
    bad = [
        with_passphrase(pem, "secret"),
        keys.generate(KeyType.RSA3072),
        Secret(_pem(ed25519.Ed25519PrivateKey.generate())),
        Secret(_pem(ec.generate_private_key(ec.SECP521R1()))),
        Secret("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n"),
        Secret(""),
    ]
    for each in bad:
        answer = client.key(each)
        assert (answer.status, answer.detail[:4]) == (400, "sim:")


def _pem(key: Any) -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return str(key.private_bytes(*form).decode())


def test_a_key_is_stored_once() -> None:
    client, pem = Client(), keys.generate(KeyType.P256)
    first = client.key(pem).data["id"]
    again = client.key(pem, name="other")
    assert (again.status, again.detail) == (400, f"Key already exists: '{first}'")


def test_what_is_in_use_is_not_deleted() -> None:
    client = Client()
    certificate = client.upload(make_bundle(NAMES))
    activation = client.activate(NAMES[0], certificate).data["id"]
    key = client.get("/tls/private_keys").data[0]["id"]
    assert client.get("/tls/private_keys?filter[in_use]=false").data == []
    assert client.call("DELETE", f"/tls/private_keys/{key}").status == 400
    assert client.call("DELETE", f"/tls/certificates/{certificate}").status == 400
    for path in (f"activations/{activation}", f"certificates/{certificate}", f"private_keys/{key}"):
        gone = client.call("DELETE", f"/tls/{path}")
        assert (gone.status, gone.body, "Content-Type" in gone.headers) == (204, b"", False)
    assert client.simulator.estate.keys == {}


# ---- certificates ----------------------------------------------------------------------------------------------------


def test_a_certificate_is_described_as_fastly_does() -> None:
    client, bundle = Client(), make_bundle(NAMES)
    client.key(bundle.key_pem)
    found = client.certificate(bundle).data
    assert found["attributes"] == {
        "created_at": "2026-11-23T09:00:00.000Z",
        "issued_to": "",
        "issuer": bundle.version.issued_by,
        "name": "example.com",
        "not_after": bundle.version.lifetime.ends.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "not_before": "2026-11-23T08:00:00.000Z",
        "replace": False,
        "serial_number": str(bundle.version.serial),
        "signature_algorithm": "ECDSA-SHA256",
        "updated_at": "2026-11-23T09:00:00.000Z",
    }
    assert [each["id"] for each in found["relationships"]["tls_domains"]["data"]] == list(NAMES)


def test_a_certificate_needs_its_key_and_a_chain_in_order() -> None:
    client, bundle = Client(), make_bundle(NAMES)
    assert client.certificate(bundle).status == 400
    client.key(bundle.key_pem)
    for bad in (in_wrong_order(bundle), with_strange_intermediate(bundle, make_ca())):
        assert client.certificate(bad).status == 400
    assert client.call("POST", "/tls/certificates", attributes(cert_blob="x")).status == 400
    assert client.call("POST", "/tls/certificates", attributes()).status == 400
    assert client.certificate(bundle).status == 201


def test_a_certificate_without_names_is_refused_in_fastlys_words() -> None:
    client = Client(Quirks(refusal_status=422))
    blob = default_ca().intermediate_pem
    answer = client.call("POST", "/tls/certificates", attributes(cert_blob=blob))
    assert answer.status == 400
    assert answer.json["errors"] == [
        {"title": "Can't create certificate", "detail": "need at least one DNS name, got none"}
    ]


@both(dates="accept")
@pytest.mark.parametrize("make", [expired, not_yet_valid])
def test_a_certificate_out_of_date_may_be_stored_and_is_never_activated(
    quirks: Quirks, make: Callable[..., Bundle]
) -> None:
    client, bundle = Client(quirks), make(NAMES)
    client.key(bundle.key_pem)
    answer = client.certificate(bundle)
    assert (answer.status == 201) is (quirks.dates == "accept")
    if answer.status == 201:
        assert client.activate(NAMES[0], answer.data["id"]).status == 400


@both(untrusted="reject")
def test_a_chain_that_nobody_trusts(quirks: Quirks) -> None:
    client, bundle = Client(quirks), make_bundle(NAMES)
    client.key(bundle.key_pem)
    assert client.certificate(bundle).status == (400 if quirks.untrusted == "reject" else 201)
    assert client.certificate(bundle, allow_untrusted_root=True).status == 201
    trusting = Client(quirks, roots_pem=default_ca().root_pem)
    trusting.key(bundle.key_pem)
    assert trusting.certificate(bundle).status == 201


@both(same_certificate="refuse")
def test_the_same_certificate_twice(quirks: Quirks) -> None:
    client, bundle = Client(quirks), make_bundle(NAMES)
    first = client.upload(bundle)
    again = client.certificate(bundle)
    if quirks.same_certificate == "refuse":
        assert again.status == 400
        assert first in again.detail
    else:
        assert again.data["id"] != first


@pytest.mark.parametrize("status", [400, 409, 422])
def test_the_status_of_refusals_without_a_recording(status: Any) -> None:
    client, bundle = Client(Quirks(refusal_status=status)), make_bundle(NAMES)
    assert client.certificate(bundle).status == status
    certificate = client.upload(bundle)
    assert client.activate("else.example.com", certificate).status == status
    client.activate(NAMES[0], certificate)
    assert client.call("DELETE", f"/tls/certificates/{certificate}").status == status
    assert client.activate(NAMES[0], certificate).status == 400, "this one is recorded"


def test_rsa_is_described_as_go_does() -> None:
    """A leaf signed by an RSA key."""
    client, key = Client(), rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = keys.pkcs8(key)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com")])
    leaf = (
        x509.CertificateBuilder(name, name, key.public_key(), 131, NOW - timedelta(days=1), NOW + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    assert client.key(pem).data["attributes"]["key_type"] == "RSA"
    blob = leaf.public_bytes(serialization.Encoding.PEM).decode()
    found = client.call("POST", "/tls/certificates", attributes(cert_blob=blob)).data["attributes"]
    assert (found["signature_algorithm"], found["serial_number"], found["issued_to"], found["name"]) == (
        "SHA256-RSA",
        "131",
        "example.com",
        "example.com",
    )


# ---- replacing in place ----------------------------------------------------------------------------------------------


def same_key(bundle: Bundle, names: tuple[str, ...]) -> str:
    """A certificate for `names` with the key of `bundle`."""
    public = keys.load_key(bundle.key_pem).public_key()
    leaf = default_ca().sign(public, names, bundle.version.lifetime)
    return leaf.public_bytes(serialization.Encoding.PEM).decode() + default_ca().intermediate_pem


@both(stale_domains=False)
def test_a_replaced_certificate_is_new_in_all_but_its_names_at_first(quirks: Quirks) -> None:
    client, bundle = Client(quirks), make_bundle(NAMES)
    certificate = client.upload(bundle)
    client.activate(NAMES[0], certificate)
    client.clock.advance(timedelta(days=1))
    blob = same_key(bundle, (*NAMES, "new.example.com"))
    answer = client.call("PATCH", f"/tls/certificates/{certificate}", attributes(cert_blob=blob)).data
    assert answer["attributes"]["created_at"] == answer["attributes"]["updated_at"] == "2026-11-24T09:00:00.000Z"
    assert answer["attributes"]["serial_number"] != str(bundle.version.serial)
    shown = [each["id"] for each in answer["relationships"]["tls_domains"]["data"]]
    assert ("new.example.com" in shown) is not quirks.stale_domains
    fresh = client.get(f"/tls/certificates/{certificate}").data["relationships"]["tls_domains"]["data"]
    assert {"id": "new.example.com", "type": "tls_domain"} in fresh
    assert client.simulator.serving()[NAMES[0]][0] == blob


def test_a_replacement_may_not_drop_a_name() -> None:
    client, bundle = Client(), make_bundle(NAMES)
    certificate = client.upload(bundle)
    blob = same_key(bundle, NAMES[:1])
    assert client.call("PATCH", f"/tls/certificates/{certificate}", attributes(cert_blob=blob)).status == 400


@both(new_key_on_patch=True)
def test_a_replacement_with_another_key_is_disputed(quirks: Quirks) -> None:
    client, bundle, other = Client(quirks), make_bundle(NAMES), make_bundle(NAMES)
    certificate = client.upload(bundle)
    body = attributes(cert_blob=other.version.chain_pem)
    assert client.call("PATCH", f"/tls/certificates/{certificate}", body).status == 400, "the key is not there"
    client.key(other.key_pem)
    answer = client.call("PATCH", f"/tls/certificates/{certificate}", body)
    assert answer.status == (200 if quirks.new_key_on_patch else 400)


@both(rename_certificate=False)
def test_renaming_a_certificate(quirks: Quirks) -> None:
    client = Client(quirks)
    certificate = client.upload(make_bundle(NAMES))
    answer = client.call("PATCH", f"/tls/certificates/{certificate}", attributes(name="new"))
    assert answer.status == (200 if quirks.rename_certificate else 400)


# ---- activations -----------------------------------------------------------------------------------------------------


@both(one_activation_per="domain")
def test_one_name_on_two_configurations(quirks: Quirks) -> None:
    client = Client(quirks)
    other = client.simulator.add_configuration("other", edges=("198.51.100.99",))
    certificate = client.upload(make_bundle(NAMES))
    assert client.activate(NAMES[0], certificate).status == 201
    again = client.activate(NAMES[0], certificate)
    assert (again.status, again.detail) == (400, "domain_id has already been taken")
    assert client.activate(NAMES[0], certificate, other).status == (
        201 if quirks.one_activation_per != "domain" else 400
    )


@both(services_checked=False)
def test_a_name_on_no_active_service(quirks: Quirks) -> None:
    client = Client(quirks, domains=NAMES[:1])
    certificate = client.upload(make_bundle(NAMES))
    assert client.activate(NAMES[0], certificate).status == 201
    answer = client.activate(NAMES[1], certificate)
    if quirks.services_checked:
        assert answer.status == 400
        assert answer.json["errors"] == [
            {
                "title": "The domain you entered was not found on one of your services",
                "detail": "Please add www.example.com to an active service to begin TLS enablement.",
            }
        ]
    else:
        assert answer.status == 201


def test_what_an_activation_cannot_be() -> None:
    client = Client()
    pool = client.simulator.add_configuration("pool", bulk=True)
    certificate = client.upload(make_bundle(NAMES))
    assert client.activate("other.example.com", certificate).status == 400
    assert client.activate(NAMES[0], certificate, pool).status == 400
    assert client.activate(NAMES[0], certificate, "0" * 22).status == 404
    missing = client.activate(NAMES[0], "0" * 22)
    assert (missing.status, missing.detail) == (404, "The certificate you requested was not found")
    assert client.call("POST", "/tls/activations", related(tls_certificate=certificate)).status == 400
    assert client.call("POST", "/tls/activations", [1]).status == 400


@both(mutual_survives=False)
def test_mutual_authentication_goes_when_null_is_sent(quirks: Quirks) -> None:
    client = Client(quirks)
    certificate = client.upload(make_bundle(NAMES))
    other = client.upload(make_bundle(NAMES))
    mutual = client.call("POST", "/tls/mutual_authentications", attributes(cert_bundle="pem", name="m")).data["id"]
    activation = client.activate(NAMES[0], certificate).data["id"]
    path = f"/tls/activations/{activation}"

    def patched(**ids: str | None) -> Any:
        return client.call("PATCH", path, related(**ids)).data["relationships"]["mutual_authentication"]["data"]

    assert patched(mutual_authentication=mutual)["id"] == mutual
    assert client.call("DELETE", f"/tls/mutual_authentications/{mutual}").status == 400
    survived = patched(tls_certificate=other)
    assert (survived is not None) is quirks.mutual_survives
    assert patched(mutual_authentication=mutual)["id"] == mutual
    assert patched(tls_certificate=certificate, mutual_authentication=None) is None
    assert client.call("DELETE", f"/tls/mutual_authentications/{mutual}").status == 204


def test_configuration_and_domain_of_an_activation_do_not_change() -> None:
    client = Client()
    other = client.simulator.add_configuration("other")
    certificate = client.upload(make_bundle(NAMES))
    made = client.activate(NAMES[0], certificate).data
    body = related(tls_configuration=other, tls_domain=NAMES[1])
    assert client.call("PATCH", f"/tls/activations/{made['id']}", body).data == made


@both(managed_activation_moves=True)
def test_a_certificate_that_fastly_manages(quirks: Quirks) -> None:
    client = Client(quirks)
    client.simulator.manage(NAMES[0])
    managed = client.get("/tls/activations?filter[tls_domain.id]=example.com").data[0]
    hidden = managed["relationships"]["tls_certificate"]["data"]["id"]
    assert client.get("/tls/certificates").data == []
    assert client.get(f"/tls/certificates/{hidden}").detail == "The certificate you requested was not found"
    row = client.get(f"/tls/domains?filter[tls_certificates.id]={hidden}").data[0]
    assert len(row["relationships"]["tls_subscriptions"]["data"]) == 1
    certificate = client.upload(make_bundle(NAMES))
    assert client.activate(NAMES[0], certificate).detail == "domain_id has already been taken"
    moved = client.call("PATCH", f"/tls/activations/{managed['id']}", related(tls_certificate=certificate))
    assert moved.status == (200 if quirks.managed_activation_moves else 400)


def test_a_subscription_waits_and_goes() -> None:
    client = Client(domains=NAMES)
    body = {"data": {"type": "", "relationships": {"tls_domain": {"data": [{"type": "tls_domain", "id": NAMES[0]}]}}}}
    made = client.call("POST", "/tls/subscriptions", body)
    assert (made.status, made.data["attributes"]["state"]) == (201, "pending")
    path = f"/tls/subscriptions/{made.data['id']}"
    assert client.get(path).data == made.data
    assert client.get("/tls/subscriptions").data == [made.data]
    assert client.call("DELETE", path).status == 204
    assert client.get(path).detail == "The subscription you requested was not found"
