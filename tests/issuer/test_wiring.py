"""How an issuer reaches its CA: announced, where `connect_to` says, judged by the bundle it is given, and not before it is asked."""

from __future__ import annotations

import random
import ssl
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from certbroker.config import IssuerSettings, NetworkSettings
from certbroker.errors import IssuerUnavailable, NothingDone
from certbroker.sandbox.ca import SandboxCA
from certbroker.testkit.simulator import SimulatorTransport, serve
from tests.clock import TestClock
from tests.issuer.desk import desk, own_dns, wanted
from tests.servers.process import loopback_certificate
from tests.world import CountingNetwork


def sandbox(clock: TestClock, base: str, *, eab_required: bool = False) -> SandboxCA:
    return SandboxCA(
        clock=clock, rng=random.Random(7), lookup_txt=lambda name: [], base_url=base, eab_required=eab_required
    )


def test_contacts_are_announced_and_go_where_connect_to_says(tmp_path: Path) -> None:
    clock = TestClock()
    settings = IssuerSettings("sandbox", "http://ca.test/dir", agree_to_terms=True)
    ca = sandbox(clock, "http://ca.test")
    with serve(ca) as served, own_dns() as dns, desk(tmp_path, settings, dns.address, clock) as at:
        network = NetworkSettings(connect_to={"ca.test:80": f"{served.host}:{served.port}"})
        assert at.issuer(network=network).account() == "http://ca.test" + ca.accounts[0].path
        counting = at.world.network
        assert isinstance(counting, CountingNetwork)
        assert counting.contacts == [("http", "http://ca.test")] * 3
        counting.forbidden = True
        with pytest.raises(IssuerUnavailable, match="cannot be reached"):
            at.issuer(network=network).check()


def test_the_ca_is_judged_by_its_bundle_and_by_nothing_else(tmp_path: Path) -> None:
    clock = TestClock()
    certificate, key = loopback_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    ca = sandbox(clock, "")
    with serve(ca, tls=tls) as served, own_dns() as dns:
        ca.base_url = served.url
        stranger = IssuerSettings("sandbox", f"{served.url}/dir", agree_to_terms=True)
        with desk(tmp_path, stranger, dns.address, clock) as at:
            with pytest.raises(IssuerUnavailable, match="certificate we do not trust") as caught:
                at.issuer().account()
            assert "ca_bundle" in (caught.value.hint or "")
            known = IssuerSettings("sandbox", f"{served.url}/dir", agree_to_terms=True, ca_bundle=certificate)
            assert at.issuer(settings=known).account().startswith(served.url)


@pytest.mark.parametrize("option", ["ca_bundle", "roots"])
@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_pem_file_of_the_settings_that_is_of_no_use_stops_everything(
    tmp_path: Path, option: str, text: str | None
) -> None:
    path = tmp_path / "some.pem"
    if text is not None:
        path.write_text(text)
    clock = TestClock()
    settings = IssuerSettings("sandbox", "http://ca.test/dir", agree_to_terms=True, **{option: path})  # type: ignore[arg-type]
    ca = sandbox(clock, "http://ca.test")
    with own_dns() as dns, desk(tmp_path, settings, dns.address, clock, transport=SimulatorTransport(ca)) as at:
        outcome = at.issuer().obtain([wanted()])[0]
    assert isinstance(outcome, NothingDone)
    assert f"{option} of [issuer.sandbox]" in outcome.what
    assert ca.requests == []


def test_a_ca_that_wants_an_account_binding_is_told_before_a_key_is_made(tmp_path: Path) -> None:
    clock = TestClock()
    settings = IssuerSettings("sandbox", "http://ca.test/dir", agree_to_terms=True)
    ca = sandbox(clock, "http://ca.test", eab_required=True)
    with own_dns() as dns, desk(tmp_path, settings, dns.address, clock, transport=SimulatorTransport(ca)) as at:
        outcome = at.issuer().obtain([wanted()])[0]
        assert isinstance(outcome, NothingDone)
        assert "external account binding" in outcome.what
        assert list(at.store.boxes()) == []


def test_after_the_deadline_the_ca_is_not_asked(tmp_path: Path) -> None:
    clock = TestClock()
    settings = IssuerSettings("sandbox", "http://ca.test/dir", agree_to_terms=True)
    ca = sandbox(clock, "http://ca.test")
    with own_dns() as dns, desk(tmp_path, settings, dns.address, clock, transport=SimulatorTransport(ca)) as at:
        issuer = at.issuer()
        clock.advance(timedelta(seconds=at.seconds + 1))
        with pytest.raises(IssuerUnavailable, match="no time left"):
            issuer.account()
        assert ca.requests == []


def test_the_room_can_be_entered_without_acme() -> None:
    """A run in which nothing is due imports it and asks nothing."""
    code = "import sys, certbroker.issuer; sys.exit('acme.client' in sys.modules or 'josepy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
