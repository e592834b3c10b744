"""What a provider does whose platform has certificates of its own: one takes the place of the other without a gap.

For adapters that are `TradesManaged`; each test is skipped until the rig has `manage`.
"""

from __future__ import annotations

from typing import Literal

import pytest

from certbroker.model import Done, Failed, Owner, Waiting
from certbroker.provider import TradesManaged
from certbroker.testkit.rig import NewRig, Rig, done_is_true

MOST = 200
"""Writes that one call of a rig may take; more is a loop."""

Served = set[str | None]


class Managing:
    """Needs the fixtures of `Behaviour`."""

    def test_nothing_is_managed_in_an_empty_place(self, rig: Rig) -> None:
        assert _there(rig) == {}
        rig.push(rig.first)
        assert _there(rig) == {}

    def test_says_what_the_platform_manages_and_changes_nothing(self, rig: Rig) -> None:
        own = _managed(rig)
        state, writes = rig.state(), rig.gate.writes
        assert _there(rig) == dict.fromkeys(rig.names, "issued")
        assert not any(each.elsewhere for each in _able(rig).managed(rig.names).values())
        assert {live.owner for live in rig.inspect().values()} == {Owner.MANAGED}
        assert (rig.state(), rig.gate.writes) == (state, writes)
        assert rig.serves() == own

    def test_ours_takes_its_place_without_a_gap_and_it_is_kept(self, rig: Rig) -> None:
        own = _managed(rig)
        moments = _watched(rig)
        assert set(_take_over(rig).values()) == {Done()}
        assert set().union(*moments) <= own | {rig.first.fingerprint}
        assert rig.serves() == {rig.first.fingerprint}
        assert _there(rig) == dict.fromkeys(rig.names, "issued")
        rig.push(rig.renewed)
        assert rig.serves() == {rig.renewed.fingerprint}, "what was taken over cannot be renewed"

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("then", ["take over", "give way"])
    def test_cut_at_any_write_it_goes_on_or_goes_back(
        self, new_rig: NewRig, when: Literal["before", "after"], then: str
    ) -> None:
        for nth in range(MOST):
            rig = new_rig()
            own = _managed(rig)
            rig.gate.cut(nth, when, kill=True)
            rig.attempt(_take_over, rig)
            cut = rig.gate.mend()
            assert rig.serves() <= own | {rig.first.fingerprint}
            outcomes = _take_over(rig) if then == "take over" else _able(rig).give_way(rig.assignment)
            assert set(outcomes.values()) == {Done()}
            assert rig.serves() == ({rig.first.fingerprint} if then == "take over" else own)
            if not cut:
                assert nth > 0, "it wrote nothing"
                return
        pytest.fail(f"it takes more than {MOST} writes")

    def test_gives_way_without_a_gap_and_twice_is_once(self, rig: Rig) -> None:
        own = _managed(rig)
        _take_over(rig)
        moments = _watched(rig)
        assert set(_able(rig).give_way(rig.assignment).values()) == {Done()}
        assert rig.serves() == own
        assert set().union(*moments) <= own | {rig.first.fingerprint}
        state = rig.state()
        assert set(_able(rig).give_way(rig.assignment).values()) == {Done()}
        assert rig.state() == state

    def test_ours_does_not_give_way_to_nothing(self, rig: Rig) -> None:
        provider = _able(rig)
        rig.push(rig.first)
        outcomes = provider.give_way(rig.assignment)
        assert {type(outcome) for outcome in outcomes.values()} == {Failed}
        assert rig.serves() == {rig.first.fingerprint}

    def test_its_own_is_retired_only_where_ours_is_served(self, rig: Rig) -> None:
        own = _managed(rig)
        outcomes = _able(rig).retire_managed(rig.assignment)
        assert {type(outcome) for outcome in outcomes.values()} == {Failed}
        assert rig.serves() == own
        _take_over(rig)
        moments = _watched(rig)
        assert set(_able(rig).retire_managed(rig.assignment).values()) == {Done()}
        assert _there(rig) == {}
        assert set().union(*moments) == {rig.first.fingerprint}
        assert set(_able(rig).retire_managed(rig.assignment).values()) == {Done()}, "it is gone already"

    def test_its_own_is_requested_beside_ours_and_takes_its_place(self, rig: Rig) -> None:
        provider = _able(rig)
        if rig.manage is None or rig.grant is None:
            pytest.skip("the rig has no manage or no grant")
        rig.push(rig.first)
        moments = _watched(rig)
        outcomes = provider.request_managed(rig.assignment)
        assert set(outcomes) == set(rig.names)
        for outcome in outcomes.values():
            assert isinstance(outcome, Waiting), f"{outcome}: nothing was proven"
            assert all(record.name and record.type and all(record.values) for record in outcome.records)
            assert outcome.records
        assert _there(rig) == dict.fromkeys(rig.names, "pending")
        requested = len(rig.state())
        _able(rig).request_managed(rig.assignment)
        assert len(rig.state()) == requested, "asked twice, it is there twice"
        rig.grant()
        assert set(_able(rig).request_managed(rig.assignment).values()) == {Done()}
        assert _there(rig) == dict.fromkeys(rig.names, "issued")
        assert set().union(*moments) <= {rig.first.fingerprint}, "asking alone changed what is served"
        assert set(_able(rig).give_way(rig.assignment).values()) == {Done()}
        assert not rig.serves() & {None, rig.first.fingerprint}


def _able(rig: Rig) -> TradesManaged:
    """A fresh instance, as each run has one."""
    provider = rig.open()
    if not isinstance(provider, TradesManaged):
        pytest.skip("it manages no certificates")
    return provider


def _there(rig: Rig) -> dict[str, str]:
    """What the platform has of its own, or was asked for."""
    facts = _able(rig).managed(rig.names)
    return {name: each.state for name, each in facts.items() if each.state != "none"}


def _managed(rig: Rig) -> Served:
    """Let the platform serve its own; returns what is served then."""
    _able(rig)
    if rig.manage is None:
        pytest.skip("the rig has no manage")
    rig.manage()
    own = rig.serves()
    assert None not in own
    return own


def _take_over(rig: Rig) -> dict[str, object]:
    provider = rig.open()
    assert isinstance(provider, TradesManaged)
    outcomes = provider.take_over(rig.first, provider.inspect(rig.assignment))
    done_is_true(rig, outcomes, rig.first)
    return dict(outcomes)


def _watched(rig: Rig) -> list[Served]:
    """What is served, looked at after every write from now on."""
    moments: list[Served] = [rig.serves()]
    rig.gate.watch = lambda: moments.append(rig.serves())
    return moments
