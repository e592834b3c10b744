"""What real Fastly was recorded to say: our code reads it, and the simulator answers the same request in the same shape."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from certbroker.model import Bundle
from certbroker.secret import Secret
from certbroker.testkit.bundles import make_bundle
from certbroker.testkit.line import Line
from certbroker.testkit.rig import context
from certbroker.testkit.simulator import Request, Response, Simulator
from certbroker_fastly import FastlyProvider
from certbroker_fastly.api import Activation, Certificate, Configuration, DnsRecord, FastlyApi, Key
from certbroker_fastly.material import public_key_sha1
from certbroker_fastly.simulator import Quirks
from tests.contracts import contract
from tests.fastly.client import NAMES, Client, attributes


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer."""

    method: str
    path: str
    sent: str
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def recorded(name: str) -> Exchange:
    path: Path = contract(f"fastly-recorded/{name}.yaml")
    one = yaml.safe_load(path.read_text())["interactions"][0]
    request, response = one["request"], one["response"]
    parts = urlsplit(request["url"])
    headers = {key: values[0] for key, values in response["headers"].items()}
    return Exchange(request["method"], parts.path, request["body"], response["code"], headers, response["body"])


class Recording(Simulator):
    """Answers the recorded request and no other."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def answer(self, request: Request) -> Response:
        there = self._exchange
        if (request.method, request.path) != (there.method, there.path) or request.one("page[number]", "1") != "1":
            return Response.of(200, {"data": []})
        kind = {key: value for key, value in there.headers.items() if key.lower() == "content-type"}
        return Response(there.status, there.body.encode(), kind)


def replay(exchange: Exchange) -> FastlyApi:
    handed = context(line=Line(Recording(exchange)))
    session = handed.session(
        service="Fastly", base="https://api.fastly.com", authorize=dict, traits=FastlyProvider.traits
    )
    return FastlyApi(session)


def shape(value: Any) -> Any:
    """Keys and types; of a list the shape of its first item."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return type(value).__name__


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# ---- our code reads it -----------------------------------------------------------------------------------------------


def test_an_uploaded_key() -> None:
    exchange = recorded("custom_tls/create-key")
    key = replay(exchange).create_key(Secret("pem"), "My private key")
    assert key == Key("RyTBv0lgwTEM2kpbMhwVp6", "My private key", "7ebc5927b083d15ac667b4b796f8a1ece2d0bbb9")


def test_the_sha1_that_fastly_computed_is_the_one_that_we_compute() -> None:
    """Over a recorded certificate, whose key was uploaded in another recording."""
    blob = json.loads(recorded("custom_tls/create").sent)["data"]["attributes"]["cert_blob"]
    key = recorded("custom_tls/create-key").json["data"]["attributes"]["public_key_sha1"]
    made = make_bundle(NAMES)
    bundle = Bundle(made.assignment, replace(made.version, chain_pem=blob), made.key_pem)
    assert public_key_sha1(bundle) == key


@pytest.mark.parametrize("name", ["create", "get", "list"])
def test_an_uploaded_certificate(name: str) -> None:
    api = replay(recorded(f"custom_tls/{name}"))
    expected = Certificate(
        id="ZwPwTJyjOePoOdUs0WvRO6",
        name="My certificate",
        serial=131,
        issuer="example.com",
        ends=moment("2024-09-15T16:47:52"),
    )
    if name == "create":
        found = api.create_certificate("pem", "My certificate", allow_untrusted_root=False)
    elif name == "get":
        found = api.certificate("ZwPwTJyjOePoOdUs0WvRO6")
    else:
        (found,) = api.certificates()
    assert found == expected


def test_deletions() -> None:
    replay(recorded("custom_tls/delete-cert")).delete_certificate("ZwPwTJyjOePoOdUs0WvRO6")
    replay(recorded("custom_tls/delete-key")).delete_key("RyTBv0lgwTEM2kpbMhwVp6")


@pytest.mark.parametrize("name", ["create", "get"])
def test_an_activation(name: str) -> None:
    api = replay(recorded(f"custom_tls_activation/{name}"))
    ids = ("CERTIFICATE_ID", "CONFIGURATION_ID", "DOMAIN_NAME")
    found = api.create_activation(ids[2], ids[0], ids[1]) if name == "create" else api.activation("ACTIVATION_ID")
    assert found == Activation("ACTIVATION_ID", *ids, mutual=None)


def test_configurations() -> None:
    found = replay(recorded("custom_tls_configuration/list")).configurations()
    assert found == (Configuration("TLS_CONFIGURATION_ID", "My configuration", default=True, bulk=False),)
    records = replay(recorded("custom_tls_configuration/get")).dns_records("TLS_CONFIGURATION_ID")
    assert records == (DnsRecord("A", "IP_ADDRESS", "global"),)


# ---- the simulator says the same -------------------------------------------------------------------------------------


def client() -> Client:
    """An account with something of every kind in it, as far as the recordings show it."""
    made = Client(Quirks(mutual_member=False, old_statuses=True, ec_key_type="RSA"), edges=("198.51.100.10",))
    bundle = make_bundle(NAMES)
    certificate = made.upload(bundle)
    made.activate(NAMES[0], certificate)
    return made


def sent_again(name: str, at: Client) -> Any:
    """The recorded request with ids and material that exist here."""
    estate = at.simulator.estate
    certificate, key = next(iter(estate.certificates)), next(iter(estate.keys))
    configuration, activation = next(iter(estate.configurations)), next(iter(estate.activations))
    fresh = make_bundle(NAMES)
    match name:
        case "custom_tls/create-key":
            return at.call("POST", "/tls/private_keys", attributes(key=fresh.key_pem.reveal(), name="My private key"))
        case "custom_tls/create":
            at.key(fresh.key_pem)
            return at.certificate(fresh, name="My certificate")
        case "custom_tls/get":
            return at.get(f"/tls/certificates/{certificate}")
        case "custom_tls/list":
            at.upload(fresh)
            return at.get("/tls/certificates?filter%5Bin_use%5D=false")
        case "custom_tls/delete-cert":
            return at.call("DELETE", f"/tls/certificates/{at.upload(fresh)}", accept="")
        case "custom_tls/delete-key":
            lone = at.key(fresh.key_pem).data["id"]
            return at.call("DELETE", f"/tls/private_keys/{lone}", accept="")
        case "tls/get":
            return at.get(f"/tls/private_keys/{key}", accept="")
        case "custom_tls_activation/create":
            return at.activate(NAMES[1], certificate, configuration)
        case "custom_tls_activation/get":
            return at.get(f"/tls/activations/{activation}", accept="")
        case "custom_tls_activation/delete":
            return at.call("DELETE", f"/tls/activations/{activation}", accept="")
        case "custom_tls_configuration/get":
            return at.get(f"/tls/configurations/{configuration}?include=dns_records")
        case "custom_tls_configuration/list":
            return at.get("/tls/configurations")
    return others_sent_again(name, at)


def others_sent_again(name: str, at: Client) -> Any:
    """Calls that we do not make; the simulator has them for conflicts."""
    if name.startswith("mutual_authentication/"):
        made = at.call("POST", "/tls/mutual_authentications", attributes(cert_bundle="pem", enforced=False, name="m"))
        path = f"/tls/mutual_authentications/{made.data['id']}"
        return made if name.endswith("create-tma") else at.get(path)
    if name.startswith("tls_subscription/"):
        relation = {"tls_domain": {"data": [{"type": "tls_domain", "id": "new.example.com"}]}}
        made = at.call("POST", "/tls/subscriptions", {"data": {"type": "", "relationships": relation}})
        path = f"/tls/subscriptions/{made.data['id']}"
        return {"create": made}.get(name.rpartition("/")[2]) or at.call(
            "DELETE" if name.endswith("delete") else "GET", path
        )
    pool = at.simulator.add_configuration("pool", bulk=True)
    fresh = make_bundle(NAMES)
    at.key(fresh.key_pem)
    body = attributes(cert_blob=fresh.leaf_pem, intermediates_blob=fresh.intermediates_pem)
    body["data"]["relationships"] = {"tls_configurations": {"data": [{"type": "tls_configuration", "id": pool}]}}
    made = at.call("POST", "/tls/bulk/certificates", body)
    path = f"/tls/bulk/certificates/{made.data['id']}"
    return {"create": made}.get(name.rpartition("/")[2]) or at.call(
        "DELETE" if name.endswith("delete") else "GET", path
    )


RECORDED = [
    "custom_tls/create-key",
    "custom_tls/create",
    "custom_tls/get",
    "custom_tls/list",
    "custom_tls/delete-cert",
    "custom_tls/delete-key",
    "tls/get",
    "custom_tls_activation/create",
    "custom_tls_activation/get",
    "custom_tls_activation/delete",
    "custom_tls_configuration/get",
    "custom_tls_configuration/list",
    "mutual_authentication/create-tma",
    "mutual_authentication/get",
    "tls_subscription/create",
    "tls_subscription/get",
    "tls_subscription/delete",
    "platform_tls/create",
    "platform_tls/get",
    "platform_tls/delete",
]


def test_every_recording_is_looked_at() -> None:
    folder = contract("fastly-recorded")
    there = {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml")}
    assert there == set(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
def test_the_simulator_answers_in_the_recorded_shape(name: str) -> None:
    theirs, ours = recorded(name), sent_again(name, client())
    if name != "platform_tls/create":  # edited by hand: Fastly answers 201
        assert ours.status == theirs.status
    if not theirs.body:
        assert ours.body == b""
        assert "Content-Type" not in ours.headers
        return
    expected, found = theirs.json, ours.json
    if name == "custom_tls_configuration/list":  # edited by hand: without an envelope
        found = {"data": found["data"]}
    assert shape(found) == shape(expected)
    if not name.startswith("platform_tls"):
        assert ours.headers["Content-Type"] == theirs.headers["Content-Type"]
