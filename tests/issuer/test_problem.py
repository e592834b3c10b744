"""What a refusal means: who is counted, when to come back, where a person lifts it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from certbroker.errors import IssuanceError, RateLimited
from certbroker.issuer.problem import PREFIX, refusal
from certbroker.session import LONGEST_WAIT, retry_after
from tests.clock import START


def refused(detail: str, code: str = "rateLimited", status: int = 429, **more: Any) -> IssuanceError:
    body = json.dumps({"type": PREFIX + code, "detail": detail, **more}).encode()
    return refusal("le", "the order", status, "application/problem+json", body, None, START)


def limited(detail: str) -> RateLimited:
    error = refused(detail)
    assert isinstance(error, RateLimited)
    return error


DOCS = "see https://letsencrypt.org/docs/rate-limits/#new-orders-per-account"


@pytest.mark.parametrize(
    ("detail", "subject"),
    [
        (f"too many new orders (300) from this account in the last 3h0m0s: {DOCS}", ""),
        (f'too many certificates (50) already issued for "Example.com" in the last 168h0m0s: {DOCS}', "example.com"),
        ("too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s", None),
        ('too many failed authorizations (5) for "example.com" in the last 1h0m0s', None),
        ("slow down", None),
        ('too many certificates (1) already issued for "\x1b[31m"', None),
    ],
)
def test_boulders_sentence_says_what_it_counts(detail: str, subject: str | None) -> None:
    assert limited(detail).subject == subject
    assert limited(detail).link is None


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("retry after 2026-11-23 10:30:00 UTC", 5400.0),
        ("retry after 2026-11-23T10:30:00Z", 5400.0),
        ("retry after 2026-11-22 10:30:00 UTC", 0.0),
        ("retry after 2026-11-30 09:00:00 UTC", 7 * 86400.0),
        ("retry after 2026-13-45 10:30:00 UTC", None),
        ("retry after 9999-11-22 10:30:00 UTC", LONGEST_WAIT),
        ("retry after lunch", None),
    ],
)
def test_the_moment_in_the_sentence_counts_where_the_header_is_missing(said: str, wait: float | None) -> None:
    assert limited(f"too many new orders (300) from this account, {said}: {DOCS}").retry_after == wait


def test_a_pause_has_a_link_to_the_page_that_lifts_it_however_long() -> None:
    link = "https://portal.letsencrypt.org/sfe/v1/unpause?jwt=" + "e" * 900
    error = limited(
        f"Your account is temporarily prevented from requesting certificates for a.test. Please visit: {link}."
    )
    assert error.link == link
    assert link in str(error.hint)
    assert limited(f"paused; {DOCS}").link == DOCS.removeprefix("see ")


@pytest.mark.parametrize(
    ("top", "below", "type"),
    [
        ("malformed", ["rejectedIdentifier", "rejectedIdentifier"], "rejectedIdentifier"),
        ("malformed", ["rejectedIdentifier", "caa"], "malformed"),
        ("compound", ["caa", "caa"], "caa"),
        ("rejectedIdentifier", ["caa", "caa"], "rejectedIdentifier"),
        ("malformed", [], "malformed"),
    ],
)
def test_several_names_refused_for_one_reason_are_refused_for_that_reason(
    top: str, below: list[str], type: str
) -> None:
    problems = [{"type": PREFIX + code, "detail": "no"} for code in below]
    assert refused("several", top, 400, subproblems=problems).problem_type == PREFIX + type


@pytest.mark.parametrize("value", ["9" * 400, "99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_nobody_is_asked_for_more_patience_than_a_month(value: str) -> None:
    assert retry_after({"Retry-After": value}, START) == LONGEST_WAIT
    assert START + timedelta(seconds=LONGEST_WAIT)
