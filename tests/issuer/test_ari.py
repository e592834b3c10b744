"""Renewal information: the identifier, the draw, and what is no answer."""

from __future__ import annotations

import contextlib
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certbroker.errors import IssuanceError
from certbroker.issuer.ari import Suggestion, ask_again, certificate_id
from certbroker.keys import Leaf
from certbroker.model import KeyType, Lifetime

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def leaf(serial: int, authority: bytes | None) -> Leaf:
    return Leaf(
        "ab" * 32, serial, ("example.com",), Lifetime(NOW, NOW + HOUR), "Test", KeyType.P256, authority, "cd" * 32
    )


def test_the_identifier_is_the_one_of_the_rfc() -> None:
    """RFC 9773 section 4.1's example."""
    authority = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
    assert certificate_id(leaf(0x8765_4321, authority)) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


@pytest.mark.parametrize(("serial", "text"), [(0x7F, "fw"), (0x80, "AIA"), (0x0100, "AQA")])
def test_the_serial_is_written_as_a_der_integer(serial: int, text: str) -> None:
    assert certificate_id(leaf(serial, b"\x01")) == f"AQ.{text}"


def test_a_leaf_without_authority_key_has_no_identifier() -> None:
    assert certificate_id(leaf(1, None)) is None


def test_the_moment_lies_where_the_next_run_still_meets_the_window() -> None:
    suggestion = Suggestion(NOW, NOW + 10 * HOUR, None)
    chance = random.Random(4)
    drawn = [suggestion.draw(chance, HOUR) for _ in range(200)]
    assert min(drawn) >= NOW
    assert max(drawn) <= NOW + 8 * HOUR
    assert max(drawn) - min(drawn) > 7 * HOUR


def test_a_window_narrower_than_two_runs_is_used_from_its_start() -> None:
    assert Suggestion(NOW, NOW + HOUR, None).draw(random.Random(1), HOUR) == NOW


@pytest.mark.parametrize(
    ("asked", "seconds"), [(None, 21600), (0, 60), (30, 60), (7200, 7200), (10**9, 86400), (float("inf"), 86400)]
)
def test_retry_after_is_believed_between_a_minute_and_a_day(asked: float | None, seconds: int) -> None:
    assert ask_again(NOW, asked) == NOW + timedelta(seconds=seconds)


def test_a_window_with_its_explanation_is_read() -> None:
    value = {
        "suggestedWindow": {"start": "2026-11-23T10:00:00Z", "end": "2026-11-23T13:00:00.5+01:00"},
        "explanationURL": "https://ca.example/why",
    }
    read = Suggestion.read("ca", value)
    assert read.start == NOW + HOUR
    assert read.end == datetime(2026, 11, 23, 12, 0, 0, 500000, tzinfo=UTC)
    assert read.explanation_url == "https://ca.example/why"


@pytest.mark.parametrize(
    "window",
    [
        None,
        [],
        {},
        {"start": "2026-11-23T10:00:00Z"},
        {"start": "2026-11-23T10:00:00Z", "end": "soon"},
        {"start": "2026-11-23T10:00:00", "end": "2026-11-23T11:00:00"},
        {"start": "2026-11-23T10:00:00Z", "end": "2026-11-23T10:00:00Z"},
        {"start": "2026-11-23T11:00:00Z", "end": "2026-11-23T10:00:00Z"},
    ],
)
def test_what_is_no_window_is_refused(window: object) -> None:
    with pytest.raises(IssuanceError, match="renewal information"):
        Suggestion.read("ca", {"suggestedWindow": window})


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(start=_json, end=_json, url=_json)
def test_no_answer_crashes(start: object, end: object, url: object) -> None:
    with contextlib.suppress(IssuanceError):
        Suggestion.read("ca", {"suggestedWindow": {"start": start, "end": end}, "explanationURL": url})
