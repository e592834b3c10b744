"""Names that are too many for one certificate: parts that stay what they are."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.config.split import parts
from certbroker.names import base_name

labels = st.integers(0, 40).map(lambda number: f"n{number}.example")
names = st.lists(labels | labels.map("*.{}".format), min_size=1, max_size=60, unique=True)


def test_what_fits_stays_together() -> None:
    assert parts(["a.example", "b.example"], 2) == [("a.example", "b.example")]
    assert parts(["a.example", "b.example"], None) == [("a.example", "b.example")]


def test_the_first_part_with_room_takes_the_next_name() -> None:
    assert parts(["a.b", "*.a.b", "c.d", "e.f"], 3) == [("a.b", "*.a.b", "c.d"), ("e.f",)]


def test_a_wildcard_that_comes_late_takes_its_base_along() -> None:
    assert parts(["a.b", "c.d", "e.f", "*.a.b"], 3) == [("c.d", "e.f"), ("a.b", "*.a.b")]


def test_one_name_a_part_is_no_room_for_a_wildcard_and_its_base() -> None:
    with pytest.raises(ValueError, match="room"):
        parts(["a.b", "*.a.b"], 1)


@given(names, st.integers(2, 12))
def test_every_name_is_in_one_part_none_is_too_long_and_halves_are_together(listed: list[str], most: int) -> None:
    found = parts(listed, most)
    assert sorted(name for part in found for name in part) == sorted(listed)
    assert all(len(part) <= most for part in found)
    homes = {name: number for number, part in enumerate(found) for name in part}
    assert all(homes[name] == homes[base_name(name)] for name in listed if base_name(name) in homes)


@given(names, st.integers(2, 12))
def test_a_name_that_is_appended_moves_at_most_its_other_half(listed: list[str], most: int) -> None:
    steps = [parts(listed[:count], most) for count in range(1, len(listed) + 1)]
    for (before, after), new in zip(pairwise(steps), listed[1:], strict=True):
        homes = {name: number for number, part in enumerate(after) for name in part}
        moved = {name for number, part in enumerate(before) for name in part if homes[name] != number}
        assert {base_name(name) for name in moved} <= {base_name(new)}
