"""`account rollover` that dies by SIGKILL: at any request, before it takes effect and after, and before any write of its store."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

import pytest

from tests.scenarios.test_killed import Scene, When, scene
from tests.scenarios.victim import Victims

LEAST: Final[dict[When, int]] = {"before": 3, "after": 2}
"""Fewer requests than that, and the test would not be about the whole change."""

WRITES: Final = 4
"""As LEAST, for writes of the store: the run, the new key, the change, the run's end."""


def begin(here: Scene) -> bytes:
    """It has an account; returns what the CA knows its key by."""
    here.command = ("account", "rollover", "sandbox")
    here.town.run("account", "make", "sandbox")
    return thumbprint(here)


def thumbprint(here: Scene) -> bytes:
    return bytes(here.ca.accounts[0].key.thumbprint())


def sealed(here: Scene) -> list[str]:
    with here.town.store() as store:
        return sorted(kind for kind, _, _ in store.boxes())


def judge(here: Scene, before: bytes) -> None:
    """The next question is signed with the key that the CA knows, and goes on with the change."""
    here.leases_run_out()
    assert "sandbox  valid" in here.town.run("account", "show", "sandbox").out
    assert thumbprint(here) != before
    assert sealed(here) == ["account"]
    assert len(here.ca.accounts) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_request_the_next_run_signs_with_the_key_that_the_ca_knows(
    tmp_path: Path, victims: Victims, when: When
) -> None:
    for number in itertools.count():
        with scene(tmp_path / str(number), victims) as here:
            before = begin(here)
            if not here.die("ca", number, when):
                break
            judge(here, before)
    assert number >= LEAST[when]


def test_an_order_goes_on_with_the_change_too(tmp_path: Path, victims: Victims) -> None:
    with scene(tmp_path / "one", victims) as here:
        before = begin(here)
        assert here.die("ca", 0, "after", path="/key-change")
        here.go_on()
        here.judge()  # one account, one order, and of sealed keys the account's one and the version's
        assert thumbprint(here) != before


def test_killed_before_a_write_of_its_store_is_no_different(tmp_path: Path, victims: Victims) -> None:
    for number in itertools.count():
        with scene(tmp_path / str(number), victims) as here:
            before = begin(here)
            if not here.die_before_write(number):
                break
            if thumbprint(here) != before or sealed(here) != ["account"]:
                judge(here, before)
            else:
                assert "sandbox  valid" in here.town.run("account", "show", "sandbox").out
    assert number >= WRITES
