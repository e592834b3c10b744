"""The wide event, from the events of a run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker import events
from certbroker.attempt import WORST_FIRST, Attempts
from certbroker.events import Attempted, Event
from tests.clock import START


def at(seconds: float, **more: Any) -> dict[str, Any]:
    return {"at": START + timedelta(seconds=seconds), "certificate": "main", **more}


def order(step: str, ends: float, seconds: float, outcome: str = "done", **more: Any) -> Event:
    about = {"key_type": "ecdsa-p256", "issuer": "letsencrypt", **more}
    return events.Stepped(**at(ends), step=step, outcome=outcome, seconds=seconds, **about)


def place(target: str, step: str, ends: float, seconds: float, outcome: str, error: str | None = None) -> Event:
    return events.Stepped(**at(ends, target=target), step=step, outcome=outcome, seconds=seconds, error=error)


def failed(issuer: str = "letsencrypt") -> Event:
    return events.OrderFailed(
        **at(9), key_type="ecdsa-p256", issuer=issuer, error="the CA said no", hint="ask it nicely"
    )


def passed_over(issuer: str) -> Event:
    until = START + timedelta(hours=1)
    return events.IssuerPassedOver(
        **at(3), key_type="ecdsa-p256", issuer=issuer, cause="away", until=until, error="it is away"
    )


def attempts(*heard: Event, run: bool = True) -> Attempts:
    made = Attempts()
    if run:
        made.hear(events.RunStarted(at=START, command="renew", actor="ada", host="broker-1", reason="why not"))
    for event in heard:
        made.hear(event)
    return made


def the(*heard: Event) -> Attempted:
    (found,) = attempts(*heard).over("run")
    return found


ORDER = (
    order("order", 1.5, 1.5),
    order("authorizations", 2.0, 0.5),
    order("challenge", 9.0, 7.0),
    order("finalize", 10.0, 1.0),
)
SERVED = (place("cdn", "push", 14.0, 4.0, "done"), place("cdn", "verify", 20.0, 6.0, "served"))


def test_a_night_on_which_all_goes_well() -> None:
    found = the(*ORDER, *SERVED, place("folder", "push", 11.0, 1.0, "delivered"))
    assert (found.outcome, found.error, found.seconds, found.at) == (
        "served",
        None,
        20.0,
        START + timedelta(seconds=20),
    )
    assert (found.command, found.actor, found.host, found.reason) == ("renew", "ada", "broker-1", "why not")
    assert (found.order_seconds, found.authorizations_seconds, found.challenge_seconds) == (1.5, 0.5, 7.0)
    assert (found.finalize_seconds, found.push_seconds, found.verify_seconds) == (1.0, 5.0, 6.0)
    assert found.restore_seconds is None
    assert (found.targets, found.targets_served, found.targets_delivered, found.troubled) == (2, 1, 1, ())
    assert (found.slowest, found.slowest_seconds) == ("cdn", 10.0)


@pytest.mark.parametrize(
    ("heard", "outcome", "error"),
    [
        (ORDER, "done", None),
        ((place("folder", "push", 1, 1, "delivered"),), "delivered", None),
        ((place("cdn", "verify", 1, 1, "verifying"),), "verifying", None),
        ((place("cdn", "push", 1, 1, "waiting", "ownership not proven"),), "waiting", "ownership not proven"),
        ((*SERVED, place("fly", "push", 1, 1, "failed", "400")), "failed", "400"),
        ((place("cdn", "push", 1, 1, "failed", "cut"), place("cdn", "verify", 2, 1, "served")), "served", None),
        (
            (place("cdn", "verify", 1, 1, "failed", "worse"), place("cdn", "restore", 2, 1, "restored")),
            "restored",
            None,
        ),
        ((order("order", 1, 1, "failed", error="stale CNAME"), failed()), "failed", "the CA said no"),
        ((failed(),), "failed", "the CA said no"),
        ((order("challenge", 1, 1, "waiting", error="create a record"),), "waiting", "create a record"),
        ((order("order", 1, 1, "left", error="held by another"),), "left", "held by another"),
        ((order("order", 1, 1, "failed", error="away"), passed_over("letsencrypt"), *ORDER, *SERVED), "served", None),
        ((*SERVED, events.Bug(**at(30), error="KeyError: 3", where="plan.py:3")), "failed", "KeyError: 3"),
    ],
)
def test_the_outcome_is_the_worst_of_what_the_last_steps_came_to(
    heard: tuple[Event, ...], outcome: str, error: str | None
) -> None:
    found = the(*heard)
    assert found.outcome == outcome
    if error is not None:
        assert found.error == error


def test_what_a_failed_order_hints_is_the_hint() -> None:
    assert the(order("order", 1, 1, "failed", error="no"), failed()).hint == "ask it nicely"


def test_two_key_types_are_two_orders() -> None:
    found = the(*ORDER, order("order", 3, 3, "failed", key_type="rsa-2048", error="no RSA"))
    assert (found.outcome, found.error, found.key_types) == ("failed", "no RSA", ("ecdsa-p256", "rsa-2048"))
    assert found.order_seconds == 4.5


def test_what_was_never_tried_is_no_attempt_and_each_ends_once() -> None:
    moved = events.Moved(
        **at(1, target="cdn"), version="v1", fingerprint="ab", before=None, phase="waiting", why="asks for your yes"
    )
    assert attempts(moved).over("run") == []
    assert attempts(*SERVED, run=False).over("run") == []
    open_ones = attempts(*SERVED)
    assert open_ones.over("run", ["other"]) == []
    first = open_ones.over("run", ["main"])
    assert open_ones.over("run") == []
    for event in SERVED:
        open_ones.hear(event)
    second = open_ones.over("run")
    assert len({each.trace for each in first + second}) == 2, "one trace an attempt"
    assert first[0].trace != attempts(*SERVED).over("another run")[0].trace


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("cdn", "fly", "folder", None)),
            st.sampled_from(("order", "challenge", "push", "verify", "restore")),
            st.sampled_from(WORST_FIRST),
            st.floats(0, 100),
            st.floats(0, 100),
        ),
        min_size=1,
    )
)
def test_whatever_is_heard_is_one_wide_event_that_holds_all_of_it(
    steps: list[tuple[str | None, str, str, float, float]],
) -> None:
    heard = [
        events.Stepped(**at(ends, target=target), step=step, outcome=how, seconds=seconds)
        for target, step, how, ends, seconds in steps
    ]
    found = the(*heard)
    assert found.outcome in WORST_FIRST
    assert found.targets == len({step.target for step in heard} - {None})
    began = min(step.at - timedelta(seconds=step.seconds) for step in heard)
    assert found.at == max(step.at for step in heard)
    assert found.seconds == (found.at - began).total_seconds()
    assert sum(step.seconds for step in heard) == pytest.approx(
        sum(getattr(found, f"{step}_seconds") or 0.0 for step in ("order", "challenge", "push", "verify", "restore"))
    )
