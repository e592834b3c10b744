"""Real name servers: Knot takes our signed updates, PowerDNS is written to through Lexicon, and both are asked as the CA asks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from certbroker.challenges import Challenges, Txt
from certbroker.challenges.lookup import Server, State
from certbroker.config import SolverSettings
from certbroker.errors import ChallengeFailed, CredentialsRejected, Missing, NothingDone, ProviderError, Rejected
from certbroker.events import Event
from tests.challenges.rig import OTHER, VALUE, MemoryJournal, challenges, lookup, small_world, solver
from tests.servers.knot import KEY, KEY_NAME, Knot, knot
from tests.servers.powerdns import API_KEY, PowerDns, powerdns

pytestmark = pytest.mark.interop

NAME = "_acme-challenge.example.test"
LABELS = f"""
_acme-challenge.moved CNAME pt.example.test.
_acme-challenge.away CNAME app.d6lmmxg.flydns.net.
_acme-challenge.round CNAME round2
round2 CNAME _acme-challenge.round
old DNAME new.example.test.
*.wild CNAME site.example.test.
*.text TXT "wildcard value"
several TXT "one " "value"
sub NS ns1.sub.example.test.
ns1.sub A 127.0.0.2
lame NS ns1.example.test.
big TXT {" ".join(f'"{number:050d}"' for number in range(60))}
"""
SUB = "_acme-challenge.app CNAME pt.example.test.\n"


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[Knot]:
    zones = {"example.test": LABELS, "sub.example.test": SUB}
    with knot(tmp_path / "knot", zones) as server:
        yield server


def own(server: Knot, *, key: str = KEY_NAME, secret: str = "TSIG", zones: tuple[str, ...] = ()) -> SolverSettings:
    options = {"server": server.address, "key": key, "secret": {"env": secret}}
    return solver("own", "rfc2136", options, zones=zones, nameservers=(server.address,))


def room(tmp_path: Path, server: Knot, *solvers: SolverSettings) -> Challenges:
    """Knot in the place of the recursor: it answers for all that these tests ask."""
    world = small_world(tmp_path, TSIG=KEY, WRONG="d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3JvbmctMTI=")
    return challenges(world, *(solvers or (own(server),)), recursor=server.address)


def txt(value: str = VALUE, name: str = NAME) -> Txt:
    return Txt("challenge", "main", None, None, name, value)


# ---- Knot, RFC 2136 -----------------------------------------------------------------------------------------------------


def test_two_values_in_and_out_of_a_real_zone(tmp_path: Path, primary: Knot) -> None:
    there, journal, told = room(tmp_path, primary), MemoryJournal(), list[Event]()
    placed = there.publish([txt(VALUE), txt(OTHER)], journal, told.append)
    there.wait(placed, seconds=10)
    assert primary.txt(NAME) == [VALUE, OTHER]
    there.remove(placed[:1], journal, told.append)
    assert primary.txt(NAME) == [OTHER]
    there.remove(placed[1:], journal, told.append)
    assert primary.txt(NAME) == []


def test_check_tries_the_key_on_a_real_server(tmp_path: Path, primary: Knot) -> None:
    zones = ("example.test",)
    assert room(tmp_path, primary, own(primary, zones=zones)).solver("own").check().reach == "example.test"
    assert room(tmp_path, primary, own(primary, zones=zones)).solver("own").check(write=True).remarks
    for wrong in (own(primary, secret="WRONG", zones=zones), own(primary, key="stranger", zones=zones)):
        with pytest.raises(CredentialsRejected, match="refused TSIG key"):
            room(tmp_path, primary, wrong).solver("own").check()


def test_a_foreign_zone_and_a_type_not_allowed_are_told(tmp_path: Path, primary: Knot) -> None:
    ours = room(tmp_path, primary).solver("own")
    with pytest.raises(Missing, match="is not the primary"):
        ours.present("example.org", "_acme-challenge.example.org", VALUE)
    with pytest.raises(Rejected, match="a CNAME stands at"):
        ours.present("example.test", "_acme-challenge.moved.example.test", VALUE)


def test_the_way_is_found_as_the_contract_says(tmp_path: Path, primary: Knot) -> None:
    there = room(tmp_path, primary)
    assert there.locate("moved.example.test").name == "pt.example.test"
    in_child = there.locate("app.sub.example.test")
    assert (in_child.name, in_child.zone) == ("pt.example.test", "example.test")
    assert there.lookup.zone_of("_acme-challenge.app.sub.example.test") == "sub.example.test"
    assert there.locate("www.old.example.test").name == "_acme-challenge.www.new.example.test"
    assert there.locate("x.wild.example.test").name == "_acme-challenge.x.wild.example.test"
    with pytest.raises(NothingDone, match="held by Fly"):
        there.locate("away.example.test")
    with pytest.raises(NothingDone, match="circle"):
        there.locate("round.example.test")


def test_a_value_below_a_wildcard_cname_can_be_published(tmp_path: Path, primary: Knot) -> None:
    there, journal = room(tmp_path, primary), MemoryJournal()
    placed = there.publish([txt(name="_acme-challenge.x.wild.example.test")], journal, lambda event: None)
    there.wait(placed, seconds=10)


def test_what_a_server_says_is_told_apart(tmp_path: Path, primary: Knot) -> None:
    found = lookup(small_world(tmp_path), primary.address)
    server = Server("ns1.example.test", primary.host, primary.port)
    said = {
        name: found.ask(server, f"{name}.example.test")
        for name in ("several", "x.text", "ns1", "nothing", "_acme-challenge.moved", "www.lame", "big")
    }
    assert said["several"].values == ("one value",)
    assert said["x.text"].values == ("wildcard value",)
    assert [said[name].state for name in ("ns1", "nothing")] == [State.NODATA, State.NXDOMAIN]
    assert said["_acme-challenge.moved"].state is State.CNAME
    assert said["www.lame"].state is State.REFERRAL
    assert len(said["big"].values[0]) == 3000
    assert found.ask(server, "www.example.org").state is State.LAME


def test_two_servers_that_disagree_are_waited_for_in_vain(tmp_path: Path, primary: Knot) -> None:
    """The secondary never hears of it: its answer is named."""
    journal = MemoryJournal()
    with knot(tmp_path / "second", {"example.test": ""}, host="127.0.0.2") as second:
        options = {"server": primary.address, "key": KEY_NAME, "secret": {"env": "TSIG"}}
        both = solver("own", "rfc2136", options, nameservers=(primary.address, second.address))
        there = room(tmp_path, primary, both)
        placed = there.publish([txt()], journal, lambda event: None)
        with pytest.raises(ChallengeFailed, match=f"{second.address} says no such name"):
            there.wait(placed, seconds=1)


# ---- PowerDNS, through Lexicon ------------------------------------------------------------------------------------------


@pytest.fixture
def pdns(tmp_path: Path) -> Iterator[PowerDns]:
    if find_spec("lexicon") is None:
        if os.environ.get("CI"):
            pytest.fail("needs the extra lexicon")
        pytest.skip("needs the extra lexicon")
    with powerdns(tmp_path / "pdns") as server:
        for zone in ("example.test", "sub.example.test", "fly.dev"):
            server.add_zone(zone)
        yield server


def through_lexicon(
    tmp_path: Path, server: PowerDns, *, key: str = "PDNS_KEY", zone: str = "example.test"
) -> Challenges:
    options = {"pdns_server": server.api, "auth_token": {"env": key}}
    settings = solver(
        "dns", "lexicon", {"provider": "powerdns", "options": options}, zones=(zone,), nameservers=(server.address,)
    )
    world = small_world(tmp_path, PDNS_KEY=API_KEY, WRONG="wrong-api-key")
    return challenges(world, settings, recursor=server.address)


@pytest.mark.parametrize("zone", ["example.test", "sub.example.test", "fly.dev"])
def test_lexicon_writes_and_removes_single_values_in_our_zone(tmp_path: Path, pdns: PowerDns, zone: str) -> None:
    """Unknown top levels, delegated zones and public suffixes are what Lexicon gets wrong by itself."""
    name = f"_acme-challenge.www.{zone}"
    there, journal = through_lexicon(tmp_path, pdns, zone=zone), MemoryJournal()
    placed = there.publish([txt(VALUE, name), txt(OTHER, name)], journal, lambda event: None)
    there.wait(placed, seconds=10)
    assert pdns.txt(name) == [VALUE, OTHER]
    there.remove(placed[:1], journal, lambda event: None)
    assert pdns.txt(name) == [OTHER]
    assert there.remove(placed[:1], journal, lambda event: None) == []


def test_lexicons_refusals_are_our_errors(tmp_path: Path, pdns: PowerDns) -> None:
    with pytest.raises(ProviderError, match="Lexicon") as caught:
        through_lexicon(tmp_path, pdns, key="WRONG").solver("dns").check()
    assert "wrong-api-key" not in repr(caught.value)
    standing = through_lexicon(tmp_path, pdns).solver("dns").check()
    assert standing.reach == "example.test"
