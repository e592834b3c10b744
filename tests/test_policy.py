"""Why and when a certificate is renewed: the rules as a table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker import policy
from certbroker.model import KeyType, Lifetime, Version, Window

START = datetime(2026, 1, 1, tzinfo=UTC)


def version(days: float = 90, **changes: object) -> Version:
    made = Version(
        id=1,
        certificate="main",
        key_type=KeyType.P256,
        number=1,
        issuer="le",
        profile=None,
        fingerprint="ab" * 32,
        serial=5,
        issued_by="CA",
        names=("example.com", "*.example.com"),
        lifetime=Lifetime(START, START + timedelta(days=days)),
        chain_pem="",
        roots_pem=None,
        trusted=True,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def situation(now: datetime, have: Version | None, window: Window | None = None, **changes: object) -> policy.Situation:
    made = policy.Situation(
        now, timedelta(hours=1), KeyType.P256, ("example.com", "*.example.com"), ("le",), have, window
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def window(start: datetime, end: datetime, drawn: datetime) -> Window:
    return Window(1, start, end, drawn, START, START + timedelta(hours=6))


@pytest.mark.parametrize(
    ("s", "words"),
    [
        (situation(START, None), "never issued"),
        (situation(START, version(revoked_at=START)), "it is revoked"),
        (situation(START, version(), names=("example.com", "other.example")), "not covered: other.example"),
        (situation(START, version(), names=("www.example.com",)), "not covered: www.example.com"),
        (situation(START, version(), names=("example.com",)), None),
        (situation(START, version(), issuers=("google",)), "issued by le, the file says google"),
        (situation(START + timedelta(days=59), version()), None),
        (situation(START + timedelta(days=61), version()), "68% of its life is over, it ends Wed 01 Apr 00:00 UTC"),
    ],
)
def test_the_first_rule_that_answers_gives_the_reason(s: policy.Situation, words: str | None) -> None:
    assert policy.reason_to_order(s) == words


def test_the_ca_decides_when_it_has_spoken() -> None:
    late = window(START + timedelta(days=70), START + timedelta(days=72), START + timedelta(days=71))
    assert policy.reason_to_order(situation(START + timedelta(days=65), version(), late)) is None
    assert "the CA asks" in str(policy.reason_to_order(situation(START + timedelta(days=71), version(), late)))


def test_a_window_in_the_past_means_now_although_most_of_its_life_is_left() -> None:
    past = window(START - timedelta(days=2), START - timedelta(days=1), START - timedelta(days=1))
    assert "the CA asks" in str(policy.reason_to_order(situation(START + timedelta(days=1), version(), past)))


def test_a_window_beyond_the_end_does_not_hold_a_renewal_back() -> None:
    absurd = window(START + timedelta(days=400), START + timedelta(days=401), START + timedelta(days=400))
    assert policy.reason_to_order(situation(START + timedelta(days=76), version(), absurd)) is not None


def test_a_window_of_another_version_is_not_heard() -> None:
    other = replace(window(START, START + timedelta(days=1), START), version_id=99)
    assert policy.reason_to_order(situation(START + timedelta(days=30), version(), other)) is None


def test_a_profile_that_changed_waits_for_the_next_renewal() -> None:
    s = situation(START + timedelta(days=1), version(profile="classic"))
    assert policy.reason_to_order(s) is None
    assert policy.remarks(s, policy.Wishes("shortlived")) == ("profile classic becomes shortlived at the next renewal",)


@given(st.floats(min_value=0.5, max_value=400), st.floats(min_value=0, max_value=1))
def test_whatever_the_lifetime_it_renews_before_the_end_and_not_in_the_first_half(days: float, fraction: float) -> None:
    have = version(days)
    s = situation(have.lifetime.at(fraction), have)
    due = policy.reason_to_order(s) is not None
    assert due == (s.now >= have.lifetime.at(2 / 3))


@given(st.integers(min_value=1, max_value=50), st.one_of(st.none(), st.floats(min_value=0, max_value=1e6)))
def test_backoff_never_shrinks_and_never_falls_short_of_what_the_ca_asked(failures: int, asked: float | None) -> None:
    for backoff in (policy.order_backoff, policy.push_backoff):
        wait = backoff(failures, asked)
        assert backoff(failures + 1, asked) >= wait
        assert wait >= timedelta(seconds=asked or 0)


def test_a_ca_that_says_at_once_of_each_new_certificate_is_believed_once() -> None:
    life = version().lifetime.length
    first, second = version(), version(id=2, lifetime=Lifetime(START + life / 100, START + life / 100 + life))
    old = window(START - timedelta(days=2), START - timedelta(days=1), START - timedelta(days=2))
    s = replace(
        situation(START + life / 50, second, replace(old, version_id=2)),
        before=(first, old),
    )
    assert policy.in_a_loop(replace(s, before=None)) is None
    assert policy.in_a_loop(s) == second.lifetime.at(1 / 50)
    assert policy.in_a_loop(replace(s, now=second.lifetime.at(1 / 50))) is None
    sane = replace(old, drawn=START + life * 2 / 3)
    assert policy.in_a_loop(replace(s, before=(first, sane))) is None, "only its names had changed"
    assert policy.in_a_loop(replace(s, have=replace(second, revoked_at=START))) is None


@given(st.integers(min_value=1, max_value=50), st.floats(min_value=0.1, max_value=2000))
def test_while_a_certificate_lasts_it_is_tried_again_before_it_ends(failures: int, hours: float) -> None:
    left = timedelta(hours=hours)
    wait = policy.order_backoff(failures, left=left)
    assert wait <= timedelta(days=1)
    assert wait < left or wait <= timedelta(minutes=10)
    assert policy.order_backoff(failures, 1e6, left) >= timedelta(seconds=1e6)


def test_the_ca_explains_where_it_says_why() -> None:
    past = replace(
        window(START - timedelta(days=2), START - timedelta(days=1), START - timedelta(days=1)),
        explanation_url="https://ca.example/incident",
    )
    words = policy.reason_to_order(situation(START + timedelta(days=1), version(), past))
    assert words is not None
    assert words.endswith("UTC (https://ca.example/incident)")
