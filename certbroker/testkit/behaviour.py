"""What every provider does, whatever it writes to: it tells the truth, switches in one instant, can be cut anywhere, cleans up its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

import pytest

from certbroker.model import Done, Failed, Live, Owner, Restorable, Traits, Waiting
from certbroker.provider import ChecksCredentials, InspectsMany
from certbroker.testkit.rig import OTHER_STORE, STORE, NewRig, Rig, done_is_true, leaks

MOST: Final = 200
"""Writes that one push of a rig may take; more is a loop."""

CORE_SETTINGS: Final = frozenset(
    {
        "type",
        "edges",
        "standby",
        "deadline",
        "ownership",
        "accept_untrusted",
        "on_failure",
        "ready_check",
        "heal",
    }
)
"""Keys of `[target.NAME]` that belong to the core."""


class Behaviour:
    """Every test gets a fresh place; every run within it a fresh instance."""

    @pytest.fixture
    def new_rig(self) -> NewRig:
        """Override: returns a function that makes a new rig with an empty place."""
        raise NotImplementedError("override the fixture new_rig")

    @pytest.fixture
    def rig(self, new_rig: NewRig) -> Rig:
        return new_rig()

    # ---- what it says of itself --------------------------------------------------------------------------------------

    def test_declares_what_it_is(self, rig: Rig) -> None:
        provider = rig.open()
        assert isinstance(provider.traits, Traits)
        assert rig.key_type in provider.traits.key_types
        assert provider.traits.reads_back <= {"fingerprint", "serial", "issued_by", "ends"}
        assert not CORE_SETTINGS & set(provider.settings.model_fields), "these settings belong to the core"
        assert provider.settings.model_config.get("extra") == "forbid", "a typo in the file must be an error"

    def test_opening_and_naming_edges_touches_nothing(self, rig: Rig) -> None:
        state = rig.state()
        provider = rig.open()
        if rig.line is not None:
            assert not rig.line.sent, "open used the network"
            assert not rig.line.resolved, "open read a secret"
        provider.edges(rig.assignment)
        assert rig.gate.writes == 0
        assert rig.state() == state

    # ---- inspect -----------------------------------------------------------------------------------------------------

    def test_inspect_of_an_empty_place_is_empty(self, rig: Rig) -> None:
        assert dict(rig.inspect()) == {}

    def test_inspect_changes_nothing(self, rig: Rig) -> None:
        rig.inspect()
        assert rig.gate.writes == 0
        rig.push(rig.first)
        state, writes = rig.state(), rig.gate.writes
        rig.inspect()
        rig.inspect(OTHER_STORE)
        assert rig.state() == state
        assert rig.gate.writes == writes

    def test_reads_back_what_it_wrote(self, rig: Rig) -> None:
        rig.push(rig.first)
        _agrees(rig, rig.inspect())
        assert rig.serves() == {rig.first.fingerprint}

    def test_the_instance_that_pushed_sees_what_it_pushed(self, rig: Rig) -> None:
        """A listing kept from before the push is out of date after it."""
        provider = rig.open()
        provider.push(rig.first, provider.inspect(rig.assignment))
        _agrees(rig, provider.inspect(rig.assignment))

    def test_reads_back_from_a_place_with_many_pages(self, rig: Rig) -> None:
        if rig.crowd is None:
            pytest.skip("the rig has no crowd")
        rig.crowd()
        rig.push(rig.first)
        _agrees(rig, rig.inspect())
        objects = len(rig.state())
        rig.push(rig.first)
        assert len(rig.state()) == objects, "it did not find its own objects again"

    def test_tells_another_stores_objects_from_ours(self, rig: Rig) -> None:
        if not rig.tells_store:
            pytest.skip("this platform has no room for the store's id")
        rig.push(rig.first, OTHER_STORE)
        seen = rig.inspect(STORE)
        assert {(live.owner, live.store) for live in seen.values()} == {(Owner.OTHER_STORE, OTHER_STORE)}
        assert {live.owner for live in rig.inspect(OTHER_STORE).values()} == {Owner.OURS}

    # ---- push --------------------------------------------------------------------------------------------------------

    def test_every_name_gets_an_outcome(self, rig: Rig) -> None:
        outcomes = rig.push(rig.first)
        assert set(outcomes) == set(rig.names)
        assert set(outcomes.values()) == {Done()}

    def test_twice_is_once(self, rig: Rig) -> None:
        rig.push(rig.first)
        state, writes = rig.state(), rig.gate.writes
        outcomes = rig.push(rig.first)
        assert set(outcomes.values()) == {Done()}
        assert len(outcomes) == len(rig.names)
        assert rig.state() == state
        if not rig.rewrites:
            assert rig.gate.writes == writes, "nothing was to be done, and it wrote"

    def test_a_renewal_replaces(self, rig: Rig) -> None:
        rig.push(rig.first)
        outcomes = rig.push(rig.renewed)
        assert set(outcomes.values()) == {Done()}
        assert rig.serves() == {rig.renewed.fingerprint}
        _agrees(rig, rig.inspect(), renewed=True)

    def test_a_subset_leaves_the_other_names_alone(self, rig: Rig) -> None:
        rig.push(rig.first)
        one, *others = rig.names
        outcomes = rig.push(rig.bundle(2, names=(one,)))
        assert set(outcomes) == {one}
        assert rig.served(one) == rig.renewed.fingerprint
        if rig.per_name:
            assert rig.serves(others) == {rig.first.fingerprint}

    @pytest.mark.parametrize("over", ["nothing", "our own", "somebody else's"])
    def test_at_every_moment_each_name_serves_the_old_or_the_new(self, rig: Rig, over: str) -> None:
        old = _before(rig, over)
        moments: list[set[str | None]] = []
        rig.gate.watch = lambda: moments.append(rig.serves())
        rig.push(rig.renewed)
        assert moments, "nothing was written"
        assert set().union(*moments) <= {old, rig.renewed.fingerprint}
        assert rig.serves() == {rig.renewed.fingerprint}

    @pytest.mark.parametrize("over", ["nothing", "our own", "somebody else's"])
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("kill", [False, True], ids=["line", "process"])
    def test_a_push_cut_at_any_write_is_finished_by_a_later_one(
        self, new_rig: NewRig, over: str, when: Literal["before", "after"], kill: bool
    ) -> None:
        """The line or the process dies at write 0, 1, 2 …: the old or the new is served, another run heals, nothing is left over."""
        clean = _objects_of_one_version(new_rig)
        for nth in range(MOST):
            rig = new_rig()
            old = _before(rig, over)
            rig.gate.cut(nth, when, kill=kill)
            outcomes, _ = rig.attempt(rig.push, rig.renewed)
            cut = rig.gate.mend()
            done_is_true(rig, outcomes)
            assert rig.serves() <= {old, rig.renewed.fingerprint}
            outcomes = rig.push(rig.renewed)
            assert set(outcomes.values()) == {Done()}
            assert rig.serves() == {rig.renewed.fingerprint}
            rig.prune(rig.renewed)
            kept = over == "somebody else's"  # what was theirs may stay beside ours
            assert kept or len(rig.state()) == clean, f"litter is left after a cut {when} write {nth}"
            if not cut:
                assert nth > 0, "it wrote nothing"
                return
        pytest.fail(f"a push takes more than {MOST} writes")

    def test_a_refused_name_does_not_hold_up_the_others(self, rig: Rig) -> None:
        if rig.refuse is None:
            pytest.skip("the rig refuses no name")
        rig.refuse(rig.names[0])
        outcomes = rig.push(rig.first)
        assert isinstance(outcomes[rig.names[0]], Failed)
        assert {outcomes[name] for name in rig.names[1:]} == {Done()}
        assert rig.serves(rig.names[1:]) == {rig.first.fingerprint}

    def test_a_name_that_waits_says_for_which_record(self, rig: Rig) -> None:
        if rig.hold is None:
            pytest.skip("the rig holds no name")
        rig.hold(rig.names[0])
        waiting = rig.push(rig.first)
        outcome = waiting[rig.names[0]]
        assert isinstance(outcome, Waiting)
        assert all(record.name and record.type and all(record.values) for record in outcome.records)
        assert outcome.records
        assert {waiting[name] for name in rig.names[1:]} == {Done()}
        assert rig.push(rig.first)[rig.names[0]] == outcome, "it still waits, and a second push must say so"

    # ---- restore and prune -------------------------------------------------------------------------------------------

    def test_restore_serves_the_previous_version_again(self, rig: Rig) -> None:
        rig.push(rig.first)
        before = rig.inspect()
        rig.push(rig.renewed)
        moments: list[set[str | None]] = []
        rig.gate.watch = lambda: moments.append(rig.serves())
        rig.open().restore(rig.assignment, before, rig.first)
        assert rig.serves() == {rig.first.fingerprint}
        assert set().union(*moments) <= {rig.first.fingerprint, rig.renewed.fingerprint}

    def test_somebody_elses_certificate_is_named_replaced_and_brought_back_if_it_was_kept(self, rig: Rig) -> None:
        if rig.occupy is None:
            pytest.skip("the rig is not occupied")
        theirs = rig.occupy()
        before = rig.inspect()
        assert set(before) == set(rig.names)
        assert not {live.owner for live in before.values()} & {Owner.OURS, Owner.OTHER_STORE}
        assert Restorable.OURS not in {live.restorable for live in before.values()}, "only the engine says this"
        rig.push(rig.first)
        rig.prune(rig.first)
        assert rig.serves() == {rig.first.fingerprint}
        if {live.restorable for live in before.values()} <= {Restorable.KEPT, Restorable.MANAGED}:
            rig.open().restore(rig.assignment, before, None)
            assert rig.serves() == {theirs}, "it said that it can be brought back"

    def test_prune_leaves_what_is_bound_and_what_is_kept(self, rig: Rig) -> None:
        rig.push(rig.first)
        one = len(rig.state())
        rig.push(rig.renewed)
        state = rig.state()
        rig.prune(rig.first)
        assert rig.state() == state, "it removed what is kept or bound"
        rig.prune()
        assert rig.serves() == {rig.renewed.fingerprint}
        assert len(rig.state()) == one, "the old version is still there"
        assert rig.prune() == ()

    def test_prune_leaves_another_certificate_alone(self, rig: Rig) -> None:
        for number in (1, 2):
            rig.push(rig.bundle(number, certificate="other"))
        rig.push(rig.first)
        state = rig.state()
        rig.prune(rig.first)
        assert rig.state() == state
        assert rig.serves(rig.other_names) == {rig.bundle(2, certificate="other").fingerprint}

    def test_prune_leaves_another_store_alone(self, rig: Rig) -> None:
        if not rig.tells_store:
            pytest.skip("this platform has no room for the store's id")
        rig.push(rig.first, OTHER_STORE)
        rig.push(rig.renewed, OTHER_STORE)
        state = rig.state()
        rig.prune()
        assert rig.state() == state

    def test_things_of_other_people_survive(self, rig: Rig) -> None:
        if rig.put_foreign is None:
            pytest.skip("the rig puts nothing foreign there")
        read = rig.put_foreign()
        theirs = read()
        rig.push(rig.first)
        rig.push(rig.renewed)
        rig.prune(rig.renewed)
        rig.prune()
        assert read() == theirs

    def test_many_are_told_as_each_is_told_alone(self, new_rig: NewRig) -> None:
        rig = new_rig()
        provider = rig.open()
        if not isinstance(provider, InspectsMany):
            pytest.skip("it lists nothing")
        mine = rig.first.assignment
        alone = [replace(mine, names=(name,)) for name in mine.names]
        absent = replace(mine, names=tuple(f"nothing-{number}.example.com" for number in range(200)))
        for push in (None, rig.first, rig.renewed):
            if push is not None:
                rig.push(push)
            state, asked = rig.state(), [mine, *alone, absent]
            told = list(rig.open().inspect_many(asked))  # type: ignore[attr-defined]
            assert told == [rig.open().inspect(each) for each in [mine, *alone]] + [{}]
            assert rig.state() == state

    # ---- credentials and secrets -------------------------------------------------------------------------------------

    def test_a_credential_check_changes_nothing(self, rig: Rig) -> None:
        provider = rig.open()
        if not isinstance(provider, ChecksCredentials):
            pytest.skip("it checks no credentials")
        state = rig.state()
        assert provider.check().name
        assert rig.gate.writes == 0
        assert rig.state() == state

    def test_no_secret_gets_out(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        """Not in an address, an error, a repr or a log, even where all goes well."""
        caplog.set_level(logging.DEBUG)
        rig.push(rig.first)
        rig.push(rig.renewed)
        rig.prune()
        rig.attempt(rig.inspect)
        logged = "\n".join([caplog.text, *(repr(record.args) for record in caplog.records)])
        assert leaks([rig], logged) == []


def _before(rig: Rig, over: str) -> str | None:
    """Bring the place there; returns what is served now."""
    if over == "our own":
        rig.push(rig.first)
        return rig.first.fingerprint
    if over == "somebody else's":
        if rig.occupy is None:
            pytest.skip("the rig is not occupied")
        return rig.occupy()
    return None


def _objects_of_one_version(new_rig: NewRig) -> int:
    rig = new_rig()
    rig.push(rig.renewed)
    return len(rig.state())


def _agrees(rig: Rig, seen: Mapping[str, Live], *, renewed: bool = False) -> None:
    """What is said fits the version that is there, and what the adapter claims to read back it does."""
    version, other = (bundle.version for bundle in ((rig.renewed, rig.first) if renewed else (rig.first, rig.renewed)))
    assert set(seen) == set(rig.names)
    facts = {
        "fingerprint": version.fingerprint,
        "serial": version.serial,
        "issued_by": version.issued_by,
        "ends": version.lifetime.ends,
    }
    for live in seen.values():
        assert live.owner in (Owner.OURS, Owner.UNKNOWN)
        assert live.restorable is not Restorable.OURS, "only the engine says this"
        assert live.agrees(version) is not False
        if {"fingerprint", "serial"} & rig.open().traits.reads_back:
            assert live.agrees(other) is False
        for member in rig.open().traits.reads_back:
            assert getattr(live, member) == facts[member], f"{member} is not what was written"
