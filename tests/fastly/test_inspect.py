"""What the adapter reads out of an account, and the settings it is opened with."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from certbroker.errors import Missing, Rejected
from certbroker.model import Assignment, Edge, Owner, Restorable
from certbroker.testkit.bundles import NOW, make_bundle
from certbroker.testkit.rig import OTHER_STORE
from certbroker_fastly import FastlySettings
from certbroker_fastly.simulator import EDGES
from tests.fastly.rig import NAMES, Fastly, make_fastly, version

ASSIGNMENT = Assignment("main", "place", NAMES)


def occupied(fastly: Fastly, *names: str, name: str | None = "by hand") -> str:
    theirs = make_bundle(NAMES)
    return fastly.simulator.add_foreign(theirs.version.chain_pem, theirs.key_pem, name=name, activate=names)


def test_ours_is_told_with_serial_issuer_and_end() -> None:
    fastly, bundle = make_fastly(), version()
    fastly.push(bundle)
    seen = fastly.inspect()
    assert set(seen) == set(NAMES)
    for live in seen.values():
        assert (live.owner, live.restorable) == (Owner.OURS, Restorable.KEPT)
        assert (live.serial, live.issued_by) == (bundle.version.serial, bundle.version.issued_by)
        assert live.ends == bundle.version.lifetime.ends
        assert live.agrees(bundle.version) is True
        assert live.reference.startswith("activation:")
        assert " certificate:" in live.reference


def test_somebody_elses_is_foreign_and_can_be_bound_again() -> None:
    fastly = make_fastly()
    certificate = occupied(fastly, "example.com")
    seen = fastly.inspect()
    assert set(seen) == {"example.com"}
    assert (seen["example.com"].owner, seen["example.com"].restorable) == (Owner.FOREIGN, Restorable.KEPT)
    assert seen["example.com"].reference.endswith(f" certificate:{certificate}")


@pytest.mark.parametrize(
    "name", ["certbroker", "certbroker/5ca1ab1e/main", "certbroker/NOT-HEX!/main/0123456789ab", ""]
)
def test_a_name_that_only_looks_like_ours_is_foreign(name: str) -> None:
    fastly = make_fastly()
    occupied(fastly, "example.com", name=name or None)
    assert fastly.inspect()["example.com"].owner is Owner.FOREIGN


def test_another_store_is_named() -> None:
    fastly = make_fastly()
    fastly.push(version(), store_id=OTHER_STORE)
    assert {(live.owner, live.store) for live in fastly.inspect().values()} == {(Owner.OTHER_STORE, OTHER_STORE)}


def test_a_certificate_that_fastly_manages_is_not_listed_and_is_recognised_all_the_same() -> None:
    fastly = make_fastly()
    fastly.simulator.manage("example.com")
    live = fastly.inspect()["example.com"]
    assert (live.owner, live.restorable, live.serial) == (Owner.MANAGED, Restorable.MANAGED, None)


def test_a_certificate_that_fastly_hides_without_a_subscription_is_foreign_and_lost_once_replaced() -> None:
    fastly = make_fastly()
    fastly.simulator.activate("example.com", "0" * 22)
    live = fastly.inspect()["example.com"]
    assert (live.owner, live.restorable) == (Owner.FOREIGN, Restorable.NO)


def test_activations_on_another_configuration_are_not_ours_to_see() -> None:
    fastly = make_fastly()
    other = fastly.simulator.add_configuration("legacy", edges=("198.51.100.99",))
    certificate = occupied(fastly)
    fastly.simulator.activate("example.com", certificate, configuration=other)
    assert dict(fastly.inspect()) == {}
    assert set(fastly.inspect(configuration="legacy")) == {"example.com"}
    assert set(fastly.inspect(configuration=other)) == {"example.com"}


def test_filters_that_fastly_ignores_are_looked_over_here() -> None:
    """Every activation of the account is listed, over several pages."""
    fastly = make_fastly()
    fastly.quirk(filters=False)
    names = tuple(f"n{number}.example.com" for number in range(130))
    bundle = version(names=names)
    certificate = fastly.simulator.add_foreign(bundle.version.chain_pem, bundle.key_pem, name="many", activate=names)
    seen = fastly.inspect((names[-1], "absent.example.com"))
    assert set(seen) == {names[-1]}
    assert seen[names[-1]].reference.endswith(certificate)


def test_a_configuration_is_found_by_id_by_name_or_by_default() -> None:
    fastly = make_fastly()
    other = fastly.simulator.add_configuration("legacy", edges=("198.51.100.99",))
    assert fastly.provider(configuration=other).edges(ASSIGNMENT) == (Edge("198.51.100.99"),)
    assert fastly.provider(configuration="legacy").edges(ASSIGNMENT) == (Edge("198.51.100.99"),)
    assert fastly.provider().edges(ASSIGNMENT) == tuple(Edge(address) for address in EDGES)


def test_a_configuration_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(Missing, match="no TLS configuration modern") as caught:
        make_fastly().inspect(configuration="modern")
    assert "TLS v1.3" in str(caught.value.hint)


def test_two_configurations_of_one_name_must_be_told_apart_by_id() -> None:
    fastly = make_fastly()
    ids = [fastly.simulator.add_configuration("twin") for _ in range(2)]
    with pytest.raises(Rejected, match="2 TLS configurations called twin"):
        fastly.inspect(configuration="twin")
    assert dict(fastly.inspect(configuration=ids[1])) == {}


def test_a_configuration_of_platform_tls_is_refused_by_name_before_anything_is_written() -> None:
    fastly = make_fastly()
    fastly.simulator.add_configuration("pool", bulk=True)
    with pytest.raises(Rejected, match=r'"pool".*Platform TLS.*bulk: true'):
        fastly.push(version(), configuration="pool")
    with pytest.raises(Rejected):
        fastly.provider(configuration="pool").check()
    assert fastly.writes == []


def test_a_host_name_is_an_edge_only_where_no_address_is_named() -> None:
    fastly = make_fastly()
    fastly.simulator.add_configuration("dedicated", cname="x.map.fastly.example")
    assert fastly.provider(configuration="dedicated").edges(ASSIGNMENT) == (Edge("x.map.fastly.example"),)
    fastly.simulator.add_configuration("none at all")
    assert fastly.provider(configuration="none at all").edges(ASSIGNMENT) == ()


def test_listings_are_read_once_a_run_and_activations_every_time() -> None:
    fastly = make_fastly()
    provider, bundle = fastly.provider(), version()
    provider.push(bundle, provider.inspect(ASSIGNMENT))
    provider.inspect(ASSIGNMENT)
    provider.push(bundle, provider.inspect(ASSIGNMENT))
    reads = [request.path for request in fastly.simulator.requests if not request.write]
    assert reads.count("/tls/configurations") == 1
    assert reads.count("/tls/private_keys") == 1
    assert reads.count("/tls/certificates") == 1
    assert reads.count("/tls/activations") == 5 * len(NAMES)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"token": {"env": "X"}, "tokn": 1}, "tokn"),
        ({}, "token"),
        ({"token": "pasted-secret"}, "token"),
        ({"token": {"env": "X"}, "api": "http://api.fastly.com"}, "https"),
        ({"token": {"env": "X"}, "api": "api.fastly.com"}, "URL"),
        ({"token": {"env": "X"}, "api": "https://user@api.fastly.com"}, "host"),
        ({"token": {"env": "X"}, "configuration": ""}, "configuration"),
    ],
)
def test_a_wrong_setting_is_told_and_a_pasted_secret_is_not_repeated(values: dict[str, object], where: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FastlySettings.model_validate(values)
    assert where in str(caught.value)
    assert "pasted-secret" not in str(caught.value)


@pytest.mark.parametrize("api", ["https://api.fastly.com/", "http://127.0.0.1:8080", "http://localhost:1"])
def test_the_api_may_be_elsewhere(api: str) -> None:
    settings = FastlySettings.model_validate({"token": {"env": "X"}, "api": api})
    assert settings.api == api.rstrip("/")


def test_a_token_is_described_as_far_as_fastly_does() -> None:
    fastly = make_fastly()
    ends = NOW + timedelta(days=25)
    fastly.token = fastly.simulator.add_token("certbroker-2", ends=ends)
    standing = fastly.provider().check()
    assert standing.name == 'token "certbroker-2"'
    assert standing.ends == ends
    assert standing.reach == 'TLS configuration "TLS v1.3", writing not tried'
    assert standing.remarks == ()


@pytest.mark.parametrize("status", [403, 404])
def test_a_token_that_may_not_ask_about_itself_is_accepted(status: int) -> None:
    fastly = make_fastly()
    fastly.quirk(tokens_self=status)
    assert fastly.provider().check().name == "a token that Fastly does not describe"


def test_a_token_for_reading_gets_a_remark() -> None:
    fastly = make_fastly()
    fastly.token = fastly.simulator.add_token("eyes", scope="global:read", writes=False)
    assert fastly.provider().check().remarks == ("the token's scope is global:read: a push needs global",)
