"""The simulator: listings, bulk certificates, tokens, limits and routes, each open question both ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from certbroker import keys
from certbroker.model import Bundle, KeyType
from certbroker.secret import Secret
from certbroker.testkit.bundles import (
    NOW,
    make_bundle,
    make_ca,
)
from certbroker.testkit.embedded import House
from certbroker_fastly.simulator import EDGES, FastlySimulator, Quirks
from tests.clock import TestClock
from tests.fastly.client import MEDIA, NAMES, Client, attributes, both, related

# ---- listings --------------------------------------------------------------------------------------------------------


@both(links=False)
def test_listings_have_their_envelopes(quirks: Quirks) -> None:
    client = Client(quirks)
    client.activate(NAMES[0], client.upload(make_bundle(NAMES)))
    for kind in ("private_keys", "certificates", "activations", "configurations", "domains"):
        answer = client.get(f"/tls/{kind}")
        assert answer.headers["Content-Type"] == MEDIA
        assert set(answer.json["meta"]) == {"per_page", "current_page", "record_count", "total_pages"}
        open_question = kind in ("activations", "configurations")
        linked = kind != "private_keys" and (quirks.links or not open_question)
        assert ("links" in answer.json) is linked


def test_pages_are_numbered_and_their_links_lead_to_production() -> None:
    client, bundle = Client(), make_bundle(NAMES)
    client.simulator.add_key(bundle.key_pem, name=None)
    for number in range(45):
        client.simulator.add_certificate(bundle.version.chain_pem, name=f"c{number}")
    first = client.get("/tls/certificates?filter[in_use]=false")
    assert b"\\u0026page%5Bsize%5D=20" in first.body
    assert first.json["links"]["prev"] is None
    assert first.json["links"]["next"] == (
        "https://api.fastly.com/tls/certificates?filter%5Bin_use%5D=false&page%5Bnumber%5D=2&page%5Bsize%5D=20"
    )
    assert first.json["meta"] == {"per_page": 20, "current_page": 1, "record_count": 45, "total_pages": 3}
    assert len(client.get("/tls/certificates?page%5Bnumber%5D=3&page%5Bsize%5D=20").data) == 5
    assert client.get("/tls/certificates?page[size]=1000").json["meta"]["per_page"] == 200
    assert client.get("/tls/certificates?page_number=2&page_size=10").data == first.data, "silently ignored"
    assert client.get("/tls/certificates?page[number]=9").data == []


def test_filters_and_orders() -> None:
    client = Client()
    short, long = make_bundle(NAMES, lifetime=timedelta(days=6)), make_bundle(("*.example.org",))
    used, idle = client.upload(short), client.upload(long)
    activation = client.activate(NAMES[0], used).data

    def ids(path: str, **more: Any) -> list[str]:
        return [row["id"] for row in client.get(f"/tls/{path}", **more).data]

    assert ids("certificates?filter[in_use]=true") == [used]
    assert ids("certificates?filter[in_use]=true", accept="*/*") == [used, idle], "filters need the Accept header"
    assert ids("certificates?filter[unknown]=1") == [used, idle]
    assert ids("certificates?filter[tls_domains.id]=%2A.example.org") == [idle]
    assert ids("certificates?filter[not_after][lte]=2026-11-30") == [used]
    assert ids("certificates?sort=-not_after") == [idle, used]
    assert ids("activations?filter[tls_certificate.id]=" + idle) == []
    assert ids("activations?filter[tls_configuration.id]=" + "0" * 22) == []
    assert ids("configurations?filter[bulk]=true") == []
    assert ids("domains") == ["*.example.org", *NAMES]
    assert ids("domains?filter[in_use]=true&sort=-id") == [NAMES[0]]
    assert ids("domains?filter[tls_certificates.id]=" + idle) == ["*.example.org"]
    included = client.get("/tls/activations?include=tls_certificate,tls_configuration,tls_domain").json["included"]
    assert [row["type"] for row in included] == ["tls_certificate", "tls_configuration", "tls_domain"]
    included = client.get("/tls/certificates?include=tls_activations").json["included"]
    assert included == [activation]
    included = client.get("/tls/domains?include=tls_activations,tls_certificates").json["included"]
    assert {row["id"] for row in included} == {activation["id"], used, idle}


def test_a_configuration_tells_its_records_only_when_asked() -> None:
    client = Client()
    plain = client.get("/tls/configurations")
    assert "relationships" not in plain.data[0]
    full = client.get("/tls/configurations?include=dns_records").json
    values = [each["id"] for each in full["data"][0]["relationships"]["dns_records"]["data"]]
    assert values == [*EDGES, "t.sni.global.fastly.example"]
    assert {each["attributes"]["record_type"] for each in full["included"]} == {"A", "AAAA", "CNAME"}
    path = f"/tls/configurations/{plain.data[0]['id']}"
    assert client.call("PATCH", path, attributes(name="mine")).data["attributes"]["name"] == "mine"
    assert client.call("PATCH", path, attributes()).status == 400


@pytest.mark.parametrize("lag", [0, 2])
def test_a_listing_may_be_behind_and_a_single_object_is_not(lag: int) -> None:
    client = Client(Quirks(list_lag=lag))
    identity = client.key(keys.generate(KeyType.P256)).data["id"]
    assert client.get(f"/tls/private_keys/{identity}").status == 200
    assert [len(client.get("/tls/private_keys").data) for _ in range(4)] == [0] * lag + [1] * (4 - lag)


# ---- Platform TLS ----------------------------------------------------------------------------------------------------


def test_bulk_certificates_are_served_without_activations_and_the_later_one_wins() -> None:
    client, old, new = Client(), make_bundle(NAMES), make_bundle(NAMES[:1])
    pool = client.simulator.add_configuration("pool", edges=("198.51.100.99",), bulk=True)
    relation = {"tls_configurations": {"data": [{"type": "tls_configuration", "id": pool}]}}

    def body(bundle: Bundle) -> Any:
        client.key(bundle.key_pem)
        made = attributes(cert_blob=bundle.leaf_pem, intermediates_blob=bundle.intermediates_pem)
        made["data"]["relationships"] = relation
        return made

    first = client.call("POST", "/tls/bulk/certificates", body(old))
    assert first.status == 201
    second = client.call("POST", "/tls/bulk/certificates", body(new)).data["id"]
    served = client.simulator.serving_at("198.51.100.99")
    assert served[NAMES[0]][1] == new.key_pem
    assert served[NAMES[1]][1] == old.key_pem
    path = f"/tls/bulk/certificates/{first.data['id']}"
    shrunk = client.call("PATCH", path, body(make_bundle(NAMES[1:])))
    assert [each["id"] for each in shrunk.data["relationships"]["tls_domains"]["data"]] == ["www.example.com"]
    assert client.get(path).data == shrunk.data
    assert len(client.get("/tls/bulk/certificates?filter[tls_domain.id]=example.com").data) == 1
    assert client.get("/tls/certificates").data == []
    assert client.call("DELETE", f"/tls/bulk/certificates/{second}").status == 204
    assert NAMES[0] not in client.simulator.serving_at("198.51.100.99")


# ---- who may, and how often ------------------------------------------------------------------------------------------


@both(plain_401=True)
def test_a_wrong_token(quirks: Quirks) -> None:
    client = Client(quirks)
    client.token = "wrong"
    answer = client.get("/tls/certificates")
    assert (answer.status, answer.json) == (401, {"msg": "Provided credentials are missing or invalid"})
    assert answer.headers["Content-Type"] == ("text/plain" if quirks.plain_401 else "application/json")


@pytest.mark.parametrize("by", ["account", "token"])
def test_a_token_that_only_reads(by: str) -> None:
    client = Client(Quirks(read_only=by == "account"))
    if by == "token":
        client.token = client.simulator.add_token("eyes", writes=False)
    assert client.get("/tls/private_keys").status == 200
    assert client.key(keys.generate(KeyType.P256)).status == 403
    assert client.call("DELETE", f"/tls/private_keys/{'0' * 22}").status == 403


@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_token_about_itself(status: Any) -> None:
    client = Client(Quirks(tokens_self=status))
    client.token = client.simulator.add_token("mine", ends=datetime(2027, 1, 1, tzinfo=UTC))
    answer = client.get("/tokens/self")
    assert answer.status == status
    if status == 200:
        assert (answer.json["name"], answer.json["expires_at"]) == ("mine", "2027-01-01T00:00:00.000Z")


@pytest.mark.parametrize("told", [True, False])
def test_so_many_writes_an_hour_for_all_tokens_of_a_user(told: bool) -> None:
    client = Client(Quirks(writes_per_hour=2, rate_headers=told, retry_after=told))
    first = client.key(keys.generate(KeyType.P256))
    assert first.headers.get("Fastly-RateLimit-Remaining") == ("1" if told else None)
    client.token = client.simulator.add_token("second")
    client.key(keys.generate(KeyType.P256))
    client.clock.advance(timedelta(minutes=20))
    refused = client.key(keys.generate(KeyType.P256))
    assert refused.status == 429
    reset = str(int((NOW + timedelta(hours=1)).timestamp()))
    assert refused.headers.get("Fastly-RateLimit-Reset") == (reset if told else None)
    assert refused.headers.get("Retry-After") == ("2400" if told else None)
    assert client.get("/tls/private_keys").headers.get("Fastly-RateLimit-Remaining") is None
    client.clock.advance(timedelta(minutes=41))
    assert client.key(keys.generate(KeyType.P256)).status == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/tls/domains/example.com"),
        ("GET", "/tls/authorizations"),
        ("PATCH", "/tls/private_keys/x"),
        ("POST", "/tls/configurations"),
        ("DELETE", "/tls/subscriptions"),
        ("PUT", "/tls/bulk/certificates/x"),
        ("GET", "/service"),
        ("GET", "/"),
    ],
)
def test_what_is_no_route_is_html_and_what_is_no_row_is_json(method: str, path: str) -> None:
    client = Client()
    answer = client.call(method, path, attributes())
    assert (answer.status, answer.body) == (404, b"<h1>Not Found</h1>")
    row = client.get(f"/tls/certificates/{'0' * 22}")
    assert row.json == {"errors": [{"title": "Not found", "detail": "The certificate you requested was not found"}]}


@both(old_statuses=True)
def test_the_statuses_of_hand_made_recordings(quirks: Quirks) -> None:
    client = Client(quirks)
    made = client.activate(NAMES[0], client.upload(make_bundle(NAMES)))
    assert made.status == (200 if quirks.old_statuses else 201)
    gone = client.call("DELETE", f"/tls/activations/{made.data['id']}")
    assert (gone.status, gone.body) == ((200, b"{}") if quirks.old_statuses else (204, b""))


# ---- in the embedded world -------------------------------------------------------------------------------------------


def test_ids_and_token_come_from_the_given_chance() -> None:
    first, second, other = (FastlySimulator(random=Random(seed)) for seed in (1, 1, 2))
    assert first.token == second.token != other.token
    assert list(first.estate.configurations) == list(second.estate.configurations)


def test_edges_hear_of_what_changes_and_of_nothing_else() -> None:
    heard: list[str] = []
    ca = make_ca()

    def managed(name: str) -> tuple[str, Secret]:
        made = make_bundle((name,), ca=ca)
        return made.version.chain_pem, made.key_pem

    house = House(TestClock(NOW).now, Random(7), lambda name, kind: (), managed)
    simulator = FastlySimulator.embed(house)
    simulator.on_change = lambda: heard.append("change")
    client = Client()
    client.simulator, client.token = simulator, simulator.secrets["FASTLY_TOKEN"]
    bundle = make_bundle(NAMES)
    certificate = client.upload(bundle)
    assert heard == []
    activation = client.activate(NAMES[0], certificate).data["id"]
    assert heard == ["change"]
    for address in simulator.addresses:
        assert simulator.serving_at(address) == {NAMES[0]: (bundle.version.chain_pem, bundle.key_pem)}
    assert simulator.serving_at("192.0.2.1") == {}
    client.call("PATCH", f"/tls/activations/{activation}", related(tls_certificate=certificate))
    assert heard == ["change"]
    simulator.manage("managed.example.com")
    assert heard == ["change", "change"]
    chain, key = simulator.serving()["managed.example.com"]
    assert keys.check_pair(chain, key, ["managed.example.com"], NOW)


def test_its_table_reaches_it() -> None:
    table = FastlySimulator(edges=("192.0.2.7",)).tables("http://127.0.0.1:1")
    assert 'api = "http://127.0.0.1:1"' in table
    assert 'token = { env = "FASTLY_TOKEN" }' in table
    assert FastlySimulator(edges=("192.0.2.7",)).addresses == ("192.0.2.7",)
