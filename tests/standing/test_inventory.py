"""What may be served where, as the watcher is told: a table, one line a case."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certbroker.known import Known, Pinned, Place, Put
from certbroker.model import Edge, Phase
from certbroker.standing.inventory import inventory, looked_at, to_serve
from certbroker.store import Store
from certbroker.watch.inventory import parse
from tests.clock import START, TestClock
from tests.config.files import HEAD, MAIN, read
from tests.fresh import empty_store
from tests.standing.test_serving import NEW, OLD, known, look, put
from tests.store.test_standings import Writer, kinds

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
        (BEFORE + put(NEW, Phase.COMMITTED), ["v1", "v2"]),
        (put(NEW, Phase.COMMITTED) + put(OLD, Phase.COMMITTED, since=START + timedelta(hours=1)), ["v1"]),
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


@pytest.mark.parametrize(
    ("text", "edge", "address"),
    [
        ("192.0.2.1", Edge("192.0.2.1"), ""),
        ("192.0.2.1:8443", Edge("192.0.2.1", 8443), ""),
        ("[2001:db8::1]", Edge("2001:db8::1"), ""),
        ("edge.example.com", Edge("edge.example.com"), ""),
        ("edge.example.com:8443 (2001:db8::1)", Edge("edge.example.com", 8443), "2001:db8::1"),
    ],
)
def test_edges_are_those_of_the_last_look(text: str, edge: Edge, address: str) -> None:
    """What was passed over by it is the target's no more."""
    assert str(edge) == text.partition(" (")[0]
    gone = replace(look(NEW, edge="192.0.2.9"), at=START - timedelta(hours=6))
    slow = replace(look(NEW, edge="192.0.2.8"), at=START - timedelta(minutes=20))
    found = list(looked_at([gone, look(NEW, edge=text), slow]))
    assert found == [(edge, address), (Edge("192.0.2.8"), "")]
    assert list(looked_at([])) == []


_number = st.integers(min_value=0, max_value=5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(kinds()), _number, _number, _number), min_size=8, max_size=20))
def test_whatever_stands_is_written_so_that_it_can_be_read(steps: list[tuple[Any, int, int, int]]) -> None:
    """After any writes in any order; and it names no edge twice, and nothing that was never proven."""
    clock = TestClock()
    with tempfile.TemporaryDirectory() as folder, Store.open(empty_store(Path(folder, "s.db")), clock) as store:
        config = read(Path(folder), HEAD + MAIN)
        writer = Writer(store, clock)
        writer.take_in(2, 3, 2)
        writer.issue(0, 0, 1)
        for kind, a, b, c in steps:
            kind(writer, a, b, c)
            clock.sleep(1)
        made = inventory(store, config, clock.now().replace(microsecond=0), "broker-1")
        assert parse(made.text(), "here") == made
        settled = {
            (row.certificate, row.target, row.name)
            for name in ("a", "b")
            for row in store.deployments(name)
            if row.phase.settled
        }
        for entry in made.certificates:
            for at in entry.targets:
                assert len(set(at.edges)) == len(at.edges)
                assert {(entry.name, at.target, name) for name in at.names} <= settled
