"""What may be served where, as the watcher is told: a table, one line a case."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from certbroker.model import Phase
from certbroker.serving import Known, Pinned, Place, Put
from certbroker.standing.inventory import to_serve
from tests.clock import START
from tests.standing.test_serving import NEW, OLD, known, put

FLY = Place("fly", ("example.com", "*.example.com"))
BEFORE = put(OLD, Phase.COMMITTED, since=START - timedelta(days=80))


@pytest.mark.parametrize(
    ("puts", "labels"),
    [
        ([], []),
        (put(NEW, Phase.PENDING), []),
        (put(NEW, Phase.FAILED), []),
        (put(NEW, Phase.VERIFYING), []),
        (put(NEW, Phase.COMMITTED), ["v2"]),
        (put(NEW, Phase.DELIVERED), ["v2"]),
        (BEFORE, ["v2", "v1"]),
        *((BEFORE + put(NEW, phase), ["v2", "v1"]) for phase in Phase if not phase.settled),
        (BEFORE + put(NEW, Phase.COMMITTED), ["v2"]),
        (BEFORE + put(NEW, Phase.COMMITTED, "*.example.com"), ["v2", "v1"]),
    ],
)
def test_what_is_wanted_and_what_is_as_good_until_that_is_proven(puts: list[Put], labels: list[str]) -> None:
    assert [each.label for each in to_serve(known(puts, []), FLY, "example.com")] == labels


@pytest.mark.parametrize(
    ("puts", "labels"),
    [
        (BEFORE + put(NEW, Phase.COMMITTED), ["v1"]),
        (put(NEW, Phase.COMMITTED), ["v1", "v2"]),
        (put(NEW, Phase.COMMITTED) + put(OLD, Phase.VERIFYING), ["v1", "v2"]),
    ],
)
def test_what_a_person_rolled_back_to_is_wanted(puts: list[Put], labels: list[str]) -> None:
    pinned = known(puts, [], pins={"fly": Pinned(OLD, START + timedelta(days=5))})
    assert [each.label for each in to_serve(pinned, FLY, "example.com")] == labels


def test_before_anything_is_wanted_what_was_proven_stands() -> None:
    """An import that was forgotten, a key type that left the file."""
    nothing: Known = replace(known(BEFORE, []), orderings={})
    assert [each.label for each in to_serve(nothing, FLY, "example.com")] == ["v1"]
