"""Who steps in for whom: the decisions as tables."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker import failover
from certbroker.errors import (
    CertbrokerError,
    ChallengeFailed,
    IssuanceError,
    IssuerUnavailable,
    NothingDone,
    RateLimited,
    Unavailable,
)
from certbroker.failover import Cause, PassedOver
from tests.clock import START

ACME = "urn:ietf:params:acme:error:"
HOUR = timedelta(hours=1)


def refused(code: str) -> IssuanceError:
    return IssuanceError("no", problem_type=ACME + code)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (IssuerUnavailable("503"), Cause.AWAY),
        (RateLimited("429", retry_after=60), Cause.LIMITED),
        (RateLimited("429", retry_after=60, link="https://ca.example/unpause"), Cause.PAUSED),
        *[
            (refused(code), Cause.REFUSED)
            for code in ("rejectedIdentifier", "unsupportedIdentifier", "badCSR", "badPublicKey")
        ],
        *[
            (refused(code), None)
            for code in (
                *("caa", "dns", "connection", "unauthorized", "incorrectResponse", "malformed", "invalidProfile"),
                *("externalAccountRequired", "userActionRequired", "accountDoesNotExist", "badSignatureAlgorithm"),
            )
        ],
        (IssuanceError("an answer that cannot be read"), None),
        (ChallengeFailed("no TXT", problem_type=ACME + "rejectedIdentifier"), None),
        (NothingDone("terms"), None),
        (Unavailable("our DNS provider"), None),
    ],
)
def test_only_what_another_ca_may_do_better_is_a_cause(error: CertbrokerError, cause: Cause | None) -> None:
    assert failover.cause_of(error) is cause


def passed(issuer: str = "first", hours: float = 1.0) -> PassedOver:
    return PassedOver(issuer, Cause.AWAY, START, START + hours * HOUR, "503")


@pytest.mark.parametrize(
    ("away", "begun", "chosen"),
    [
        ((), (), "first"),
        (("first",), (), "second"),
        (("first", "second"), (), None),
        (("second",), (), "first"),
        ((), ("second",), "second"),
        (("first",), ("first",), "second"),
        ((), ("elsewhere",), "first"),
        ((), ("second", "first"), "second"),
    ],
)
def test_the_first_that_is_not_passed_over_is_asked_and_what_is_begun_goes_on(
    away: tuple[str, ...], begun: tuple[str, ...], chosen: str | None
) -> None:
    out = {issuer: passed(issuer) for issuer in away}
    assert next(iter(failover.in_turn(("first", "second"), out, begun)), None) == chosen


@pytest.mark.parametrize(
    ("causes", "hours", "latest", "awaited"),
    [
        ({"first": Cause.LIMITED}, 1, 4, "first"),
        ({"first": Cause.LIMITED}, 1, 3, "first"),
        ({"first": Cause.LIMITED}, 1, 2, None),
        ({"first": Cause.LIMITED}, 1, None, None),
        ({"first": Cause.AWAY}, 1, 90, None),
        ({"first": Cause.REFUSED}, 1, 90, None),
        ({"first": Cause.PAUSED}, 1, 90, None),
        ({"first": Cause.AWAY, "second": Cause.LIMITED}, 1, 90, "second"),
        ({}, 1, 90, None),
    ],
)
def test_a_limit_is_waited_for_where_two_runs_are_left_after_it(
    causes: dict[str, Cause], hours: float, latest: float | None, awaited: str | None
) -> None:
    away = {name: PassedOver(name, cause, START, START + hours * HOUR, "429") for name, cause in causes.items()}
    until = None if latest is None else START + latest * HOUR
    issuers = ("first", "second", "third")
    chosen = next(issuer for issuer in issuers if issuer not in away)
    found = failover.worth_waiting_for(issuers, away, chosen, until, HOUR)
    assert (found.issuer if found else None) == awaited


def test_it_is_in_force_until_its_moment_and_not_at_it() -> None:
    assert "first" in failover.in_force([passed()], START + HOUR - timedelta(seconds=1))
    assert failover.in_force([passed()], START + HOUR) == {}


def test_an_order_that_is_being_signed_is_waited_for() -> None:
    away = IssuerUnavailable("503")
    assert failover.pass_over("first", away, START, signing=START - HOUR / 2) is None
    assert failover.pass_over("first", away, START, signing=START - 2 * HOUR) is not None


def test_the_same_trouble_is_counted_and_another_begins_anew() -> None:
    first = failover.pass_over("first", IssuerUnavailable("503"), START)
    assert first is not None
    again = failover.pass_over("first", IssuerUnavailable("503"), first.until + HOUR, before=first)
    assert again is not None
    assert (again.times, again.since) == (2, START)
    other = failover.pass_over("first", RateLimited("429", retry_after=5), first.until + HOUR, before=first)
    assert other is not None
    assert (other.times, other.since) == (1, first.until + HOUR)
    late = failover.pass_over("first", IssuerUnavailable("503"), first.until + 72 * HOUR, before=first)
    assert late is not None
    assert late.times == 1


def test_a_pause_that_a_person_lifts_is_not_asked_about_every_run() -> None:
    paused = RateLimited("paused", retry_after=None, link="https://ca.example/unpause?jwt=x")
    assert failover.asked(paused) == timedelta(days=1)
    assert failover.asked(RateLimited("429", retry_after=90.0)) == timedelta(seconds=90)


@given(st.integers(min_value=1, max_value=30), st.one_of(st.none(), st.floats(min_value=0, max_value=1e6)))
def test_it_is_never_asked_earlier_than_the_ca_said_and_ever_more_rarely(times: int, wait: float | None) -> None:
    before = None
    rest = timedelta()
    now = START
    for _ in range(times):
        found = failover.pass_over("first", IssuerUnavailable("503", retry_after=wait), now, before=before)
        assert found is not None
        assert found.until - now >= timedelta(seconds=wait or 0)
        assert found.until - now >= rest
        rest, now, before = found.until - now, found.until, found
