"""What needs somebody: each cause once, with what is served, what to type, and who is woken for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from certbroker.known import Issued, Known, Look, Ordering, Place, Put
from certbroker.model import KeyType, Lifetime, Phase
from certbroker.notices import cause
from certbroker.serving import Stand, Standing, stand
from certbroker.standing import Condition, Kind, conditions
from certbroker.standing.facts import Facts, Failing, First, Found, Held, Outage, Passed, PinEnd
from certbroker.standing.orphans import Orphan, Stays
from tests.clock import START

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def standing(
    name: str = "main",
    phase: Phase = Phase.COMMITTED,
    *,
    left: timedelta = 60 * DAY,
    error: str | None = None,
    standby: bool = False,
    target: str = "fastly",
    verdict: str = "valid",
    **more: Any,
) -> Standing:
    """`name` at one target: v1 was proven there and has `left` to live; in another phase than committed, v2 is on its way."""
    v1 = Issued(1, "v1", "01" * 32, Lifetime(START + left - 90 * DAY, START + left), renews=START + left - 30 * DAY)
    v2 = replace(v1, id=2, label="v2", fingerprint="02" * 32, life=Lifetime(START, START + 90 * DAY))
    moving = phase is not Phase.COMMITTED
    puts = [Put(v1, target, "example.com", Phase.COMMITTED, START - DAY)]
    if moving:
        puts.append(replace(Put(v2, target, "example.com", phase, START, why="refused", failures=2), **more))
    ends = START + left if verdict == "valid" else None
    look = Look(target, "example.com", "192.0.2.1", START, verdict, v1.fingerprint, ends, "expired")
    return stand(
        Known(
            name,
            places=(Place(target, ("example.com",), standby),),
            keys=(KeyType.P256,),
            orderings={KeyType.P256: Ordering(v2 if moving else v1, error, START if error else None)},
            puts=tuple(puts),
            looks=(look,),
        )
    )


def facts(*standings: Standing, now: datetime = START, **more: Any) -> Facts:
    """As `gather` would give them."""
    trouble = [cell for each in standings for cell in each.cells if cell.stand.rank <= Stand.WAITING.rank]
    made = Facts(
        now=now,
        every=HOUR,
        cells=trouble,
        overdue=[each.certificate for each in standings if each.act_by and each.act_by <= now],
        last_run=now,
        standings={each.certificate: each for each in standings},
    )
    return replace(made, **more)


def only(given: Facts) -> Condition:
    [found] = conditions(given)
    return found


def test_where_all_is_well_nobody_is_needed() -> None:
    assert conditions(facts(standing())) == ()
    assert conditions(facts()) == ()


def test_a_push_that_fails_says_what_is_served_and_what_to_type() -> None:
    found = only(facts(standing(phase=Phase.FAILED, hint="put it on a service", left=5 * DAY)))
    assert (found.kind, found.severity, found.state, found.subject) == (Kind.PUSH, "tell", "fail", "main → fastly")
    assert found.what == "refused"
    assert found.now == "1 of 1 edges serve v1, until Sat 28 Nov 2026"
    assert found.hint == "put it on a service"
    assert (found.certificates, found.target, found.ripe) == (("main",), "fastly", True)
    assert found.act_by == START + 5 * DAY - timedelta(hours=48, minutes=15)


def test_one_failure_is_mended_by_the_next_run_and_told_to_nobody_who_did_not_ask() -> None:
    assert not only(facts(standing(phase=Phase.FAILED, failures=1))).ripe


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"left": 25 * HOUR}, "tell"),
        ({"left": 23 * HOUR}, "page"),
        ({"left": -HOUR}, "page"),
        ({"left": 23 * HOUR, "standby": True}, "tell"),
        ({"left": 23 * HOUR, "phase": Phase.WAITING}, "page"),
        ({"left": 23 * HOUR, "phase": Phase.RESTORED}, "page"),
        ({"left": 23 * HOUR, "phase": Phase.COMMITTED}, "page"),  # late
        ({"phase": Phase.COMMITTED, "verdict": "invalid"}, "page"),
        ({"phase": Phase.COMMITTED, "verdict": "invalid", "standby": True}, "tell"),
    ],
)
def test_who_is_woken(changes: dict[str, Any], severity: str) -> None:
    assert only(facts(standing(**{"phase": Phase.FAILED, **changes}))).severity == severity


def test_a_cause_that_hits_many_is_told_once_and_keeps_its_key() -> None:
    many = [standing(name, Phase.FAILED, left=n * 10 * DAY) for n, name in enumerate("dcba", start=1)]
    found = only(facts(*many))
    assert found.subject == "d, c, b and 1 more → fastly"
    assert found.certificates == ("d", "c", "b", "a")
    assert only(facts(*many[1:])).key == found.key


def test_a_key_does_not_change_with_the_numbers_in_what_was_said() -> None:
    assert cause("500 at 02:11, request 7fa9c1d2-11") == cause("500 at 03:11, request 0b7711aa-92")
    assert cause("token refused") != cause("no such service")


def test_a_refused_token_is_named_once_with_all_that_it_hits() -> None:
    words = "Fastly refused the token in $FASTLY_TOKEN"
    token = Found("target", "fastly", "fail", f"{words} (certbroker.toml:24)", "make a new one", START)
    hit = [standing(name, Phase.FAILED, why=words) for name in "ab"]
    found = only(facts(*hit, found=[token]))
    assert (found.kind, found.key, found.subject) == (Kind.CREDENTIALS, "check/target/fastly", "target fastly")
    assert found.certificates == ("a", "b")
    ordering = [standing(name, error="DNSimple refused the token") for name in "ab"]
    failing = [Failing(name, "DNSimple refused the token", "", START, 1) for name in "ab"]
    solver = Found("solver", "dnsimple", "fail", "DNSimple refused the token (certbroker.toml:9)", "", START)
    found = only(facts(*ordering, failing=failing, found=[solver]))
    assert (found.key, found.certificates) == ("check/solver/dnsimple", ("a", "b"))


def test_a_refused_token_that_nobody_needs_yet_says_who_needs_it_first() -> None:
    token = Found("solver", "dnsimple", "fail", "token refused", "make one", START, needed_by="main")
    found = only(facts(standing(), found=[token]))
    assert found.now == "nothing is broken; main needs it first, Wed 23 Dec 09:00 UTC"
    assert found.act_by == START + 60 * DAY - timedelta(hours=48, minutes=15)
    assert (found.severity, found.certificates) == ("tell", ())


@pytest.mark.parametrize(
    ("found", "kind", "state", "ripe"),
    [
        (Found("label", "_acme-challenge.example.com", "fail", "held by Fly", "", START), Kind.LABEL, "fail", True),
        (Found("dns", "main", "fail", "held by Fly", "", START), Kind.LABEL, "fail", True),
        (Found("store", "fastly", "fail", "another store writes there", "", START), Kind.STORE, "fail", True),
        (Found("vault", "file:x", "fail", "does not open the keys", "", START), Kind.VAULT, "fail", True),
        (Found("issuer", "letsencrypt", "fail", "account deactivated", "", START), Kind.CREDENTIALS, "fail", True),
        (Found("caa", "main", "fail", "CAA forbids it", "", START), Kind.CHECK, "fail", True),
        (Found("edge", "main → fastly", "fail", "serves something else", "", START), Kind.DRIFT, "fail", True),
        (Found("certificate", "main", "warn", "--yes is asked for", "", START), Kind.WAITING, "wait", True),
        (Found("target", "fly", "warn", "the token ends soon", "", START), Kind.CREDENTIALS, "warn", False),
    ],
)
def test_what_a_check_found(found: Found, kind: Kind, state: str, ripe: bool) -> None:
    made = only(facts(standing(), found=[found]))
    assert (made.kind, made.state, made.ripe, made.what) == (kind, state, ripe, found.what)


def test_orders_that_fail_are_told_by_their_cause() -> None:
    names = ("a", "b", "c")
    given = facts(
        *(standing(name, error="the CA is away", left=(n + 3) * DAY) for n, name in enumerate(names)),
        failing=[
            Failing(name, "the CA is away", "", START - n * HOUR, 3, START + HOUR) for n, name in enumerate(names)
        ],
    )
    found = only(given)
    assert (found.kind, found.subject, found.severity) == (Kind.ORDER, "a, b, c", "tell")
    assert found.what == "cannot be ordered: the CA is away"
    assert found.now == "3 of 3 edges serve v1, until Thu 26 Nov 2026; next try Mon 23 Nov 10:00 UTC"
    assert found.since == START - 2 * HOUR
    assert only(replace(given, now=START + 2 * DAY + 2 * HOUR, last_run=START + 2 * DAY)).severity == "page"


def test_a_late_renewal_that_nothing_else_explains() -> None:
    found = only(facts(standing(left=2 * DAY)))
    assert (found.kind, found.key, found.severity) == (Kind.LATE, "late/main", "tell")
    assert found.hint == "certbroker renew main"


def test_runs_that_do_not_come_are_one_cause_of_everything_that_is_late() -> None:
    quiet = facts(standing(), last_run=START - 4 * HOUR)
    found = only(quiet)
    assert (found.kind, found.state, found.severity) == (Kind.SILENCE, "warn", "tell")
    assert found.what == "no run since Mon 23 Nov 05:00 UTC; the file says one every 1h"
    assert conditions(replace(quiet, last_run=START - 3 * HOUR)) == ()
    assert conditions(replace(quiet, last_run=None)) == ()
    late = only(facts(standing("a", left=2 * DAY), standing("b", left=DAY), last_run=START - 9 * DAY))
    assert (late.key, late.state, late.severity, late.certificates) == ("silence", "fail", "page", ("b", "a"))


def test_a_pin_is_told_of_when_it_nears_its_end() -> None:
    pin = PinEnd("main", "fastly", "v1", START + 2 * DAY, START, "old clients")
    found = only(facts(standing(), pins=[pin]))
    assert (found.kind, found.state) == (Kind.PIN, "warn")
    assert found.hint == "certbroker rollback main --target fastly --lift"
    assert conditions(facts(standing(), pins=[replace(pin, until=START + 4 * DAY)])) == ()


def test_an_orphan_that_is_still_served_will_end() -> None:
    there = Stays("old", "fastly", ("old.example",), "v3", "ab" * 32, START + 20 * DAY)
    orphan = Orphan("certificate", "old", START, (there,), "", "certbroker forget old")
    found = only(facts(orphans=[orphan]))
    assert (found.kind, found.severity, found.act_by) == (Kind.ORPHAN, "tell", START + 20 * DAY)
    assert found.now == "fastly keeps v3 until Sun 13 Dec 2026"
    assert conditions(facts(orphans=[replace(orphan, stays=())])) == ()
    assert conditions(facts(orphans=[replace(orphan, kind="target")])) == ()


def test_an_order_that_is_held_back_for_longer_than_is_safe() -> None:
    why = "waits for the limits of letsencrypt: 50 certificates of example.com in a week"
    given = facts(standing("a", left=5 * DAY), standing("b", left=9 * DAY))
    held = [Held("a", START + 4 * DAY, why), Held("b", START + 4 * DAY, why)]
    found = only(replace(given, held=held))
    assert (found.kind, found.certificates, found.hint) == (
        Kind.HOLD,
        ("a",),
        "at once all the same: certbroker issue a",
    )
    assert found.what == f"not ordered before Fri 27 Nov 09:00 UTC, which is too late: {why}"
    assert conditions(replace(given, held=held[1:])) == ()


def test_an_edge_that_drifted_is_told_by_its_cell_and_not_twice() -> None:
    drift = Found("edge", "main → fastly", "fail", "example.com: replaced by hand", "", START)
    broken = only(facts(standing(verdict="invalid"), found=[drift]))
    assert (broken.kind, broken.severity) == (Kind.BROKEN, "page")
    assert only(facts(standing(), found=[drift])).kind is Kind.DRIFT


def test_an_issuer_that_is_passed_over_is_worth_a_look() -> None:
    passed = Passed("letsencrypt", "letsencrypt is away since then", "503", START, ("main",))
    found = only(facts(standing(), passed=[passed]))
    assert (found.kind, found.state, found.what) == (Kind.ISSUER, "warn", "letsencrypt is away since then: 503")


def test_a_revoked_certificate_wakes_somebody_when_no_run_replaces_it() -> None:
    revoked = replace(standing(), revoked_at=START)
    assert only(facts(revoked)).severity == "tell"
    later = START + 4 * HOUR
    assert only(facts(revoked, now=later)).severity == "page"


def test_those_that_wake_come_first_then_those_that_are_first_to_be_done() -> None:
    given = facts(
        standing("waits", Phase.WAITING, left=30 * DAY, target="fly"),
        standing("soon", Phase.FAILED, left=10 * DAY, target="a"),
        standing("now", Phase.FAILED, left=5 * HOUR, target="b"),
        standing("later", Phase.FAILED, left=20 * DAY, target="c"),
        found=[Found("target", "x", "warn", "reaches too far", "", START)],
    )
    assert [each.subject for each in conditions(given)] == [
        "now → b",
        "soon → a",
        "later → c",
        "waits → fly",
        "target x",
    ]


@pytest.mark.parametrize(
    ("left", "severity", "told"),
    [
        (25 * HOUR, "tell", "main is the first to end, Tue 24 Nov 10:00 UTC"),
        (24 * HOUR, "page", "main is the first to end, Tue 24 Nov 09:00 UTC"),
        (-HOUR, "page", "main ended Mon 23 Nov 08:00 UTC"),
    ],
)
def test_a_store_that_refuses_is_told_by_what_ends_first_and_not_as_runs_that_do_not_come(
    left: timedelta, severity: str, told: str
) -> None:
    first = First.of(standing(left=left))
    assert first is not None
    outage = Outage("broker-1", "the store is full", "make room", START - HOUR, first)
    found = only(facts(last_run=START - 30 * DAY, outage=outage, overdue=["main"]))
    assert (found.key, found.kind, found.severity, found.state) == ("store/broker-1", Kind.STORE, severity, "fail")
    assert found.now == f"nothing is ordered, pushed or looked at meanwhile; {told}"
    assert found.hint == "make room; then: certbroker renew"
    assert found.act_by == first.act_by
    assert only(facts(outage=replace(outage, first=None))).severity == "tell"


def test_what_needs_it_first_is_told_from_its_life() -> None:
    assert First.of(replace(standing(), until=None, ends=None)) is None
    found = First.of(standing(left=5 * DAY))
    assert found is not None
    assert (found.ends, found.wakes) == (START + 5 * DAY, START + 4 * DAY)
