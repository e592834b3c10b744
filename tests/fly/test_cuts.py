"""The line dies at every call, before and after the effect: each name serves the old or the new, and a later push heals."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

import pytest

from certbroker.errors import Unavailable
from certbroker.model import Bundle, Done, Failed, Waiting
from certbroker.testkit.simulator import Fault
from tests.fly.rig import NAMES, Fly, make_bundle, make_fly


def cuts() -> Iterator[tuple[int, Literal["before", "after"]]]:
    for number in range(6):  # three looks and three uploads; or three uploads and three checks
        yield number, "before"
        yield number, "after"


def push(fly: Fly, bundle: Bundle) -> None:
    provider = fly.provider()
    before = provider.inspect(bundle.assignment)
    outcomes = provider.push(bundle, before)
    for outcome in outcomes.values():
        if isinstance(outcome, Failed):
            raise outcome.error


@pytest.mark.parametrize(("number", "when"), list(cuts()))
def test_a_cut_renewal_serves_old_or_new_and_the_next_run_finishes_it(
    number: int, when: Literal["before", "after"]
) -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    old, new = make_bundle(), make_bundle(number=2)
    push(fly, old)
    fly.simulator.faults.append(Fault("reset", when=when, skip=number))
    with pytest.raises(Unavailable):
        push(fly, new)
    served = fly.served()
    assert set(served) == set(NAMES)
    assert set(served.values()) <= {old.fingerprint, new.fingerprint}
    push(fly, new)
    assert fly.served() == dict.fromkeys(NAMES, new.fingerprint)


@pytest.mark.parametrize(("number", "when"), list(cuts()))
def test_a_cut_first_push_that_waits_is_finished_once_the_record_stands(
    number: int, when: Literal["before", "after"]
) -> None:
    fly = make_fly()
    bundle = make_bundle()
    fly.simulator.faults.append(Fault("reset", when=when, skip=number))
    with contextlib.suppress(Unavailable):
        outcomes = fly.provider().push(bundle, {})
        assert {type(outcome) for outcome in outcomes.values()} == {Waiting, Failed}
    assert fly.simulator.faults[0].times == 0
    assert fly.served() == {}
    fly.prove(*NAMES)
    provider = fly.provider()
    assert provider.push(bundle, provider.inspect(bundle.assignment)) == dict.fromkeys(NAMES, Done())
    assert fly.served() == dict.fromkeys(NAMES, bundle.fingerprint)
