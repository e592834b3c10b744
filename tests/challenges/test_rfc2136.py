"""DNS UPDATE with TSIG: what the server says, as our errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from certbroker.challenges.rfc2136 import Rfc2136Settings, Rfc2136Solver
from certbroker.errors import CredentialsRejected, Missing, Rejected, Unavailable
from certbroker.sandbox.dns import DnsServer
from tests.challenges.rig import KEY, KEY_NAME, OTHER, VALUE, HoleyNetwork, context, small_world, town

NAME = "_acme-challenge.example.com"


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with town("example.com") as server:
        yield server


def own(
    tmp_path: Path,
    dns: DnsServer,
    *,
    secret: str = KEY,
    key: str = KEY_NAME,
    zones: tuple[str, ...] = (),
    network: HoleyNetwork | None = None,
) -> Rfc2136Solver:
    world = small_world(tmp_path, network=network)
    settings = Rfc2136Settings.model_validate({"server": dns.address, "key": key, "secret": {"env": "TSIG"}})
    return Rfc2136Solver.open(settings, context(world, dns=dns, zones=zones, secrets={"TSIG": secret}))


def test_adds_ours_and_deletes_ours_only(tmp_path: Path, dns: DnsServer) -> None:
    dns.add(NAME, "TXT", "somebody else's")
    solver = own(tmp_path, dns)
    for value in (VALUE, OTHER, VALUE):
        handle = solver.present("example.com", NAME, value)
    assert sorted(dns.txt(NAME)) == sorted([VALUE, OTHER, "somebody else's"])
    solver.clean_up("example.com", NAME, VALUE, handle)
    solver.clean_up("example.com", NAME, OTHER, None)
    solver.clean_up("example.com", NAME, OTHER, None)
    assert dns.txt(NAME) == ["somebody else's"]


def test_a_value_at_the_apex_and_one_of_many_octets(tmp_path: Path, dns: DnsServer) -> None:
    long = 'a"b\\c;' * 60
    own(tmp_path, dns).present("example.com", "example.com", long)
    assert dns.txt("example.com") == [long]


def test_the_zone_is_the_one_that_the_server_itself_answers_for(tmp_path: Path, dns: DnsServer) -> None:
    dns.add_zone("sub.example.com")
    solver = own(tmp_path, dns)
    assert solver.zone_for("_acme-challenge.a.sub.example.com") == "sub.example.com"
    assert solver.zone_for(NAME) == "example.com"
    assert solver.zone_for("_acme-challenge.example.org") is None


def test_a_wrong_secret_is_told_without_showing_it(tmp_path: Path, dns: DnsServer) -> None:
    wrong = "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3JvbmctMTI="
    with pytest.raises(CredentialsRejected, match=r"refused TSIG key certbroker\.") as caught:
        own(tmp_path, dns, secret=wrong).present("example.com", NAME, VALUE)
    assert wrong not in repr(caught.value) + str(caught.value.hint)


def test_an_unknown_key_name_is_told(tmp_path: Path, dns: DnsServer) -> None:
    with pytest.raises(CredentialsRejected, match="refused TSIG key stranger"):
        own(tmp_path, dns, key="stranger.").present("example.com", NAME, VALUE)


def test_a_secret_that_is_not_base64_is_told(tmp_path: Path, dns: DnsServer) -> None:
    with pytest.raises(CredentialsRejected, match=r"the TSIG secret in \$TSIG is not base64"):
        own(tmp_path, dns, secret="abc").present("example.com", NAME, VALUE)


def test_a_zone_that_the_server_has_not_is_told(tmp_path: Path, dns: DnsServer) -> None:
    with pytest.raises(Missing, match=r"is not the primary of example.org \(NOTAUTH\)"):
        own(tmp_path, dns).present("example.org", "_acme-challenge.example.org", VALUE)


def test_a_cname_in_the_way_is_told_although_servers_keep_silent_about_it(tmp_path: Path, dns: DnsServer) -> None:
    dns.add(NAME, "CNAME", "elsewhere.test.")
    with pytest.raises(Rejected, match=f"a CNAME stands at {NAME}"):
        own(tmp_path, dns).present("example.com", NAME, VALUE)


def test_a_refusal_and_a_dead_line_are_told_apart(tmp_path: Path, dns: DnsServer) -> None:
    dns.refuse = True
    with pytest.raises(CredentialsRejected, match="REFUSED"):
        own(tmp_path, dns).present("example.com", NAME, VALUE)
    with pytest.raises(Unavailable, match="did not answer the update"):
        own(tmp_path, dns, network=HoleyNetwork(dns.address)).present("example.com", NAME, VALUE)


def test_a_name_outside_the_zone_is_refused_before_anything_is_sent(tmp_path: Path, dns: DnsServer) -> None:
    with pytest.raises(Rejected, match=r"myexample.com is not in the zone example.com"):
        own(tmp_path, dns).present("example.com", "myexample.com", VALUE)
    assert dns.updates == 0


def test_check_tries_the_key_and_changes_nothing(tmp_path: Path, dns: DnsServer) -> None:
    standing = own(tmp_path, dns, zones=("example.com",)).check()
    assert (standing.name, standing.reach, standing.remarks) == ("TSIG key certbroker.", "example.com", ())
    with pytest.raises(CredentialsRejected):
        own(tmp_path, dns, zones=("example.com",), secret="d3Jvbmc=").check()
    assert own(tmp_path, dns).check().remarks == ("the file names no zones for it, so the key was not tried",)


def test_check_with_write_leaves_nothing_behind(tmp_path: Path, dns: DnsServer) -> None:
    standing = own(tmp_path, dns, zones=("example.com",)).check(write=True)
    assert standing.remarks == ("wrote and removed a TXT at _certbroker-check.example.com",)
    assert dns.txt("_certbroker-check.example.com") == []


@pytest.mark.parametrize(
    "wrong",
    [{"server": "ns1:notaport"}, {"server": ""}, {"key": "a..b"}, {"secret": KEY}, {"algorithm": "md5"}, {"x": 1}],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    good: dict[str, object] = {"server": "192.0.2.1:53", "key": "k.", "secret": {"env": "TSIG"}}
    Rfc2136Settings.model_validate(good)
    with pytest.raises(ValidationError) as caught:
        Rfc2136Settings.model_validate(good | wrong)
    assert KEY not in str(caught.value)
