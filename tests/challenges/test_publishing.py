"""Publish, wait, remove: the journal first, values as a set, and a clean-up that needs no memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.challenges import Challenges, Placed, Txt
from certbroker.challenges.opened import MOST_TOGETHER
from certbroker.errors import CertbrokerError, ChallengeFailed, CredentialsRejected, NothingDone, Rejected, Unavailable
from certbroker.events import Checked, Event, ProofPublished, ProofRemoved
from certbroker.sandbox.dns import DnsServer
from certbroker.store import Store
from tests.challenges.rig import (
    OTHER,
    THIRD,
    VALUE,
    HoleyNetwork,
    MemoryJournal,
    challenges,
    rfc2136,
    small_world,
    solver,
    town,
)
from tests.clock import TestClock

NAME = "_acme-challenge.example.com"


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with town("example.com", "example.net") as server:
        yield server


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture
def told() -> list[Event]:
    return []


def room(tmp_path: Path, dns: DnsServer) -> Challenges:
    settings = rfc2136(dns, nameservers=(dns.address,))
    return challenges(small_world(tmp_path), settings, recursor=dns.address)


def txt(value: str = VALUE, name: str = NAME, *, order: int | None = 1) -> Txt:
    return Txt("challenge", "main", None, order, name, value)


def test_a_wildcard_and_its_base_are_two_values_at_one_name_and_a_third_writer_survives(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    dns.add(NAME, "TXT", "somebody else's")
    there = room(tmp_path, dns)
    placed = there.publish([txt(VALUE), txt(OTHER)], journal, told.append)
    there.wait(placed, seconds=10)
    assert sorted(dns.txt(NAME)) == sorted([VALUE, OTHER, "somebody else's"])
    assert there.remove(placed, journal, told.append) == []
    assert dns.txt(NAME) == ["somebody else's"]
    assert journal.unremoved() == []
    assert [type(event) for event in told] == [ProofPublished] * 2 + [ProofRemoved] * 2
    assert journal.events == told


def test_the_journal_knows_of_each_value_before_it_is_written(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    dns.refuse = True
    settings = rfc2136(dns, zones=("example.com",), nameservers=(dns.address,))
    with town("example.com") as recursor:
        there = challenges(small_world(tmp_path), settings, recursor=recursor.address)
        with pytest.raises(CredentialsRejected, match="REFUSED"):
            there.publish([txt()], journal, told.append)
    assert [row.state for row in journal.unremoved()] == ["planned"]


def test_after_a_crash_another_process_cleans_up_from_the_journal_alone(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    dns.add(NAME, "TXT", "somebody else's")
    dns.add(NAME, "TXT", VALUE)  # written, and the process died before it could say so
    journal.plan_record(
        "challenge",
        order_id=1,
        certificate="main",
        target=None,
        solver="own",
        zone="example.com",
        name=NAME,
        value=VALUE,
    )
    assert room(tmp_path, dns).remove(journal.unremoved(), journal, told.append) == []
    assert dns.txt(NAME) == ["somebody else's"]


def test_a_resumed_order_publishes_the_same_value_into_the_same_row(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    room(tmp_path, dns).publish([txt()], journal, told.append)
    again = room(tmp_path, dns).publish([txt()], journal, told.append)
    assert [row.id for row in again] == [1]
    assert dns.txt(NAME) == [VALUE]


def test_a_row_that_cannot_be_removed_is_told_and_stays(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    there = room(tmp_path, dns)
    placed = there.publish([txt(VALUE), txt(OTHER, "_acme-challenge.example.net")], journal, told.append)
    gone = Placed(
        9, "challenge", "txt", 1, "main", None, "sold", "example.org", "x.example.org", THIRD, None, "present"
    )
    failed = there.remove([gone, *placed], journal, told.append)
    assert [(row.id, error.what) for row, error in failed] == [(9, "the file has no solver sold any more")]
    assert journal.unremoved() == []
    warnings = [event for event in told if isinstance(event, Checked)]
    assert [(event.subject, event.state) for event in warnings] == [("solver sold", "warn")]


def test_one_bad_name_does_not_hold_up_the_others(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    dns.add_zone("d6lmmxg.flydns.net")
    dns.add(NAME, "CNAME", "example.com.d6lmmxg.flydns.net")
    bad, good = room(tmp_path, dns).publish_each(
        [txt(), txt(OTHER, "_acme-challenge.example.net")], journal, told.append
    )
    assert isinstance(bad, NothingDone)
    assert isinstance(good, Placed)
    assert [row.name for row in journal.unremoved()] == ["_acme-challenge.example.net"]


def test_a_secret_that_is_not_there_is_the_solvers_trouble(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    options = {"server": dns.address, "key": "certbroker.", "secret": {"env": "NOT_SET"}}
    settings = solver("own", "rfc2136", options, zones=("example.com",))
    there = challenges(small_world(tmp_path), settings, recursor=dns.address)
    with pytest.raises(CredentialsRejected, match=r"\$NOT_SET"):
        there.publish([txt()], journal, told.append)


def test_the_wait_names_every_name_that_lacks_its_value(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    there = room(tmp_path, dns)
    placed = there.publish([txt(VALUE), txt(OTHER, "_acme-challenge.example.net")], journal, told.append)
    dns.remove(NAME, "TXT")
    dns.remove("_acme-challenge.example.net", "TXT")
    with pytest.raises(ChallengeFailed, match=f"{NAME} has no TXT.*; _acme-challenge.example.net has no TXT"):
        there.wait(placed, seconds=1)
    assert list(there.wait_each(placed, seconds=1)) == [row.id for row in placed]


def test_the_zones_own_name_servers_are_asked(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    """The NS lead to 127.0.0.1:53; `connect_to` leads from there to the server on its high port."""
    there = challenges(
        small_world(tmp_path), rfc2136(dns), recursor=dns.address, connect_to={"127.0.0.1:53": dns.address}
    )
    placed = there.publish([txt()], journal, told.append)
    there.wait(placed, seconds=5)
    dns.remove(NAME, "TXT")
    with pytest.raises(ChallengeFailed, match=r"ns1.example.com \(127.0.0.1\) says"):
        there.wait(placed, seconds=0)


def test_an_ownership_value_joins_what_others_wrote_and_stays(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    name = "_fly-ownership.example.com"
    dns.add(name, "TXT", "app-blue;org-1")
    proof = Txt("ownership", "main", "fly-green", None, name, "app-green;org-1")
    for _ in range(2):
        room(tmp_path, dns).publish([proof], journal, told.append)
    assert sorted(dns.txt(name)) == ["app-blue;org-1", "app-green;org-1"]
    assert [(row.purpose, row.target) for row in journal.unremoved()] == [("ownership", "fly-green")]


def test_names_are_landed_once_a_run(tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]) -> None:
    there = room(tmp_path, dns)
    there.locate("example.com")
    asked = len(dns.questions)
    there.locate("*.example.com")
    there.publish([txt()], journal, told.append)
    assert len(dns.questions) == asked


def test_the_store_is_such_a_journal(tmp_path: Path, dns: DnsServer, told: list[Event]) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'state' / 'store.db'}", TestClock())
    try:
        there = room(tmp_path, dns)
        placed = there.publish([txt(order=None), txt(OTHER, order=None)], store, told.append)
        there.wait(placed, seconds=5)
        assert {row.value for row in store.unremoved("challenge")} == {VALUE, OTHER}
        assert there.remove(store.unremoved("challenge"), store, told.append) == []
        assert store.unremoved() == []
        assert len(store.history(kind="proof-removed")) == 2
    finally:
        store.close()
    assert dns.txt(NAME) == []


def test_errors_are_ours(tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]) -> None:
    outcome = room(tmp_path, dns).publish_each([txt(name="_acme-challenge.\x00")], journal, told.append)
    assert isinstance(outcome[0], CertbrokerError)


def test_the_values_of_a_zone_go_in_few_updates(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    there = room(tmp_path, dns)
    zones = {"example.com": MOST_TOGETHER + 1, "example.net": 2}
    wanted = [txt(name=f"_acme-challenge.n{number}.{zone}") for zone, count in zones.items() for number in range(count)]
    placed = there.publish(wanted, journal, told.append)
    assert [row.name for row in placed] == [record.name for record in wanted]
    assert all(dns.txt(record.name) == [VALUE] for record in wanted)
    assert dns.updates == 3
    assert there.remove(placed, journal, told.append) == []
    assert not any(dns.txt(record.name) for record in wanted)
    assert dns.updates == 6
    assert len(told) == 2 * len(wanted)


def test_one_value_that_the_server_does_not_take_holds_up_no_other(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    there = room(tmp_path, dns)
    wanted = [txt(name=f"_acme-challenge.{name}.example.com") for name in ("a", "b", "c")]
    for record in wanted:
        there.locate(record.name.removeprefix("_acme-challenge."))
    dns.add(wanted[1].name, "CNAME", "elsewhere.example.net.")  # after we looked
    first, second, third = there.publish_each(wanted, journal, told.append)
    assert isinstance(first, Placed)
    assert isinstance(third, Placed)
    assert isinstance(second, Rejected)
    assert [bool(dns.txt(record.name)) for record in wanted] == [True, False, True]


def test_a_server_that_is_away_is_not_asked_for_each_value(
    tmp_path: Path, dns: DnsServer, journal: MemoryJournal, told: list[Event]
) -> None:
    network = HoleyNetwork()
    world = small_world(tmp_path, network=network)
    settings = rfc2136(dns, zones=("example.com",), nameservers=(dns.address,))
    there = challenges(world, settings, recursor=dns.address)
    wanted = [txt(name=f"_acme-challenge.n{number}.example.com") for number in range(5)]
    for record in wanted:
        there.locate(record.name.removeprefix("_acme-challenge."))
    network.holes.add(dns.address)
    before = len(network.contacts)
    outcomes = there.publish_each(wanted, journal, told.append)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert len(network.contacts) - before == 1
