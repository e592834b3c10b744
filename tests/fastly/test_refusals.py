"""What is in the way of a push, and what each refusal and each bad day becomes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from certbroker.errors import CredentialsRejected, Missing, Misunderstood, Rejected, Unavailable
from certbroker.model import Done
from certbroker.testkit.bundles import expired, make_bundle, with_wrong_key
from certbroker.testkit.simulator import Fault, Response
from tests.fastly.rig import NAMES, failure, make_fastly, serves, version

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
    assert "certbroker takeover" in str(error.hint)
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
