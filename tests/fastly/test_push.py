"""Pushing: what is written, in which order, what survives it, and what each refusal becomes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from certbroker.errors import CredentialsRejected, Missing, Misunderstood, ProviderError, Rejected, Unavailable
from certbroker.model import Bundle, Done, Failed, KeyType, Outcome
from certbroker.testkit.bundles import expired, make_bundle, with_wrong_key
from certbroker.testkit.rig import OTHER_STORE, STORE
from certbroker.testkit.simulator import Fault, Response
from tests.fastly.rig import NAMES, Fastly, make_fastly, version


def failure(outcome: Outcome) -> ProviderError:
    assert isinstance(outcome, Failed)
    return outcome.error


def serves(fastly: Fastly, bundle: Bundle, *names: str) -> bool:
    return {fastly.served(name) for name in names or NAMES} == {bundle.fingerprint}


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


# ---- what is in the way ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moves", [False, True])
def test_a_name_that_fastly_manages_is_left_alone_with_advice(moves: bool) -> None:
    fastly, bundle = make_fastly(), version()
    fastly.quirk(managed_activation_moves=moves)
    fastly.simulator.manage("example.com")
    managed = fastly.served("example.com")
    outcomes = fastly.push(bundle)
    error = failure(outcomes["example.com"])
    assert "manages the certificate of example.com itself" in error.what
    assert "subscription" in str(error.hint)
    assert fastly.served("example.com") == managed
    assert serves(fastly, bundle, *NAMES[1:])


def test_a_subscription_that_serves_nothing_yet_is_in_the_way_too() -> None:
    fastly = make_fastly()
    data = {"type": "tls_subscription", "relationships": {"tls_domain": {"data": [{"id": "example.com"}]}}}
    fastly.simulator._changes().answer("POST", ["subscriptions"], {"data": data})
    outcomes = fastly.push(version())
    assert "manages the certificate of example.com itself" in failure(outcomes["example.com"]).what
    assert outcomes["*.example.com"] == Done()


@pytest.mark.parametrize("once", ["configuration", "domain"])
def test_a_name_enabled_on_another_configuration(once: str) -> None:
    fastly, bundle = make_fastly(), version()
    fastly.quirk(one_activation_per=once)
    other = fastly.simulator.add_configuration("legacy")
    theirs = make_bundle(NAMES)
    certificate = fastly.simulator.add_foreign(theirs.version.chain_pem, theirs.key_pem, name="old")
    fastly.simulator.activate("example.com", certificate, configuration=other)
    outcomes = fastly.push(bundle)
    assert fastly.served("example.com", other) == theirs.fingerprint
    assert serves(fastly, bundle, *NAMES[1:])
    if once == "configuration":
        assert outcomes["example.com"] == Done()
        assert serves(fastly, bundle)
    else:
        error = failure(outcomes["example.com"])
        assert "domain_id has already been taken" in error.what
        assert f'configuration = "{other}"' in str(error.hint)


def test_somebody_who_was_quicker_is_no_conflict() -> None:
    """Between our look and our POST another one made the activation."""
    fastly, bundle = make_fastly(), version()
    theirs = make_bundle(NAMES)

    def quicker() -> None:
        if len(fastly.simulator.certificate_names()) == 1 and not fastly.simulator.estate.activations:
            fastly.simulator.add_foreign(theirs.version.chain_pem, theirs.key_pem, name="t", activate=["example.com"])

    fastly.quirk(list_lag=1)
    fastly.line.gate.watch = quicker
    assert set(fastly.push(bundle).values()) == {Done()}
    assert serves(fastly, bundle)
    assert "PATCH activations" in fastly.writes


def test_a_name_on_no_active_service_fails_alone_with_advice() -> None:
    fastly, bundle = make_fastly(domains=NAMES[:1] + NAMES[2:]), version()
    outcomes = fastly.push(bundle)
    error = failure(outcomes["*.example.com"])
    assert "The domain you entered was not found on one of your services" in error.what
    assert error.hint == "put *.example.com on an active Fastly service; the next run goes on"
    assert serves(fastly, bundle, "example.com", "www.example.net")
    fastly.quirk(services_checked=False)
    assert set(fastly.push(bundle).values()) == {Done()}


# ---- errors ----------------------------------------------------------------------------------------------------------


def test_a_token_that_reads_and_may_not_write_is_told_what_it_lacks() -> None:
    fastly = make_fastly()
    fastly.quirk(read_only=True)
    assert dict(fastly.inspect()) == {}
    with pytest.raises(CredentialsRejected) as caught:
        fastly.push(version())
    assert "TLS management" in str(caught.value.hint)


@pytest.mark.parametrize("plain", [False, True])
def test_a_revoked_token_is_told(plain: bool) -> None:
    fastly = make_fastly()
    fastly.quirk(plain_401=plain)
    fastly.simulator.revoke(fastly.simulator.token)
    with pytest.raises(CredentialsRejected, match="Provided credentials are missing or invalid"):
        fastly.inspect()


@pytest.mark.parametrize(("headers", "retry_after"), [(True, True), (True, False), (False, True), (False, False)])
def test_the_hourly_limit_ends_the_push_and_the_next_one_goes_on(headers: bool, retry_after: bool) -> None:
    fastly, bundle = make_fastly(), version()
    fastly.quirk(writes_per_hour=3, rate_headers=headers, retry_after=retry_after)
    outcomes = fastly.push(bundle)
    assert outcomes["example.com"] == Done()
    for name in NAMES[1:]:
        error = failure(outcomes[name])
        assert isinstance(error, Unavailable)
        assert error.retry_after == (3600.0 if headers or retry_after else None)
    fastly.clock.advance(timedelta(hours=1, seconds=1))
    assert set(fastly.push(bundle).values()) == {Done()}


def test_reads_are_not_counted() -> None:
    fastly = make_fastly()
    fastly.quirk(writes_per_hour=5)
    for _ in range(10):
        fastly.inspect()
    assert set(fastly.push(version()).values()) == {Done()}


def test_a_line_that_dies_midway_leaves_the_rest_for_the_next_push() -> None:
    fastly, bundle = make_fastly(), version()
    fastly.simulator.faults.append(
        Fault("reset", when="after", skip=1, matches=lambda r: r.write and r.path == "/tls/activations")
    )
    outcomes = fastly.push(bundle)
    assert outcomes["example.com"] == Done()
    assert {type(failure(outcomes[name])) for name in NAMES[1:]} == {Unavailable}
    assert set(fastly.push(bundle).values()) == {Done()}
    assert fastly.writes[-1] == "POST activations"
    assert serves(fastly, bundle)


@pytest.mark.parametrize("body", ["{}", '{"data": {"id": "x"}}', '{"data": null}'])
def test_a_move_that_fastly_took_without_showing_it_is_not_done(body: str) -> None:
    fastly = make_fastly()
    fastly.push(version())
    fastly.simulator.faults.append(
        Fault(Response(200, body.encode()), times=3, matches=lambda request: request.method == "PATCH")
    )
    outcomes = fastly.push(version(2))
    assert {type(failure(outcome)) for outcome in outcomes.values()} == {Misunderstood}


def test_an_activation_that_vanished_between_look_and_move_is_made_again_by_the_next_push() -> None:
    fastly, bundle = make_fastly(), version(2)
    fastly.push(version())
    fault = Fault(Response.html(404, "<h1>Not Found</h1>"), matches=lambda request: request.method == "PATCH")
    fastly.simulator.faults.append(fault)
    outcomes = fastly.push(bundle)
    assert isinstance(failure(outcomes["example.com"]), Missing)
    assert outcomes["*.example.com"] == Done()
    fastly.push(bundle)
    assert serves(fastly, bundle)


@pytest.mark.parametrize("status", [400, 409, 422])
def test_bad_material_is_refused_whole_and_the_old_is_served(status: int) -> None:
    fastly, old = make_fastly(), version()
    fastly.quirk(refusal_status=status)
    fastly.push(old)
    for bad in (expired(NAMES), with_wrong_key(version(2))):
        with pytest.raises(Rejected, match=rf"\({status}\).*sim:"):
            fastly.push(bad)
    assert serves(fastly, old)


def test_a_certificate_without_names_is_explained() -> None:
    fastly, bundle = make_fastly(), version()
    fault = Fault(
        Response.of(
            400, {"errors": [{"title": "Can't create certificate", "detail": "need at least one DNS name, got none"}]}
        ),
        matches=lambda request: request.write and request.path == "/tls/certificates",
    )
    fastly.simulator.faults.append(fault)
    with pytest.raises(Rejected) as caught:
        fastly.push(bundle)
    assert "DNS names in its SAN" in str(caught.value.hint)


# ---- restore and prune -----------------------------------------------------------------------------------------------


def test_restore_uploads_the_previous_version_again_if_it_was_pruned() -> None:
    fastly, old, new = make_fastly(), version(), version(2)
    fastly.push(old)
    before = fastly.inspect()
    fastly.push(new)
    fastly.prune(new)
    fastly.provider().restore(new.assignment, before, old)
    assert serves(fastly, old)


def test_restore_binds_again_what_was_bound_and_leaves_new_names_as_they_are() -> None:
    fastly, new, theirs = make_fastly(), version(), make_bundle(NAMES)
    fastly.simulator.add_foreign(theirs.version.chain_pem, theirs.key_pem, name="by hand", activate=["example.com"])
    before = fastly.inspect()
    fastly.push(new)
    fastly.provider().restore(new.assignment, before, None)
    assert fastly.served("example.com") == theirs.fingerprint
    assert serves(fastly, new, *NAMES[1:])


def test_restore_brings_back_an_activation_that_is_gone() -> None:
    fastly, new, theirs = make_fastly(), version(), make_bundle(NAMES)
    fastly.simulator.add_foreign(theirs.version.chain_pem, theirs.key_pem, name="by hand", activate=NAMES)
    before = fastly.inspect()
    fastly.simulator.estate.activations.clear()
    fastly.provider().restore(new.assignment, before, None)
    assert serves(fastly, theirs)


def test_restore_leaves_what_fastly_manages() -> None:
    fastly = make_fastly()
    fastly.simulator.manage("example.com")
    before = fastly.inspect()
    fastly.provider().restore(version().assignment, before, None)
    assert fastly.writes == []


def test_restore_of_what_is_gone_for_good_is_an_error_after_every_name_was_tried() -> None:
    fastly, new, theirs = make_fastly(), version(), make_bundle(NAMES)
    fastly.simulator.add_foreign(theirs.version.chain_pem, theirs.key_pem, name="by hand", activate=NAMES)
    before = dict(fastly.inspect())
    before["example.com"] = replace(before["example.com"], reference=f"activation:x certificate:{'0' * 22}")
    fastly.push(new)
    with pytest.raises(Missing):
        fastly.provider().restore(new.assignment, before, None)
    assert serves(fastly, new, "example.com")
    assert serves(fastly, theirs, *NAMES[1:])


def test_prune_takes_certificate_and_key_and_says_so() -> None:
    fastly, old, new = make_fastly(), version(), version(2)
    fastly.push(old)
    fastly.push(new)
    tail = f"certbroker/{STORE}/main/{old.fingerprint[:12]}"
    assert fastly.prune(new) == (f"certificate {tail}", f"key {tail}")
    assert fastly.prune(new) == ()


def test_prune_keeps_a_key_that_another_certificate_has() -> None:
    """Somebody uploaded our certificate again under his own name."""
    fastly, old, new = make_fastly(), version(), version(2)
    fastly.push(old)
    fastly.simulator.add_certificate(old.version.chain_pem, name="a copy")
    fastly.push(new)
    removed = fastly.prune(new)
    assert [what.split()[0] for what in removed] == ["certificate"]
    assert "a copy" in {row["name"] for row in fastly.simulator.certificate_names()}


@pytest.mark.parametrize("status", [400, 409, 422])
def test_prune_tolerates_that_fastly_refuses(status: int) -> None:
    fastly, old, new = make_fastly(), version(), version(2)
    fastly.push(old)
    fastly.push(new)
    fault = Fault(
        Response.of(status, {"errors": [{"title": "in use"}]}), times=2, matches=lambda r: r.method == "DELETE"
    )
    fastly.simulator.faults.append(fault)
    assert fastly.prune(new) == ()
    assert fault.times == 1, "a key whose certificate stays is not tried"
    assert serves(fastly, new)


def test_prune_takes_the_key_that_a_cut_push_left() -> None:
    fastly, bundle = make_fastly(), version()
    fastly.line.gate.cut(1, "before")
    with pytest.raises(Unavailable):
        fastly.push(bundle)
    fastly.line.gate.mend()
    assert fastly.prune(bundle) == ()
    assert len(fastly.prune()) == 1
    assert fastly.simulator.estate.keys == {}


def test_prune_does_not_touch_another_store_or_another_certificate() -> None:
    fastly = make_fastly()
    for number in (1, 2):
        fastly.push(version(number), store_id=OTHER_STORE)
    state = fastly.state()
    assert fastly.prune() == ()
    assert fastly.prune(certificate="mai") == ()
    assert fastly.state() == state


# ---- checking --------------------------------------------------------------------------------------------------------


def test_trying_to_write_changes_nothing_and_tells_a_token_that_cannot() -> None:
    fastly = make_fastly()
    state = fastly.state()
    assert "may write" in fastly.provider().check(write=True).reach
    assert fastly.writes == ["POST private_keys"]
    assert fastly.state() == state
    fastly.quirk(read_only=True)
    assert "writing not tried" in fastly.provider().check().reach
    with pytest.raises(CredentialsRejected) as caught:
        fastly.provider().check(write=True)
    assert "TLS management" in str(caught.value.hint)
