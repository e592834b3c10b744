"""Orders at CAs that we did not write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.config import IssuerSettings
from certbroker.keys import check_pair
from certbroker.sandbox.dns import DnsServer
from certbroker.world import SystemClock
from tests.issuer.desk import desk, own_dns, version, wanted
from tests.servers.pebble import Pebble, debian_pebble, new_pebble, pebble

pytestmark = pytest.mark.interop


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with own_dns() as server:
        yield server


def settings(server: Pebble, **more: object) -> IssuerSettings:
    return IssuerSettings("pebble", server.directory, ca_bundle=server.ca_bundle, agree_to_terms=True, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("find", [debian_pebble, new_pebble])
def test_pebble_signs_a_name_and_its_wildcard(find: object, tmp_path: Path, dns: DnsServer) -> None:
    program = find()  # type: ignore[operator]
    with (
        pebble(program, tmp_path / "ca", dns.address) as server,
        desk(tmp_path, settings(server), dns.address, SystemClock()) as at,
    ):
        got = version(at.issuer().obtain([wanted()])[0])
        assert got.names == ("example.com", "*.example.com")
        key = at.vault.unseal(at.store.id, "version", str(got.id), at.store.box("version", str(got.id)))  # type: ignore[arg-type]
        check_pair(got.chain_pem, key, got.names, SystemClock().now())
        assert dns.txt("_acme-challenge.example.com") == []
        assert at.kinds().count("issued") == 1
