"""Orders at CAs that we did not write, proven in a DNS that we did not write: Pebble 2.4.0 and 2.10 with their own bad
habits switched on, Caddy, Knot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certbroker.config import IssuerSettings
from certbroker.errors import IssuanceError, NothingDone
from certbroker.events import ReplacesRefused
from certbroker.keys import check_pair, read_chain
from certbroker.model import KeyType, Version
from certbroker.sandbox.dns import DnsServer
from certbroker.world import SystemClock
from tests.issuer.desk import Desk, desk, version, wanted
from tests.servers.caddy import caddy, caddy_program
from tests.servers.knot import KEY, Knot, knot
from tests.servers.pebble import Pebble, debian_pebble, new_pebble, pebble

pytestmark = pytest.mark.interop

BOTH = pytest.mark.parametrize("find", [debian_pebble, new_pebble])
Find = Callable[[], str]


@pytest.fixture
def dns(tmp_path: Path) -> Iterator[Knot]:
    """Both the zone's server, which takes our updates, and whom the CAs and we ask."""
    with knot(tmp_path / "dns", {"example.com": ""}) as server:
        yield server


def at_work(folder: Path, own: IssuerSettings, dns: Knot) -> AbstractContextManager[Desk]:
    return desk(folder, own, dns.address, SystemClock(), tsig=KEY)


def settings(server: Pebble, **more: object) -> IssuerSettings:
    values = {"ca_bundle": server.ca_bundle, "agree_to_terms": True, **more}
    return IssuerSettings("pebble", server.directory, **values)  # type: ignore[arg-type]


def proven(at: Desk, got: Version) -> None:
    """Its sealed key opens and belongs to it, and its chain is in order."""
    box = at.store.box("version", str(got.id))
    assert box is not None
    key = at.vault.unseal(at.store.id, "version", str(got.id), box)
    check_pair(got.chain_pem, key, got.names, SystemClock().now())


@BOTH
@pytest.mark.parametrize("length", ["1", "3"])
def test_pebble_signs_a_name_and_its_wildcard(find: Find, length: str, tmp_path: Path, dns: Knot) -> None:
    environ = {"PEBBLE_CHAIN_LENGTH": length}
    with (
        pebble(find(), tmp_path / "ca", dns.address, environ=environ) as server,
        at_work(tmp_path, settings(server), dns) as at,
    ):
        got = version(at.issuer().obtain([wanted()])[0])
        proven(at, got)
        assert got.names == ("example.com", "*.example.com")
        assert len(read_chain(got.chain_pem)) == 1 + int(length)
        assert not got.trusted
        assert dns.txt("_acme-challenge.example.com") == []
        assert at.store.unremoved() == []
        assert at.issuer().check().account == got.account_uri


@BOTH
def test_pebble_signs_many_certificates_in_one_batch(find: Find, tmp_path: Path, dns: Knot) -> None:
    with (
        pebble(find(), tmp_path / "ca", dns.address, environ={"PEBBLE_WFE_NONCEREJECT": "20"}) as server,
        at_work(tmp_path, settings(server), dns) as at,
    ):
        requests = [wanted(f"n{i}.example.com", f"*.n{i}.example.com", certificate=f"c{i}") for i in range(10)]
        requests.append(wanted("n0.example.com", "*.n0.example.com", certificate="c0", key_type=KeyType.RSA2048))
        got = [version(outcome) for outcome in at.issuer().obtain(requests)]
        for each in got:
            proven(at, each)
        assert got[-1].key_type is KeyType.RSA2048
        assert {v.account_uri for v in got} == {got[0].account_uri}


@BOTH
def test_pebble_tells_which_name_it_could_not_prove(find: Find, tmp_path: Path, dns: Knot) -> None:
    """The CA asks a DNS that knows nothing of our records."""
    with (
        DnsServer(recursive=True) as other,
        pebble(find(), tmp_path / "ca", other.address) as server,
        at_work(tmp_path, settings(server), dns) as at,
    ):
        other.add_zone("example.com")
        outcome = at.issuer().obtain([wanted()])[0]
        assert isinstance(outcome, IssuanceError)
        assert "example.com:" in outcome.what
        assert "*.example.com:" in outcome.what
        assert at.store.open_orders() == []
        assert dns.txt("_acme-challenge.example.com") == []


@BOTH
def test_an_account_whose_address_is_kept_wrong_is_found_again_by_its_key(
    find: Find, tmp_path: Path, dns: Knot
) -> None:
    with (
        pebble(find(), tmp_path / "ca", dns.address) as server,
        at_work(tmp_path, settings(server), dns) as at,
    ):
        uri = at.issuer().account()
        at.store.put_account("pebble", server.directory, uri + "0123", key_type=KeyType.P256)
        assert at.issuer().check().account == uri
        account = at.store.account("pebble", server.directory)
        assert account is not None
        assert account.uri == uri
        assert version(at.issuer().obtain([wanted()])[0]).account_uri == uri


def test_pebble_takes_the_profile_and_refuses_one_it_has_not(tmp_path: Path, dns: Knot) -> None:
    profiles = {"shortlived": {"description": "six days", "validityPeriod": 518400}}
    with pebble(new_pebble(), tmp_path / "ca", dns.address, config={"profiles": profiles}) as server:
        chosen = settings(server, profile="shortlived")
        with at_work(tmp_path, chosen, dns) as at:
            got = version(at.issuer().obtain([wanted()])[0])
            assert got.profile == "shortlived"
            assert got.lifetime.length < timedelta(days=7)
            absent = at.issuer(settings=settings(server, profile="classic")).obtain([wanted(certificate="other")])[0]
            assert isinstance(absent, NothingDone)
            assert "shortlived" in absent.what


def test_pebble_says_when_to_renew_and_is_told_what_is_replaced(tmp_path: Path, dns: Knot) -> None:
    """ARI and `replaces` (RFC 9773): a window, the same window, a malformed one, a moved one; then replaced once and twice."""
    with (
        pebble(new_pebble(), tmp_path / "ca", dns.address) as server,
        at_work(tmp_path, settings(server), dns) as at,
    ):
        issuer = at.issuer(minimum=timedelta())
        first = version(issuer.obtain([wanted()])[0])
        leaf = first.chain_pem.split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
        window = issuer.windows([first])[0]
        assert window is not None
        assert window.start <= window.drawn <= window.end
        again = issuer.windows([first])[0]
        assert again is not None
        assert again.drawn == window.drawn

        server.set_renewal_info(leaf, "no window at all")
        kept = issuer.windows([first])[0]
        assert kept is not None
        assert (kept.start, kept.drawn) == (window.start, window.drawn)
        assert at.kinds()[-1] == "window-unknown"

        past = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
        answer = {
            "suggestedWindow": {"start": past.isoformat(), "end": (past + timedelta(hours=3)).isoformat()},
            "explanationURL": "https://ca.example/incident",
        }
        server.set_renewal_info(leaf, json.dumps(answer))
        moved = issuer.windows([first])[0]
        assert moved is not None
        assert moved.start == past
        assert moved.explanation_url == "https://ca.example/incident"

        second = version(issuer.obtain([wanted(replaces=first)])[0])
        assert second.number == 2
        assert not [event for event in at.told if isinstance(event, ReplacesRefused)]
        third = version(issuer.obtain([wanted(replaces=first)])[0])
        assert third.number == 3
        refused = [event for event in at.told if isinstance(event, ReplacesRefused)]
        assert len(refused) == 1
        assert "409" in refused[0].detail


def test_pebble_may_ask_us_to_wait_in_both_forms(tmp_path: Path, dns: Knot) -> None:
    """It answers Retry-After in seconds or as a date, at random."""
    config = {"retryAfter": {"authz": 1, "order": 1}}
    with (
        pebble(new_pebble(), tmp_path / "ca", dns.address, config=config) as server,
        at_work(tmp_path, settings(server), dns) as at,
    ):
        for number in range(3):
            proven(at, version(at.issuer().obtain([wanted(certificate=f"c{number}")])[0]))


def test_caddy_signs_a_name_and_its_wildcard(tmp_path: Path, dns: Knot) -> None:
    with caddy(caddy_program(), tmp_path / "ca", dns.address) as server:
        own = IssuerSettings("caddy", server.directory, ca_bundle=server.ca_bundle, roots=server.roots)
        with at_work(tmp_path, own, dns) as at:
            got = version(at.issuer().obtain([wanted()])[0])
            proven(at, got)
            assert got.roots_pem == server.roots.read_text()
            assert at.issuer().windows([got])[0] is None
            assert at.issuer().check().account == got.account_uri
            assert dns.txt("_acme-challenge.example.com") == []
