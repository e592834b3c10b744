"""The plan of a takeover and of a handback, as a table: facts in, steps out, each with its way back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from certbroker.handover import (
    Do,
    Facts,
    Label,
    Place,
    Proving,
    Step,
    Way,
    handback,
    takeover,
    ways,
    with_the_platform,
)
from certbroker.model import Assignment, Certificate, KeyType, Method
from certbroker.provider import ManagedFacts

NAMES = ("example.com", "www.example.com")
HELD = Label("_acme-challenge.example.com", "x.flydns.net", "Fly", "dnsimple")
NOT_LENT = replace(HELD, solver=None)

FLY = Place("fly", "Fly", NAMES, {name: ManagedFacts("issued") for name in NAMES}, coexists=True)
FASTLY = Place("fastly", "Fastly", NAMES, {name: ManagedFacts("issued") for name in NAMES})
BESIDE = replace(FASTLY, own={name: ManagedFacts("issued", elsewhere="the TLS configuration T1") for name in NAMES})
FOLDER = Place("folder", "Files", NAMES, trades=False)


def certificate(challenge: Method = Method.DNS_01) -> Certificate:
    targets = tuple(Assignment("main", target, NAMES) for target in ("fly", "fastly"))
    return Certificate("main", NAMES, (KeyType.P256,), ("letsencrypt",), targets, challenge=challenge)


def plan(proving: Proving, *places: Place, held: tuple[str, ...] = ()) -> tuple[Step, ...]:
    return takeover(Facts(certificate(proving.wanted), proving, places, held))


def keys(steps: tuple[Step, ...]) -> list[str]:
    return [step.key for step in steps]


FREE = Proving(Method.DNS_01)
ALL = Proving(Method.DNS_01, (HELD,), http=True, below=True, permitted=True)


@pytest.mark.parametrize(
    ("proving", "expected"),
    [
        (FREE, [Way(Method.DNS_01)]),
        (Proving(Method.HTTP_01, (HELD,)), [Way(Method.HTTP_01)]),
        (Proving(Method.DNS_ACCOUNT_01, (HELD,)), [Way(Method.DNS_ACCOUNT_01)]),
        (
            ALL,
            [Way(Method.DNS_PERSIST_01), Way(Method.HTTP_01), Way(Method.DNS_ACCOUNT_01), Way(Method.DNS_01, (HELD,))],
        ),
        (replace(ALL, permitted=False, http=False), [Way(Method.DNS_ACCOUNT_01), Way(Method.DNS_01, (HELD,))]),
        (Proving(Method.DNS_01, (HELD,)), [Way(Method.DNS_01, (HELD,))]),
        (Proving(Method.DNS_01, (HELD, NOT_LENT), below=True), [Way(Method.DNS_ACCOUNT_01)]),
        (Proving(Method.DNS_01, (NOT_LENT,)), []),
    ],
)
def test_what_needs_no_label_comes_first_and_a_lent_one_last(proving: Proving, expected: list[Way]) -> None:
    assert list(ways(proving)) == expected


def test_what_is_known_to_work_is_done_first_and_theirs_is_ended_last_and_on_request() -> None:
    steps = plan(ALL, FASTLY, FLY, FOLDER)
    assert keys(steps) == ["order", "serve fly", "serve fastly", "watch", "retire fly", "retire fastly", "free"]
    assert [step.key for step in steps if step.on_request] == ["retire fly", "retire fastly", "free"]
    assert all(step.way_back for step in steps if step.do is not Do.WATCH)


def test_what_is_held_is_not_ordered_again() -> None:
    assert keys(plan(FREE, FLY, held=("v1",))) == ["serve fly", "watch", "retire fly"]


def test_a_label_that_is_ours_is_not_freed_and_one_that_the_file_needs_not_neither() -> None:
    assert Do.FREE not in [step.do for step in plan(FREE, FLY)]
    assert Do.FREE not in [step.do for step in plan(Proving(Method.HTTP_01), FLY)]


def test_where_the_platform_serves_its_own_elsewhere_a_person_points_dns() -> None:
    steps = plan(FREE, BESIDE)
    assert keys(steps) == ["order", "serve fastly", "point fastly", "watch", "retire fastly"]
    assert steps[1].what.endswith("Fastly's own goes on at the TLS configuration T1, untouched")
    assert steps[2].what.startswith("yours: point example.com, www.example.com")


def test_nothing_that_proves_the_names_stops_before_anything_is_touched() -> None:
    order = plan(Proving(Method.DNS_01, (NOT_LENT,)), FLY)[0]
    assert "nothing in the file proves its names without" in order.stop
    assert "certbroker takeover main --step 1" in order.hint


@pytest.mark.parametrize(
    ("place", "stop"),
    [
        (replace(FLY, trouble="Fly answered 503"), "Fly answered 503"),
        (replace(FLY, trades=False), "the adapter of fly"),
    ],
)
def test_a_place_that_cannot_be_asked_or_cannot_do_it_stops(place: Place, stop: str) -> None:
    step = next(step for step in plan(FREE, place) if step.do is Do.SERVE)
    assert step.stop.startswith(stop)
    assert step.hint


def test_nothing_managed_is_nothing_to_take_over() -> None:
    assert plan(FREE, FOLDER, replace(FLY, own={}), held=("v1",)) == plan(ALL, FOLDER) == ()


def test_a_handback_asks_for_what_is_missing_and_tidies_last() -> None:
    pending = replace(FLY, own={NAMES[0]: ManagedFacts("issued"), NAMES[1]: ManagedFacts("pending")})
    assert keys(handback(pending)) == ["request fly", "yield fly", "tidy fly"]
    assert handback(pending)[0].what.startswith("have Fly get its own for www.example.com;")
    assert keys(handback(FLY)) == ["yield fly", "tidy fly"]


def test_what_has_no_certificates_of_its_own_is_not_handed_back_to() -> None:
    (step,) = handback(FOLDER)
    assert step.stop == "folder has no certificates of its own to go back to"


@pytest.mark.parametrize("phase", ["open", "begun", "waiting", "done", "undoing", "undone"])
def test_a_target_is_the_platforms_from_the_first_moment_of_its_way_back(phase: str) -> None:
    yielded = with_the_platform([("yield", "fly", phase), ("tidy", "fly", phase)])
    served = with_the_platform([("order", None, phase), ("serve", "fly", phase)])
    assert yielded == ({"fly"} if phase in ("begun", "waiting", "done") else frozenset())
    assert served == ({"fly"} if phase in ("undoing", "undone") else frozenset())
