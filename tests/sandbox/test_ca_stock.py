"""The sandbox's CA as stock `acme` 5.9 reads it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta

import pytest
from acme import client, errors, jws, messages
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy.json_util import JSONObjectWithFields, field
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

from certbroker.keys import read_chain
from certbroker.probe import Roots, judge
from certbroker.sandbox.ca import SandboxCA
from certbroker.testkit.simulator import serve
from tests.clock import START
from tests.sandbox.client import (
    URL,
    Dns,
    certificate_key,
    connect,
    make_ca,
    member,
    new_key,
    obtain,
    order,
    prove,
    register,
    soon,
)

NAMES = ("example.com", "*.example.com")


@pytest.fixture
def dns() -> Dns:
    return Dns()


@pytest.fixture
def ca(dns: Dns) -> Iterator[SandboxCA]:
    ca = make_ca(dns)
    yield ca
    assert ca.violations == []


def test_it_issues_a_name_and_its_wildcard_over_a_real_port(dns: Dns) -> None:
    ca = make_ca(dns, alternates=1)
    ca.base_url = None
    with serve(ca) as served:
        net = client.ClientNetwork(new_key(), alg=ES256, user_agent="stock acme")
        acme = client.ClientV2(client.ClientV2.get_directory(f"{served.url}/dir", net), net)
        register(acme)
        orderr = order(acme, NAMES)
        assert [a.body.wildcard for a in orderr.authorizations] == [None, True]
        prove(acme, orderr, dns)
        done = acme.poll_and_finalize(orderr, soon())
        again = acme.poll_finalization(done, soon(), fetch_alternative_chains=True)
        net.session.close()
    roots = Roots.of(ca.books.authority.root_pem())
    for name in NAMES:
        assert judge(done.fullchain_pem, name, roots, START) is None
    assert len(again.alternative_fullchains_pem) == 1
    assert judge(again.alternative_fullchains_pem[0], "example.com", roots, START)
    assert (
        judge(again.alternative_fullchains_pem[0], "example.com", Roots.of(ca.books.authority.root_pem(1)), START)
        is None
    )
    assert (ca.new_orders, ca.finalizations, len(ca.issued)) == (1, 1, 1)


@pytest.mark.parametrize("length", [2, 3, 4])
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_chains_are_as_long_as_asked_in_both_lines(dns: Dns, length: int, kind: str) -> None:
    ca = make_ca(dns, chain_length=length)
    private = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP384R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = obtain(member(ca), dns, NAMES, key=pem)
    assert len(read_chain(chain)) == length
    assert judge(chain, "example.com", Roots.of(ca.roots_pem), START) is None
    assert all("NOT TRUSTED" in certificate.issuer.rfc4514_string() for certificate in read_chain(chain))


@pytest.mark.parametrize(
    ("profile", "days", "common_name"), [(None, 90, True), ("tlsserver", 45, False), ("shortlived", 160 / 24, False)]
)
def test_profiles_decide_lifetime_and_common_name(
    dns: Dns, ca: SandboxCA, profile: str | None, days: float, common_name: bool
) -> None:
    leaf = read_chain(obtain(member(ca), dns, NAMES, profile=profile))[0]
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=days) - timedelta(seconds=1)
    assert bool(list(leaf.subject)) is common_name
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical is not common_name


def test_a_shortened_lifetime_is_alive_from_the_start(dns: Dns, ca: SandboxCA) -> None:
    ca.set_lifetime("shortlived", timedelta(minutes=1))
    chain = obtain(member(ca), dns, NAMES, profile="shortlived")
    assert judge(chain, "example.com", Roots.of(ca.roots_pem), START) is None
    assert "expired" in str(judge(chain, "example.com", Roots.of(ca.roots_pem), START + timedelta(minutes=1)))


def test_an_account_is_found_again_by_its_key(ca: SandboxCA) -> None:
    key = new_key()
    made = register(connect(ca, key))
    with pytest.raises(errors.ConflictError) as caught:
        register(connect(ca, key))
    assert caught.value.location == made.uri
    with pytest.raises(messages.Error, match="accountDoesNotExist"):
        connect(ca).query_registration(made)


def test_a_wrong_proof_is_told_with_its_reason(dns: Dns, ca: SandboxCA) -> None:
    acme = member(ca)
    orderr = order(acme, ["example.com"])
    prove(acme, orderr, Dns())
    with pytest.raises(errors.ValidationError) as caught:
        acme.poll_authorizations(orderr, soon())
    body = caught.value.failed_authzrs[0].body
    assert "No TXT record found" in str(next(c.error for c in body.challenges if c.error))
    dns.values["_acme-challenge.example.com"] = ["somebody else's"]
    orderr = order(acme, ["example.com"])
    prove(acme, orderr, Dns())
    with pytest.raises(errors.ValidationError) as caught:
        acme.poll_authorizations(orderr, soon())
    body = caught.value.failed_authzrs[0].body
    assert "Incorrect TXT record" in str(next(c.error for c in body.challenges if c.error))


def test_a_challenge_is_not_started_by_an_empty_payload(dns: Dns, ca: SandboxCA) -> None:
    acme = member(ca)
    orderr = order(acme, ["example.com"])
    acme._post_as_get(orderr.authorizations[0].body.challenges[0].uri)
    assert acme.poll(orderr.authorizations[0])[0].body.status == messages.STATUS_PENDING


def test_it_revokes_for_the_account_and_for_the_certificate_key(dns: Dns, ca: SandboxCA) -> None:
    acme = member(ca)
    first = read_chain(obtain(acme, dns, NAMES))[0]
    acme.revoke(first, 4)
    with pytest.raises(messages.Error, match="alreadyRevoked"):
        acme.revoke(first, 4)
    pem = certificate_key()
    second = read_chain(obtain(acme, dns, NAMES, key=pem))[0]
    holder = serialization.load_pem_private_key(pem, None)
    connect(ca, JWKEC(key=holder)).revoke(second, 0)
    assert [issued.reason for issued in ca.issued] == [4, 1]
    with pytest.raises(messages.Error, match="compromised"):
        obtain(acme, dns, NAMES, key=pem)


def test_strangers_and_odd_reasons_do_not_revoke(dns: Dns, ca: SandboxCA) -> None:
    acme = member(ca)
    leaf = read_chain(obtain(acme, dns, NAMES))[0]
    with pytest.raises(messages.Error, match="badRevocationReason"):
        acme.revoke(leaf, 9)
    for stranger in (member(ca), connect(ca)):
        with pytest.raises(messages.Error, match="unauthorized"):
            stranger.revoke(leaf, 0)
    prover = member(ca)
    obtain(prover, dns, NAMES)
    prover.revoke(leaf, 0)  # who has proven all its names may


HMAC = base64.urlsafe_b64encode(b"h" * 32).rstrip(b"=").decode()


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_external_account_binding_is_verified(dns: Dns, alg: str) -> None:
    ca = make_ca(dns, eab_keys={"kid-1": HMAC}, eab_required=True)
    acme = connect(ca)
    assert acme.external_account_required()
    with pytest.raises(messages.Error, match="externalAccountRequired"):
        register(acme)
    public = key_of(acme).public_key()

    def binding(kid: str, hmac: str, key: JWK) -> dict[str, object]:
        made = messages.ExternalAccountBinding.from_data(key, kid, hmac, acme.directory, alg)
        return dict(made)

    for wrong in (binding("kid-2", HMAC, public), binding("kid-1", HMAC[::-1], public)):
        with pytest.raises(messages.Error, match=r"unauthorized|malformed"):
            register(acme, external_account_binding=wrong)
    with pytest.raises(messages.Error, match="another account key"):
        register(acme, external_account_binding=binding("kid-1", HMAC, new_key().public_key()))
    register(acme, external_account_binding=binding("kid-1", HMAC, public))
    assert ca.accounts[0].eab_kid == "kid-1"


@pytest.mark.plants_keys
def test_a_private_account_key_in_the_binding_is_caught(dns: Dns) -> None:
    ca = make_ca(dns, eab_keys={"kid-1": HMAC}, eab_required=True)
    acme = connect(ca)
    private = messages.ExternalAccountBinding.from_data(acme.net.key, "kid-1", HMAC, acme.directory, "HS256")
    with pytest.raises(messages.Error, match="private key material"):
        register(acme, external_account_binding=dict(private))
    assert ca.violations
    assert "a JWK with d" in ca.violations[0]
    assert not ca.accounts


def key_of(acme: client.ClientV2) -> JWKEC:
    assert isinstance(acme.net.key, JWKEC)
    return acme.net.key


class KeyChange(JSONObjectWithFields):
    account: str = field("account")
    old_key: JWK = field("oldKey", decoder=JWK.from_json)


def change_key(acme: client.ClientV2, new: JWKEC, account: str) -> None:
    url = acme.directory["keyChange"]
    payload = KeyChange(account=account, old_key=key_of(acme).public_key()).json_dumps().encode()
    acme._post(url, jws.JWS.sign(payload, key=new, alg=ES256, nonce=None, url=url))


def test_the_account_key_can_be_changed(dns: Dns, ca: SandboxCA) -> None:
    acme = connect(ca)
    account = register(acme).uri
    old, new = key_of(acme), new_key()
    with pytest.raises(messages.Error, match="another account"):
        change_key(acme, new, f"{URL}/acct/1")
    change_key(acme, new, account)
    with pytest.raises(messages.Error, match="signature"):
        order(acme, NAMES)
    acme.net.key = new
    obtain(acme, dns, NAMES)
    acme.net.key = old
    register(connect(ca, old))  # the old key is free again
    acme.net.key = new
    with pytest.raises(errors.ConflictError):
        change_key(acme, old, account)


def test_a_deactivated_account_can_do_nothing(ca: SandboxCA) -> None:
    acme = connect(ca)
    acme.deactivate_registration(register(acme))
    acme.net.account = messages.RegistrationResource(body=messages.Registration(), uri=URL + ca.accounts[0].path)
    with pytest.raises(messages.Error, match="deactivated"):
        order(acme, NAMES)
    with pytest.raises(messages.Error, match="deactivated"):
        register(connect(ca, acme.net.key))


def test_renewal_information_follows_the_lifetime_and_moves_when_revoked(dns: Dns, ca: SandboxCA) -> None:
    leaf = obtain(member(ca), dns, NAMES)
    acme = connect(ca)
    # `acme` compares with the machine's clock, so only the answer itself is looked at here
    cert_id = client._renewal_info_path_component(read_chain(leaf)[0])
    assert cert_id == ca.issued[0].cert_id
    window = acme.net.get(f"{URL}/ari/{cert_id}").json()["suggestedWindow"]
    assert (window["start"], window["end"]) == ("2027-01-21T10:23:59Z", "2027-01-23T05:35:59Z")
    ca.revoke(ca.issued[0].serial)
    window = acme.net.get(f"{URL}/ari/{cert_id}").json()["suggestedWindow"]
    assert (window["start"], window["end"]) == ("2026-11-23T08:00:00Z", "2026-11-23T08:30:00Z")


def test_rejected_nonces_are_new_nonces_away(dns: Dns, ca: SandboxCA) -> None:
    acme = member(ca)
    ca.bad.rejected_nonces = 0.1
    obtain(acme, dns, NAMES)
    ca.bad.rejected_nonces = 1.0
    with pytest.raises(messages.Error, match="badNonce"):
        order(acme, NAMES)
