"""How a certificate stands, from what is known: a table, one line a case."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from certbroker.known import Drift, Issued, Known, Look, Ordering, Pinned, Place, Put
from certbroker.model import KeyType, Lifetime, Phase
from certbroker.safe import of_life
from certbroker.serving import Stand, Standing, stand
from tests.clock import START

OLD = Issued(1, "v1", "01" * 32, Lifetime(START - timedelta(days=80), START + timedelta(days=10)))
NEW = Issued(2, "v2", "02" * 32, Lifetime(START, START + timedelta(days=90)), renews=START + timedelta(days=60))
NAMES = ("example.com", "*.example.com")


def put(version: Issued, phase: Phase, name: str = "*", **more: object) -> list[Put]:
    names = NAMES if name == "*" else (name,)
    made = [
        Put(version, "fly", each, phase, START, why="so it is" if phase is not Phase.COMMITTED else "")
        for each in names
    ]
    return [replace(each, **more) for each in made]  # type: ignore[arg-type]


def look(version: Issued, verdict: str = "valid", edge: str = "192.0.2.1", name: str = "example.com") -> Look:
    ends = version.life.ends if verdict == "valid" else None
    return Look(
        "fly", name, edge, START, verdict, version.fingerprint, ends, "no such name" if verdict == "invalid" else ""
    )


def known(puts: list[Put], looks: list[Look], *, wanted: Issued | None = NEW, **more: object) -> Known:
    made = Known(
        "main",
        places=(Place("fly", NAMES),),
        keys=(KeyType.P256,),
        orderings={KeyType.P256: Ordering(wanted)},
        puts=tuple(puts),
        looks=tuple(looks),
    )
    return replace(made, **more)  # type: ignore[arg-type]


SERVED = put(OLD, Phase.COMMITTED, since=START - timedelta(days=80))


@pytest.mark.parametrize(
    ("puts", "looks", "found", "words", "served", "until"),
    [
        ([], [], Stand.MISSING, "not pushed yet", "", None),
        (SERVED, [look(OLD)], Stand.MISSING, "v2 is not pushed yet", "v1", OLD.life.ends),
        (put(NEW, Phase.COMMITTED), [look(NEW)], Stand.SERVED, "", "v2", NEW.life.ends),
        (put(NEW, Phase.COMMITTED), [], Stand.SERVED, "", "v2", NEW.life.ends),
        (
            put(NEW, Phase.COMMITTED, "example.com"),
            [look(NEW)],
            Stand.ARRIVING,
            "1 of 2 names are there",
            "v2",
            NEW.life.ends,
        ),
        (put(NEW, Phase.DELIVERED), [], Stand.DELIVERED, "so it is", "v2", NEW.life.ends),
        (SERVED + put(NEW, Phase.VERIFYING), [look(OLD)], Stand.ARRIVING, "so it is", "v1", OLD.life.ends),
        (SERVED + put(NEW, Phase.VERIFYING, failures=1), [look(OLD)], Stand.FAILING, "so it is", "v1", OLD.life.ends),
        (SERVED + put(NEW, Phase.FAILED), [look(OLD)], Stand.FAILING, "so it is", "v1", OLD.life.ends),
        (SERVED + put(NEW, Phase.WAITING), [], Stand.WAITING, "so it is", "v1", OLD.life.ends),
        (SERVED + put(NEW, Phase.RESTORED), [look(OLD)], Stand.RESTORED, "so it is", "v1", OLD.life.ends),
        (SERVED + put(NEW, Phase.RESTORING), [look(OLD)], Stand.RESTORED, "so it is", "v1", OLD.life.ends),
        (
            put(NEW, Phase.COMMITTED),
            [look(replace(NEW, fingerprint="ff" * 32))],
            Stand.DRIFTED,
            "example.com at 192.0.2.1: serves something else",
            "other",
            NEW.life.ends,
        ),
        (
            put(NEW, Phase.COMMITTED),
            [look(NEW), look(NEW, "unreachable", "192.0.2.2")],
            Stand.SERVED,
            "",
            "v2",
            NEW.life.ends,
        ),
        (
            put(NEW, Phase.COMMITTED),
            [look(NEW), look(NEW, "invalid", "192.0.2.2")],
            Stand.BROKEN,
            "example.com at 192.0.2.2: no such name",
            "v2",
            NEW.life.ends,
        ),
        # never served well there: nobody is sent to it yet
        (put(NEW, Phase.WAITING), [look(NEW, "refused")], Stand.WAITING, "so it is", "", None),
        (put(NEW, Phase.FAILED, before_ends=OLD.life.ends), [], Stand.FAILING, "so it is", "", OLD.life.ends),
    ],
)
def test_one_target(
    puts: list[Put], looks: list[Look], found: Stand, words: str, served: str, until: datetime | None
) -> None:
    [cell] = stand(known(puts, looks)).cells
    assert (cell.stand, cell.words, cell.served, cell.until) == (found, words, served, until)
    assert cell.wanted == "v2"


def altogether(*, puts: list[Put] | None = None, looks: list[Look] | None = None, **more: Any) -> Standing:
    served = put(NEW, Phase.COMMITTED)
    return stand(known(served if puts is None else puts, [look(NEW)] if looks is None else looks, **more))


def test_a_certificate_that_is_served_everywhere_is_fine_until_its_own_end() -> None:
    found = altogether()
    assert (found.stand, found.words, found.wanted, found.served, found.places) == (Stand.SERVED, "", "v2", 1, 1)
    assert found.until == found.ends == NEW.life.ends
    assert found.act_by == of_life(NEW.life)
    assert found.renews == NEW.renews


def test_what_matters_is_the_end_of_what_is_served() -> None:
    found = altogether(puts=SERVED + put(NEW, Phase.FAILED), looks=[look(OLD)])
    assert (found.stand, found.words) == (Stand.FAILING, "fly: so it is")
    assert (found.until, found.ends) == (OLD.life.ends, NEW.life.ends)
    assert found.act_by == OLD.life.ends - timedelta(hours=48, minutes=15)


def test_a_standby_target_is_shown_and_does_not_hurry_anybody() -> None:
    places = (Place("fly", NAMES, standby=True), Place("fastly", NAMES))
    puts = [*put(NEW, Phase.COMMITTED, target="fastly"), *SERVED, *put(NEW, Phase.FAILED)]
    found = altogether(puts=puts, looks=[look(OLD)], places=places)
    assert found.stand is Stand.FAILING
    assert found.until == NEW.life.ends
    assert found.act_by == of_life(NEW.life)


def test_an_edge_that_broke_is_late_already() -> None:
    found = altogether(looks=[look(NEW, "refused")])
    assert (found.stand, found.act_by) == (Stand.BROKEN, START)


def test_what_was_observed_to_have_drifted_is_told_in_its_own_words() -> None:
    drift = Drift("fly", "example.com", "somebody put another one there", "certbroker drift main", START)
    [cell] = altogether(drifts=(drift,)).cells
    assert (cell.stand, cell.words) == (Stand.DRIFTED, "example.com: somebody put another one there")
    assert cell.hint == "certbroker drift main"
    [cell] = altogether(puts=put(NEW, Phase.FAILED), drifts=(drift,)).cells
    assert cell.stand is Stand.FAILING
    [cell] = altogether(drifts=(replace(drift, name="other.example"),)).cells
    assert cell.stand is Stand.SERVED


def test_what_cannot_be_ordered_or_is_revoked_fails_whatever_is_served() -> None:
    error = {KeyType.P256: Ordering(NEW, "no", START)}
    assert (altogether(orderings=error).stand, altogether(orderings=error).words) == (
        Stand.FAILING,
        "cannot be ordered: no",
    )
    revoked = replace(NEW, revoked_at=START, renews=START)
    found = altogether(orderings={KeyType.P256: Ordering(revoked)})
    assert (found.stand, found.words, found.renews) == (Stand.FAILING, "v2 is revoked", START)


def test_before_the_first_order_there_is_nothing_to_push() -> None:
    assert altogether(puts=[], looks=[], wanted=None).stand is Stand.UNISSUED
    found = altogether(puts=[], looks=[], wanted=None, waits="publish it")
    assert (found.stand, found.words, found.act_by) == (Stand.WAITING, "publish it", None)


def test_the_wanted_version_at_a_target_is_that_of_the_first_key_type_put_there() -> None:
    rsa = replace(NEW, id=3, label="v7", fingerprint="03" * 32)
    orderings = {KeyType.P256: Ordering(NEW), KeyType.RSA2048: Ordering(rsa)}
    keys = (KeyType.P256, KeyType.RSA2048)
    [cell] = altogether(puts=put(rsa, Phase.COMMITTED), looks=[look(rsa)], orderings=orderings, keys=keys).cells
    assert (cell.stand, cell.wanted) == (Stand.SERVED, "v7")
    both = put(rsa, Phase.COMMITTED) + put(NEW, Phase.FAILED)
    [cell] = altogether(puts=both, looks=[look(rsa)], orderings=orderings, keys=keys).cells
    assert (cell.stand, cell.wanted) == (Stand.FAILING, "v2")


def test_a_pinned_target_waits_for_a_person_with_what_it_serves() -> None:
    pins = {"fly": Pinned(OLD, START + timedelta(days=5))}
    [cell] = altogether(puts=SERVED, looks=[look(OLD)], pins=pins).cells
    assert (cell.stand, cell.wanted, cell.served) == (Stand.WAITING, "v1", "v1")
    assert cell.words == "v1 is pinned by hand, at the longest until Sat 28 Nov 2026"
    held = put(NEW, Phase.WAITING, since=START)
    [cell] = altogether(puts=SERVED + held, looks=[look(OLD)], pins=pins).cells
    assert cell.words == "so it is"
    [cell] = altogether(puts=put(OLD, Phase.FAILED), looks=[], pins=pins).cells
    assert cell.stand is Stand.FAILING


def test_the_slowest_order_and_the_slowest_way_to_the_edge_are_what_is_measured() -> None:
    slow = put(NEW, Phase.COMMITTED, begun=START - timedelta(minutes=40))
    ordered = replace(NEW, took=timedelta(seconds=90))
    found = altogether(puts=slow, orderings={KeyType.P256: Ordering(ordered)})
    assert found.took == timedelta(minutes=41, seconds=30)
    assert found.act_by == NEW.life.ends - timedelta(hours=48, minutes=41, seconds=30)
    assert altogether().took is None


def test_the_worst_leads() -> None:
    assert [found.fine for found in Stand] == [False] * 8 + [True] * 2
    assert min(Stand, key=lambda found: found.rank) is Stand.BROKEN
