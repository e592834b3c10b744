"""The official Fastly client, which we did not write, drives the simulator on a port; then our adapter meets what it left."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certbroker import keys
from certbroker.model import Done, Owner
from certbroker.testkit.bundles import default_ca, make_bundle
from certbroker.testkit.simulator import serve
from tests.fastly.rig import NAMES, Fastly, make_fastly

pytestmark = pytest.mark.interop


def official(name: str) -> Any:
    """A module of the official client. Without it the test is skipped; in CI that is a failure."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        reason = "needs the package fastly (pip install 'certbroker[interop]')"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@dataclass
class Official:
    """The client's rooms, each opened on the simulator."""

    fastly: Fastly
    keys: Any
    certificates: Any
    activations: Any
    configurations: Any
    domains: Any
    subscriptions: Any
    tokens: Any
    client: Any
    models: Any
    errors: Any


@pytest.fixture
def there() -> Iterator[Official]:
    package = official("fastly")
    fastly = make_fastly()
    with serve(fastly.simulator) as served:
        configuration = package.Configuration(host=served.url)
        configuration.api_token = fastly.simulator.token
        configuration.retries = False
        with package.ApiClient(configuration) as client:
            yield Official(
                fastly,
                official("fastly.api.tls_private_keys_api").TlsPrivateKeysApi(client),
                official("fastly.api.tls_certificates_api").TlsCertificatesApi(client),
                official("fastly.api.tls_activations_api").TlsActivationsApi(client),
                official("fastly.api.tls_configurations_api").TlsConfigurationsApi(client),
                official("fastly.api.tls_domains_api").TlsDomainsApi(client),
                official("fastly.api.tls_subscriptions_api").TlsSubscriptionsApi(client),
                official("fastly.api.tokens_api").TokensApi(client),
                client,
                official("fastly.model.tls_bulk_certificate_response"),
                official("fastly.exceptions"),
            )


def attributes(kind: str, **values: Any) -> Any:
    return {"data": {"type": kind, "attributes": values}}


def related(**ids: str) -> Any:
    relations = {kind: {"data": {"type": kind, "id": each}} for kind, each in ids.items()}
    return {"data": {"type": "tls_activation", "relationships": relations}}


def plain(answer: Any) -> Any:
    """What came back, as JSON values: some calls return models, some return dicts."""
    return answer.to_dict() if hasattr(answer, "to_dict") else answer


def test_key_certificate_activation_listing_update_and_deletion(there: Official) -> None:
    first, second = make_bundle(NAMES), make_bundle(NAMES)
    ids = {}
    for name, bundle in (("first", first), ("second", second)):
        body = attributes("tls_private_key", key=bundle.key_pem.reveal(), name=name)
        key = plain(there.keys.create_tls_key(tls_private_key=body))["data"]
        assert key["attributes"]["created_at"] is None
        ids[f"{name} key"] = key["id"]
        body = attributes("tls_certificate", cert_blob=bundle.version.chain_pem, name=name)
        certificate = plain(there.certificates.create_tls_cert(tls_certificate=body))["data"]
        assert certificate["attributes"]["serial_number"] == str(bundle.version.serial)
        ids[name] = certificate["id"]
    relations = related(tls_certificate=ids["first"], tls_domain="example.com")
    activation = plain(there.activations.create_tls_activation(tls_activation=relations))["data"]["id"]
    assert there.fastly.served("example.com") == first.fingerprint

    listed = plain(there.keys.list_tls_keys(page_number=1, page_size=100))
    assert {each["id"] for each in listed["data"]} == {ids["first key"], ids["second key"]}
    listed = plain(there.certificates.list_tls_certs(filter_in_use="true", page_size=100, sort="-created_at"))
    assert [each["id"] for each in listed["data"]] == [ids["first"]]
    listed = plain(
        there.activations.list_tls_activations(filter_tls_domain_id="example.com", include="tls_certificate")
    )
    assert [each["id"] for each in listed["data"]] == [activation]
    assert [each["id"] for each in listed["included"]] == [ids["first"]]
    listed = plain(there.domains.list_tls_domains(filter_in_use="true"))
    assert [each["id"] for each in listed["data"]] == ["example.com"]

    moved = there.activations.update_tls_activation(activation, tls_activation=related(tls_certificate=ids["second"]))
    assert plain(moved)["data"]["relationships"]["tls_certificate"]["data"]["id"] == ids["second"]
    assert there.fastly.served("example.com") == second.fingerprint

    blob = reissued(second)
    body = {"data": {"type": "tls_certificate", "id": ids["second"], "attributes": {"cert_blob": blob}}}
    there.certificates.update_tls_cert(ids["second"], tls_certificate=body)
    assert there.fastly.served("example.com") == keys.fingerprint(keys.read_chain(blob)[0])

    there.activations.delete_tls_activation(activation)
    for name in ("first", "second"):
        there.certificates.delete_tls_cert(ids[name])
        there.keys.delete_tls_key(ids[f"{name} key"])
    assert len(there.fastly.state()) == 1, "the configuration is left"


def reissued(bundle: Any) -> str:
    """Another certificate for the same key and names."""
    public = keys.load_key(bundle.key_pem).public_key()
    leaf = default_ca().sign(public, NAMES, bundle.version.lifetime)
    return leaf.public_bytes(Encoding.PEM).decode() + default_ca().intermediate_pem


def test_configurations_and_their_records(there: Official) -> None:
    (configuration,) = plain(there.configurations.list_tls_configs(include="dns_records"))["data"]
    one = plain(there.configurations.get_tls_config(configuration["id"], include="dns_records"))["data"]
    assert one["attributes"]["default"] is True
    body = {"data": {"type": "tls_configuration", "id": configuration["id"], "attributes": {"name": "renamed"}}}
    renamed = plain(there.configurations.update_tls_config(configuration["id"], tls_configuration=body))["data"]
    assert renamed["attributes"]["name"] == "renamed"


def test_refusals_reach_the_client_as_its_errors(there: Official) -> None:
    bundle = make_bundle(NAMES)
    body = attributes("tls_private_key", key=bundle.key_pem.reveal(), name="k")
    key = plain(there.keys.create_tls_key(tls_private_key=body))["data"]["id"]
    with pytest.raises(there.errors.ApiException) as caught:
        there.keys.create_tls_key(tls_private_key=body)
    assert caught.value.status == 400
    assert f"Key already exists: '{key}'" in caught.value.body
    with pytest.raises(there.errors.NotFoundException) as missing:
        there.certificates.get_tls_cert("0" * 22)
    assert "The certificate you requested was not found" in missing.value.body
    there.fastly.quirk(read_only=True)
    with pytest.raises(there.errors.ForbiddenException):
        there.keys.delete_tls_key(key)
    there.fastly.simulator.revoke(there.fastly.simulator.token)
    with pytest.raises(there.errors.UnauthorizedException):
        there.certificates.list_tls_certs()


def test_the_client_stumbles_over_a_key_without_a_name_as_it_does_over_the_real_one(there: Official) -> None:
    there.fastly.simulator.add_key(make_bundle(NAMES).key_pem, name=None)
    with pytest.raises(there.errors.ApiValueError):
        there.keys.list_tls_keys()
    listed = there.keys.list_tls_keys(_check_return_type=False)
    assert plain(listed)["data"][0]["attributes"]["name"] is None


def test_the_hourly_limit_is_read_off_by_the_client(there: Official) -> None:
    there.fastly.quirk(rate_headers=True, writes_per_hour=1)
    body = attributes("tls_private_key", key=make_bundle(NAMES).key_pem.reveal(), name="k")
    there.keys.create_tls_key(tls_private_key=body)
    assert there.client.rate_limit_remaining == 0
    with pytest.raises(there.errors.ApiException) as caught:
        there.keys.create_tls_key(tls_private_key=body)
    assert caught.value.status == 429
    there.fastly.clock.advance(timedelta(hours=2))
    with pytest.raises(there.errors.ApiException) as caught:
        there.keys.create_tls_key(tls_private_key=body)
    assert caught.value.status == 400


def test_bulk_certificates_through_the_clients_plumbing(there: Official) -> None:
    """Its own method for this call fails before it sends anything."""
    bundle = make_bundle(NAMES)
    pool = there.fastly.simulator.add_configuration("pool", edges=("198.51.100.99",), bulk=True)
    there.fastly.simulator.add_key(bundle.key_pem, name="k")
    body = attributes("tls_bulk_certificate", cert_blob=bundle.leaf_pem, intermediates_blob=bundle.intermediates_pem)
    body["data"]["relationships"] = {"tls_configurations": {"data": [{"type": "tls_configuration", "id": pool}]}}
    media = "application/vnd.api+json"
    made = there.client.call_api(
        "/tls/bulk/certificates",
        "POST",
        path_params={},
        query_params=[],
        header_params={"Accept": media, "Content-Type": media},
        body=body,
        auth_settings=["token"],
        response_type=(there.models.TlsBulkCertificateResponse,),
        _return_http_data_only=True,
        _check_type=True,
        _host=there.client.configuration.host,
    )
    assert made.data.id
    assert set(there.fastly.simulator.serving(pool)) == set(NAMES)


def test_a_subscription_and_the_token_itself(there: Official) -> None:
    body = {
        "data": {
            "type": "tls_subscription",
            "relationships": {"tls_domains": {"data": [{"type": "tls_domain", "id": "example.com"}]}},
        }
    }
    made = plain(there.subscriptions.create_tls_sub(tls_subscription=body))["data"]
    assert made["attributes"]["state"] == "pending"
    there.subscriptions.delete_tls_sub(made["id"])
    ends = datetime(2027, 6, 1, tzinfo=UTC)  # the client cannot read a token without an end
    there.client.configuration.api_token = there.fastly.simulator.add_token("certbroker", ends=ends)
    assert plain(there.tokens.get_token_current())["name"] == "certbroker"


def test_our_adapter_meets_what_the_official_client_left(there: Official) -> None:
    """Foreign at first; then replaced by moving the client's activation, and the client's objects are left alone."""
    theirs, ours = make_bundle(NAMES), make_bundle(NAMES)
    body = attributes("tls_private_key", key=theirs.key_pem.reveal(), name="by the client")
    there.keys.create_tls_key(tls_private_key=body)
    body = attributes("tls_certificate", cert_blob=theirs.version.chain_pem, name="by the client")
    certificate = plain(there.certificates.create_tls_cert(tls_certificate=body))["data"]["id"]
    relations = related(tls_certificate=certificate, tls_domain="example.com")
    activation = plain(there.activations.create_tls_activation(tls_activation=relations))["data"]["id"]
    assert there.fastly.inspect()["example.com"].owner is Owner.FOREIGN
    assert set(there.fastly.push(ours).values()) == {Done()}
    there.fastly.prune(ours)
    seen = plain(there.activations.get_tls_activation(activation))["data"]["relationships"]["tls_certificate"]["data"]
    mine = plain(there.certificates.get_tls_cert(seen["id"]))["data"]["attributes"]
    assert mine["serial_number"] == str(ours.version.serial)
    assert mine["name"].startswith("certbroker/")
    assert plain(there.certificates.get_tls_cert(certificate))["data"]["attributes"]["name"] == "by the client"
