"""What an inventory, the looks and the time say together: a table, one line a case."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.model import Edge
from certbroker.notices import Condition, Kind
from certbroker.probe import NO_ROUTE, Seen, Verdict
from certbroker.watch.inventory import Inventory
from certbroker.watch.judging import Judgement, judge, unread
from tests.clock import START
from tests.watch.given import DAY, HOUR, STRANGER, V1, V2, at_target, entry, inventory, looks, seen, silent

OTHER_EDGE: dict[str, Any] = {"edge": Edge("192.0.2.2"), "address": "192.0.2.2"}


def judged(*what: Seen, told: Inventory | None = None, after: timedelta = HOUR / 2, **more: Any) -> Judgement:
    told = told or inventory()
    one = [look for each in what for look in looks(told, each)] if len(told.certificates) == 1 else looks(told, *what)
    return judge(told, one, START + after, **more)


def only(found: Judgement) -> Condition:
    [condition] = found.conditions
    return condition


@pytest.mark.parametrize(
    ("what", "serves"),
    [
        pytest.param(seen(V2), (V2,), id="what is wanted"),
        pytest.param(seen(V1), (V2, V1), id="what was before, while a push is under way"),
        pytest.param(seen(V2), (V2, V1), id="what is wanted, while a push is under way"),
        pytest.param(
            seen(fingerprint="03" * 32, starts=START + timedelta(minutes=5) - HOUR, ends=START + 90 * DAY),
            (V2,),
            id="a renewal since the inventory was written, which its CA backdates by an hour",
        ),
    ],
)
def test_what_should_be_served_needs_nobody(what: Seen, serves: tuple[Any, ...]) -> None:
    found = judged(what, told=inventory(entry(at_target(*serves))))
    assert found.conditions == ()
    assert len(found.good) == 1


@pytest.mark.parametrize(
    ("what", "kind", "severity", "told"),
    [
        (seen(**STRANGER), Kind.DRIFT, "tell", "example.com at 192.0.2.1 serves a certificate by E7 that is not ours, until Fri 22 Jan 2027, not v2"),
        (seen(V1), Kind.DRIFT, "tell", "example.com at 192.0.2.1 serves v1, not v2"),
        (seen(verdict=Verdict.INVALID, detail="expired on 2026-11-01 00:00 UTC"), Kind.BROKEN, "page", "example.com at 192.0.2.1 serves what users refuse: expired on 2026-11-01 00:00 UTC"),
        (seen(V1, verdict=Verdict.INVALID, detail="self-signed"), Kind.BROKEN, "page", "example.com at 192.0.2.1 serves what users refuse: self-signed"),
        (silent("no TLS is spoken there", Verdict.REFUSED), Kind.BROKEN, "page", "example.com at 192.0.2.1 refuses the handshake: no TLS is spoken there"),
        (silent(), Kind.CHECK, "tell", "example.com at 192.0.2.1 cannot be reached: connection refused"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_what_is_well(what: Seen, kind: Kind, severity: str, told: str) -> None:
    found = only(judged(what, seen(V2, **OTHER_EDGE)))
    assert (found.kind, found.severity, found.what) == (kind, severity, told)
    assert found.subject == "main → fly"
    assert found.now == "1 of 2 looks there see what they should, until Sat 20 Feb 2027"
    assert "certbroker " in found.hint
    assert found.since == START + HOUR / 2


@pytest.mark.parametrize("what", [seen(verdict=Verdict.INVALID, detail="expired"), silent("alert", Verdict.REFUSED)])
def test_a_standby_wakes_nobody(what: Seen) -> None:
    assert only(judged(what, told=inventory(entry(at_target(standby=True))))).severity == "tell"


def test_one_cause_at_a_target_is_told_once() -> None:
    told = inventory(entry(), entry(name="shop"), entry(name="blog"))
    expired = [seen(verdict=Verdict.INVALID, detail=f"expired on 2026-11-0{day} 00:00 UTC") for day in (1, 2)]
    found = judged(*expired, seen(), told=told)
    assert only(found).certificates == ("main", "shop")
    assert only(found).subject == "main, shop → fly"


def test_two_looks_of_one_cause_are_counted() -> None:
    found = only(judged(silent(), silent(**OTHER_EDGE), seen(name="www.example.com")))
    assert found.what.endswith("; and 1 more look like it")
    assert found.key == "check/fly"


def test_another_certificate_is_told_once_the_broker_has_had_its_say() -> None:
    """A rollback or an import serves something older than the inventory for as long as its run lasts."""
    first = only(judged(seen(**STRANGER)))
    assert not first.ripe, "found since the inventory was written"
    later = inventory(written=START + HOUR, next_writing=START + 2 * HOUR)
    found = only(judged(seen(**STRANGER), told=later, after=1.5 * HOUR, before=[first]))
    assert found.ripe
    assert found.since == first.since
    assert found.key == first.key


def test_where_nothing_is_reached_it_may_be_this_machine() -> None:
    found = judged(silent(), silent(**OTHER_EDGE))
    assert only(found).key == "check/blind"
    assert only(found).severity == "tell"


def test_nothing_is_over_because_nobody_could_look() -> None:
    broken = only(judged(seen(verdict=Verdict.INVALID, detail="expired")))
    blind = judged(silent(), silent(**OTHER_EDGE), before=[broken])
    assert {(each.key, each.ripe) for each in blind.conditions} == {("check/blind", True), (broken.key, False)}
    again = judged(silent(), seen(name="www.example.com"), before=[broken])
    assert {each.key for each in again.conditions} == {"check/fly", broken.key}
    assert judged(seen(), seen(**OTHER_EDGE), before=[broken]).conditions == ()


@pytest.mark.parametrize("detail", NO_ROUTE)
def test_a_machine_without_ipv6_says_nothing_of_servers(detail: str) -> None:
    six = silent(detail, edge=Edge("2001:db8::1"), address="2001:db8::1")
    found = judged(seen(), six)
    assert (found.conditions, found.aside) == ((), 1)
    reached = seen(edge=Edge("2001:db8::2"), address="2001:db8::2")
    assert only(judged(seen(), six, reached)).key == "check/fly", "another IPv6 address is reached"
    assert only(judged(seen(), silent(detail))).key == "check/fly", "an IPv4 address"


# ---- time --------------------------------------------------------------------------------------------------------------

LATELY = START + 8 * DAY - HOUR
ALIVE = {"written": LATELY, "next_writing": LATELY + HOUR, "last_run": LATELY}


def test_what_ends_is_told_at_its_last_safe_moment_and_wakes_on_its_last_day() -> None:
    told = inventory(entry(at_target(V1)), **ALIVE)
    assert judged(seen(V1), told=told, after=8 * DAY - HOUR).conditions == ()
    found = only(judged(seen(V1), told=told, after=8 * DAY))
    assert (found.key, found.severity) == ("late/main", "tell")
    assert found.what == "v1 ends Thu 3 Dec 09:00 UTC and is not renewed; its last safe moment was Tue 1 Dec 09:00 UTC"
    assert found.hint.startswith("certbroker renew main")
    last = inventory(entry(at_target(V1)), written=START + 9 * DAY, next_writing=START + 9 * DAY + HOUR, last_run=None)
    assert only(judged(seen(V1), told=last, after=9 * DAY)).severity == "page"


def test_what_ends_before_a_push_arrives_says_what_is_to_take_its_place() -> None:
    told = inventory(entry(at_target(V2, V1)), **ALIVE)
    found = only(judged(seen(V1), told=told, after=8 * DAY))
    assert found.what.startswith("v1 ends Thu 3 Dec 09:00 UTC and v2 is not served instead; its last safe moment was ")


def test_an_inventory_of_nothing_is_not_well() -> None:
    told = inventory().model_copy(update={"certificates": ()})
    assert only(judge(told, [], START)).key == "check/empty"


def test_a_standby_that_ends_wakes_nobody() -> None:
    told = inventory(entry(at_target(V1, standby=True)), written=START + 9 * DAY, next_writing=START + 9 * DAY + HOUR, last_run=None)  # fmt: skip
    assert only(judged(seen(V1), told=told, after=9 * DAY + HOUR)).severity == "tell"


def test_it_can_be_asked_for_earlier() -> None:
    told = inventory(entry(at_target(V1)))
    assert judged(seen(V1), told=told, within=9 * DAY).conditions == ()
    found = only(judged(seen(V1), told=told, within=10 * DAY))
    assert found.what == "v1 ends Thu 3 Dec 09:00 UTC and is not renewed; act by Tue 1 Dec 09:00 UTC"


def test_what_nobody_can_look_at_ends_by_what_the_broker_said() -> None:
    told = inventory(entry(at_target(V1, target="folder", edges=0)), **ALIVE)
    assert only(judge(told, [], START + 8 * DAY)).now == "served at folder"
    two = inventory(entry(at_target(V2, V1)), **ALIVE)
    found = judged(silent(), told=two, after=8 * DAY)
    assert {each.key for each in found.conditions} == {"check/fly", "late/main"}, "v2 is pushed and not proven"


@pytest.mark.parametrize(
    ("more", "after", "key"),
    [
        ({}, 3 * HOUR, None),
        ({}, 3 * HOUR + timedelta(seconds=1), "silence/old"),
        ({"next_writing": START + DAY}, 3 * DAY, None),
        ({"next_writing": START + DAY, "last_run": START - 3 * DAY}, timedelta(0), None),
        ({"next_writing": START + DAY, "last_run": START - 3 * DAY}, HOUR, "silence/run"),
        ({"last_run": None}, HOUR, None),
        ({"written": START + HOUR, "next_writing": START + 2 * HOUR}, timedelta(0), "check/clock"),
        ({"written": START + HOUR / 6, "next_writing": START + 2 * HOUR}, timedelta(0), None),
    ],
)
def test_a_broker_that_is_silent(more: dict[str, Any], after: timedelta, key: str | None) -> None:
    found = judged(seen(), told=inventory(**more), after=after).conditions
    assert [each.key for each in found] == ([key] if key else [])


def test_what_ends_while_the_broker_is_silent_is_told_with_it() -> None:
    found = judged(seen(V1), told=inventory(entry(at_target(V1))), after=9.2 * DAY).conditions
    assert [(each.key, each.severity, each.ripe) for each in found] == [
        ("silence/old", "page", True),
        ("late/main", "page", False),
    ]
    assert found[0].certificates == ("main",)
    assert found[0].now == "main ends soon"
    assert found[0].act_by == V1.act_by


def test_a_renewal_that_an_old_inventory_does_not_know_is_no_drift() -> None:
    newer = seen(fingerprint="03" * 32, starts=START + DAY, ends=START + 90 * DAY)
    assert only(judged(newer, told=inventory(), after=2 * DAY)).key == "silence/old"


def test_no_inventory_is_told_since_it_is_so() -> None:
    first = unread("no inventory: gone", "look", "nothing is watched", START)
    assert unread("no inventory: gone", "look", "nothing is watched", START + DAY, [first]).since == START


# ---- always ------------------------------------------------------------------------------------------------------------

VERSIONS = st.sampled_from([V1, V2])
LOOKED = st.builds(
    replace,
    st.builds(seen, VERSIONS),
    verdict=st.sampled_from(Verdict),
    address=st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"]),
    detail=st.sampled_from(["", "expired", *NO_ROUTE]),
)


@given(
    what=st.lists(LOOKED, max_size=4),
    serves=st.lists(VERSIONS, min_size=1, max_size=2, unique=True),
    hours=st.integers(0, 24 * 100),
    standby=st.booleans(),
)
def test_whatever_is_seen(what: list[Seen], serves: list[Any], hours: int, standby: bool) -> None:
    """A look is counted once; keys are told apart; a standby never wakes; what was found stays until it could be looked at."""
    told = inventory(entry(at_target(*serves, standby=standby)))
    found = judged(*what, told=told, after=hours * HOUR)
    assert len(found.good) + len(found.wrong) + found.aside == len(what)
    keys = [each.key for each in found.conditions]
    assert len(set(keys)) == len(keys)
    assert not (standby and any(each.severity == "page" for each in found.conditions))
    blind = judged(*[replace(each, verdict=Verdict.UNREACHABLE, detail="no answer in time") for each in what] or [silent()], told=told, after=hours * HOUR, before=found.conditions)  # fmt: skip
    seen_wrong = {each.key for each in found.conditions if each.kind in (Kind.BROKEN, Kind.DRIFT)}
    assert seen_wrong <= {each.key for each in blind.conditions}
