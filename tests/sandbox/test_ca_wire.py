"""What the sandbox's CA refuses: every rule a sloppy client could break unseen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.sandbox.client import URL, Dns, certificate_key, make_ca, new_key
from tests.sandbox.wire import Wire, curve_key


@pytest.fixture
def wire() -> Wire:
    dns = Dns()
    return Wire(make_ca(dns), dns).join()


def test_the_honest_way_works(wire: Wire) -> None:
    done = wire.obtain("example.com", "*.example.com")
    assert done.json["status"] == "valid"
    chain = wire.post(done.json["certificate"])
    assert chain.headers["Content-Type"] == "application/pem-certificate-chain"
    assert chain.body.count(b"BEGIN CERTIFICATE") == 2
    assert 'rel="index"' in chain.headers["Link"]


def test_a_nonce_serves_once(wire: Wire) -> None:
    nonce = wire.nonce()
    assert wire.post("/new-order", {}, nonce=nonce).problem == "malformed"
    assert wire.post("/new-order", {}, nonce=nonce).problem == "badNonce"
    assert wire.post("/new-order", {}, nonce="bm90IG91cnM").problem == "badNonce"
    assert wire.post("/new-order", {}, nonce=None).problem == "badNonce"


def test_every_answer_to_a_post_brings_a_nonce(wire: Wire) -> None:
    refused = wire.post("/new-order", {}, nonce="bm90IG91cnM")
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert wire.post("/new-order", {}, nonce=refused.headers["Replay-Nonce"]).problem == "malformed"


@pytest.mark.parametrize(
    ("protected", "problem"),
    [
        ({"url": f"{URL}/elsewhere"}, "unauthorized"),
        ({"url": None}, "malformed"),
        ({"alg": "ES384"}, "badSignatureAlgorithm"),
        ({"alg": "RS256"}, "badSignatureAlgorithm"),
        ({"alg": "HS256"}, "badSignatureAlgorithm"),
        ({"alg": "none"}, "badSignatureAlgorithm"),
        ({"kid": f"{URL}/acct/1"}, "accountDoesNotExist"),
        ({"kid": None}, "malformed"),
        ({"jwk": new_key().public_key().to_json()}, "malformed"),
        ({"kid": None, "jwk": new_key().public_key().to_json()}, "malformed"),
        ({"nonce": "pad=ded="}, "malformed"),
    ],
)
def test_a_wrong_protected_header_is_refused(wire: Wire, protected: dict[str, Any], problem: str) -> None:
    assert wire.post("/new-order", {"identifiers": []}, **protected).problem == problem


def test_the_algorithms_that_would_do_are_named(wire: Wire) -> None:
    assert wire.post("/new-order", {}, alg="none").json["algorithms"] == ["RS256", "ES256", "ES384"]


@pytest.mark.parametrize("member", ["protected", "payload", "signature"])
def test_base64_with_padding_is_refused(wire: Wire, member: str) -> None:
    sent = wire.signed("/new-order", {"identifiers": []})
    sent[member] += "="
    answer = wire.send("POST", "/new-order", json.dumps(sent).encode())
    assert (answer.problem, answer.json["detail"]) == ("malformed", f"{member} is not base64url without padding")


def test_a_wrong_signature_is_refused(wire: Wire) -> None:
    sent = wire.signed("/new-order", {"identifiers": []})
    sent["signature"] = wire.signed("/new-order", {"identifiers": [1]})["signature"]
    answer = wire.send("POST", "/new-order", json.dumps(sent).encode())
    assert answer.json["detail"] == "the JWS signature is wrong"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b'{"payload": ""}', b"\xff\xfe"])
def test_what_is_no_jws_is_refused(wire: Wire, body: bytes) -> None:
    assert wire.send("POST", "/new-order", body).problem == "malformed"


def test_an_unprotected_header_is_refused(wire: Wire) -> None:
    sent: dict[str, Any] = {**wire.signed("/new-order", {"identifiers": []}), "header": {"alg": "ES256"}}
    assert wire.send("POST", "/new-order", json.dumps(sent).encode()).problem == "malformed"


def test_the_content_type_and_a_user_agent_are_asked_for(wire: Wire) -> None:
    body = json.dumps(wire.signed("/new-order", {})).encode()
    assert wire.send("POST", "/new-order", body, Content_Type="application/json").status == 415
    assert "User-Agent" in wire.send("POST", "/new-order", body, User_Agent="").json["detail"]


def test_new_account_wants_jwk_and_agreement(wire: Wire) -> None:
    assert wire.post("/new-account", {"termsOfServiceAgreed": True}).problem == "malformed"
    stranger = Wire(wire.ca)
    assert "terms" in stranger.post("/new-account", {}).json["detail"]
    assert stranger.post("/new-account", {"onlyReturnExisting": True}).problem == "accountDoesNotExist"
    assert stranger.post("/new-order", {}).problem == "malformed"


def test_account_keys_of_other_kinds_are_refused(wire: Wire) -> None:
    odd = Wire(wire.ca, key=curve_key(ec.SECP521R1()))
    assert odd.post("/new-account", {"termsOfServiceAgreed": True}).problem == "badPublicKey"


def test_the_draft_member_resource_is_refused(wire: Wire) -> None:
    assert wire.order("example.com", resource="new-order").problem == "malformed"


@pytest.mark.parametrize("payload", [{"resource": "x"}, {"keyAuthorization": "x"}, {"type": "dns-01"}, b"[]", b"null"])
def test_a_challenge_is_answered_with_exactly_an_empty_object(wire: Wire, payload: Any) -> None:
    order = wire.order("example.com")
    url = wire.authorizations(order)[0]["challenges"][0]["url"]
    assert wire.post(url, payload).problem == "malformed"
    answered = wire.post(url, {})
    assert answered.status == 200
    assert answered.headers["Link"].startswith(f'<{order.json["authorizations"][0]}>;rel="up"')


def test_post_as_get_has_an_empty_payload(wire: Wire) -> None:
    done = wire.obtain("example.com")
    for url in (done.headers["Location"], done.json["authorizations"][0], done.json["certificate"]):
        assert wire.post(url).status == 200
        if "authz" not in url:
            assert wire.post(url, {"x": 1}).problem == "malformed"


def test_plain_get_is_for_the_directory_nonces_and_renewal_information(wire: Wire) -> None:
    order = wire.order("example.com").headers["Location"].removeprefix(URL)
    assert wire.send("GET", order).status == 405
    assert wire.send("GET", "/nowhere").status == 404
    assert wire.post("/nowhere").status == 404
    assert wire.send("GET", "/nonce").status == 204


def test_strangers_see_nothing_of_an_account(wire: Wire) -> None:
    done = wire.obtain("example.com")
    stranger = Wire(wire.ca).join()
    challenge = wire.post(done.json["authorizations"][0]).json["challenges"][0]["url"]
    for url in (
        done.headers["Location"],
        done.json["authorizations"][0],
        done.json["certificate"],
        challenge,
        wire.kid,
    ):
        assert stranger.post(str(url)).problem == "unauthorized"


@pytest.mark.parametrize("names", [["example.com", "www.example.com"], ["*.example.com"], ["example.net"]])
def test_the_csr_names_what_was_ordered(wire: Wire, names: list[str]) -> None:
    order = wire.order("example.com")
    wire.prove(order)
    assert wire.finalize(order, names).problem == "badCSR"
    assert wire.finalize(order, ["example.com"]).json["status"] == "valid"


def test_a_certificate_key_is_not_an_account_key(wire: Wire) -> None:
    order = wire.order("example.com")
    wire.prove(order)
    refused = wire.finalize(order, ["example.com"], wire.private_pem)
    assert (refused.problem, refused.json["detail"]) == ("badCSR", "the CSR's key is an account key")


def test_weak_keys_and_padded_or_broken_requests_are_refused(wire: Wire) -> None:
    order = wire.order("example.com")
    wire.prove(order)
    url = order.json["finalize"]
    for csr, problem in (("AAAA=", "malformed"), ("AAAA", "badCSR"), (None, "malformed"), (7, "malformed")):
        assert wire.post(url, {"csr": csr}).problem == problem


def test_finalize_comes_after_the_proof_and_once(wire: Wire) -> None:
    order = wire.order("example.com")
    assert wire.finalize(order, ["example.com"]).problem == "orderNotReady"
    wire.prove(order)
    assert wire.finalize(order, ["example.com"]).status == 200
    assert wire.finalize(order, ["example.com"]).problem == "orderNotReady"
    assert wire.ca.finalizations == 1


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ({}, "malformed"),
        ({"identifiers": []}, "malformed"),
        ({"identifiers": [{"type": "dns"}]}, "malformed"),
        ({"identifiers": [{"type": "ip", "value": "192.0.2.1"}]}, "rejectedIdentifier"),
        ({"identifiers": [{"type": "mail", "value": "me@example.com"}]}, "unsupportedIdentifier"),
        ({"identifiers": [{"type": "dns", "value": "192.0.2.1"}], "profile": "shortlived"}, "malformed"),
        ({"identifiers": [{"type": "ip", "value": "example.com"}], "profile": "shortlived"}, "malformed"),
        ({"identifiers": [{"type": "ip", "value": "2001:DB8::1"}], "profile": "shortlived"}, "malformed"),
        ({"identifiers": [{"type": "dns", "value": "localhost"}]}, "rejectedIdentifier"),
        ({"identifiers": [{"type": "dns", "value": "a.*.example.com"}]}, "rejectedIdentifier"),
        ({"identifiers": [{"type": "dns", "value": "EXAMPLE.com"}]}, "rejectedIdentifier"),
        ({"identifiers": [{"type": "dns", "value": "example.com"}], "profile": "tlsclient"}, "invalidProfile"),
        ({"identifiers": [{"type": "dns", "value": "example.com"}], "notAfter": "2027-01-01T00:00:00Z"}, "malformed"),
    ],
)
def test_orders_that_cannot_be_are_refused(wire: Wire, payload: dict[str, Any], problem: str) -> None:
    assert wire.post("/new-order", payload).problem == problem
    assert wire.ca.new_orders == 0


def test_a_profile_limits_the_names(wire: Wire) -> None:
    names = [f"n{number}.example.com" for number in range(26)]
    assert wire.order(*names, profile="tlsserver").problem == "malformed"
    assert wire.order(*names, profile="classic").status == 201


def test_wildcards_are_offered_only_what_proves_a_whole_domain(wire: Wire) -> None:
    base, star = wire.authorizations(wire.order("example.com", "*.example.com"))
    assert [c["type"] for c in base["challenges"]] == [
        "dns-01",
        "dns-account-01",
        "dns-persist-01",
        "http-01",
        "tls-alpn-01",
    ]
    assert [c["type"] for c in star["challenges"]] == ["dns-01", "dns-account-01", "dns-persist-01"]
    assert star["wildcard"] is True
    assert "wildcard" not in base
    persist = star["challenges"][2]
    assert "token" not in persist
    assert persist["accounturi"] == wire.kid


@pytest.mark.plants_keys
def test_private_key_material_is_caught_wherever_it_stands(wire: Wire) -> None:
    assert wire.ca.violations == []
    private = new_key()
    body = {**private.to_json(), "d": "AAAA"}
    pem = certificate_key().decode()
    rsa_pem = (
        rsa.generate_private_key(65537, 2048)
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        .decode()
    )
    tries = [
        wire.post("/new-order", {"identifiers": [{"type": "dns", "value": pem}]}),
        wire.post("/new-order", {"note": rsa_pem}),
        wire.post("/new-order", {"deep": [{"er": body}]}),
        wire.post("/new-order", {}, kid=None, jwk=body),
        wire.post("/key-change", wire.signed("/key-change", {"oldKey": body})),
    ]
    assert [answer.status for answer in tries] == [400] * len(tries)
    assert {answer.json["detail"] for answer in tries} == {"the request holds private key material"}
    assert len(wire.ca.violations) == len(tries)
    assert not any("AAAA" in violation or "BEGIN" in violation for violation in wire.ca.violations)
