"""Adapters broken on purpose, one way each: the conformance suite must notice every one."""

from __future__ import annotations

import functools
import inspect
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from certbroker.errors import CredentialsRejected, ProviderError, Rejected, Unavailable
from certbroker.model import (
    Assignment,
    Bundle,
    Done,
    Failed,
    Keep,
    Live,
    Outcome,
    Owner,
    Restorable,
    Standing,
    Traits,
    Waiting,
)
from certbroker.provider import Context, ManagedFacts
from certbroker.testkit.conformance import ProviderConformance
from tests.conformance.toy_adapter import ToyProvider, ToySettings, toy_rig

BROKEN: list[tuple[type[ToyProvider], str]] = []
"""Each with the test of the suite that must fail."""


def caught_by(test: str) -> Any:
    def note(adapter: type[ToyProvider]) -> type[ToyProvider]:
        BROKEN.append((adapter, test))
        return adapter

    return note


# ---- push ------------------------------------------------------------------------------------------------------------


@caught_by("test_twice_is_once")
class LeavesLitter(ToyProvider):
    def push(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        identity = self.upload(bundle)
        return {name: self.bind(name, identity) for name in bundle.assignment.names}


@caught_by("test_twice_is_once")
class WritesWhatIsThere(ToyProvider):
    def switch(self, name: str, identity: str, binding: Mapping[str, Any]) -> Outcome:
        return super().switch(name, identity, {})


@caught_by("test_at_every_moment_each_name_serves_the_old_or_the_new")
class TearsDownFirst(ToyProvider):
    def bind(self, name: str, identity: str) -> Outcome:
        self.session.call("DELETE", f"/bindings/{name}")
        return super().bind(name, identity)


@caught_by("test_at_every_moment_each_name_serves_the_old_or_the_new")
class BindsBeforeItIsReady(ToyProvider):
    """Whatever object comes first is bound, and put right afterwards."""

    def bind(self, name: str, identity: str) -> Outcome:
        any_object = self.listing("/objects")[0]["id"]
        if any_object != identity:
            super().bind(name, self.session.call("POST", "/objects", json=self.made_up()).object()["id"])
        return super().bind(name, identity)

    def made_up(self) -> Mapping[str, str]:
        from certbroker.testkit.bundles import make_bundle

        bundle = make_bundle(["placeholder.example"])
        return {"name": "placeholder", "chain": bundle.version.chain_pem, "key": bundle.key_pem.reveal()}


@caught_by("test_a_renewal_replaces")
class ClaimsWithoutActing(ToyProvider):
    def switch(self, name: str, identity: str, binding: Mapping[str, Any]) -> Outcome:
        return Done() if binding else super().switch(name, identity, binding)


@caught_by("test_a_push_cut_at_any_write_is_finished_by_a_later_one")
class CallsALostWriteDone(ToyProvider):
    def bind(self, name: str, identity: str) -> Outcome:
        try:
            return super().bind(name, identity)
        except Unavailable:
            return Done()


@caught_by("test_a_push_cut_at_any_write_is_finished_by_a_later_one")
class DoesNotFindWhatACutLeft(ToyProvider):
    """Its objects are called by the turn of the push, so what a cut left is never found and never pruned."""

    turns: ClassVar[Iterator[int]] = itertools.count()

    def upload(self, bundle: Bundle) -> str:
        body = {"chain": bundle.version.chain_pem, "key": bundle.key_pem.reveal(), "name": f"half {next(self.turns)}"}
        half = self.session.call("POST", "/objects", json=body).object()["id"]
        identity = super().upload(bundle)
        self.session.call("DELETE", f"/objects/{half}")
        return identity


@caught_by("test_every_name_gets_an_outcome")
class ForgetsAName(ToyProvider):
    def push(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        outcomes = super().push(bundle, before)
        return {name: outcome for name, outcome in outcomes.items() if not name.startswith("*.")}


@caught_by("test_a_subset_leaves_the_other_names_alone")
class PushesEveryNameOfTheCertificate(ToyProvider):
    def push(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        assignment = replace(bundle.assignment, names=bundle.version.names)
        return super().push(replace(bundle, assignment=assignment), before)


@caught_by("test_a_refused_name_does_not_hold_up_the_others")
class StopsAtTheFirstRefusal(ToyProvider):
    def switch(self, name: str, identity: str, binding: Mapping[str, Any]) -> Outcome:
        outcome = super().switch(name, identity, binding)
        if isinstance(outcome, Failed):
            raise outcome.error
        return outcome


@caught_by("test_a_name_that_waits_says_for_which_record")
class CallsAWaitingNameDone(ToyProvider):
    def outcome(self, binding: Mapping[str, Any]) -> Outcome:
        return Done()


@caught_by("test_a_name_that_waits_says_for_which_record")
class WaitsForNothingInParticular(ToyProvider):
    def outcome(self, binding: Mapping[str, Any]) -> Outcome:
        return Waiting(()) if binding.get("proof") else Done()


# ---- inspect ---------------------------------------------------------------------------------------------------------


@caught_by("test_inspect_changes_nothing")
class WritesInInspect(ToyProvider):
    def inspect(self, assignment: Assignment) -> Mapping[str, Live]:
        seen = super().inspect(assignment)
        for name, live in seen.items():
            self.bind(name, live.reference)
        return seen


@caught_by("test_reads_back_what_it_wrote")
class PromisesWhatItCannotRead(ToyProvider):
    traits = Traits(reads_back=frozenset({"fingerprint", "serial"}))


@caught_by("test_reads_back_what_it_wrote")
class DecidesWhatOnlyTheEngineKnows(ToyProvider):
    def live(self, item: Mapping[str, Any]) -> Live:
        return replace(super().live(item), restorable=Restorable.OURS)


@caught_by("test_reads_back_from_a_place_with_many_pages")
class ReadsTheFirstPageOnly(ToyProvider):
    def listing(self, path: str) -> list[dict[str, Any]]:
        return list(self.session.call("GET", path).object()["items"])


@caught_by("test_the_instance_that_pushed_sees_what_it_pushed")
class RemembersAnOldListing(ToyProvider):
    def __init__(self, settings: ToySettings, context: Context) -> None:
        super().__init__(settings, context)
        self.listing = functools.cache(super().listing)  # type: ignore[method-assign]


@caught_by("test_tells_another_stores_objects_from_ours")
class TakesAnotherStoresObjectsForIts(ToyProvider):
    def live(self, item: Mapping[str, Any]) -> Live:
        found = super().live(item)
        return replace(found, owner=Owner.OURS) if found.store else found


@caught_by("test_somebody_elses_certificate_is_named_replaced_and_brought_back_if_it_was_kept")
class CallsEverythingOurs(ToyProvider):
    def live(self, item: Mapping[str, Any]) -> Live:
        return replace(super().live(item), owner=Owner.OURS)


@caught_by("test_opening_and_naming_edges_touches_nothing")
class AsksWhenItIsOpened(ToyProvider):
    def __init__(self, settings: ToySettings, context: Context) -> None:
        super().__init__(settings, context)
        self.listing("/objects")


@caught_by("test_opening_and_naming_edges_touches_nothing")
class ReadsItsTokenWhenItIsOpened(ToyProvider):
    def __init__(self, settings: ToySettings, context: Context) -> None:
        super().__init__(settings, context)
        context.resolve(settings.token)


# ---- restore and prune -----------------------------------------------------------------------------------------------


@caught_by("test_restore_serves_the_previous_version_again")
class RestoresNothing(ToyProvider):
    def restore(self, assignment: Assignment, before: Mapping[str, Live], previous: Bundle | None) -> None:
        return None


@caught_by("test_somebody_elses_certificate_is_named_replaced_and_brought_back_if_it_was_kept")
class CannotBringBackWhatItSaidWasKept(ToyProvider):
    def restore(self, assignment: Assignment, before: Mapping[str, Live], previous: Bundle | None) -> None:
        if previous is not None:
            super().restore(assignment, before, previous)


@caught_by("test_prune_leaves_what_is_bound_and_what_is_kept")
class PrunesNothing(ToyProvider):
    def prune(self, assignment: Assignment, keep: Keep) -> tuple[str, ...]:
        return ()


@caught_by("test_prune_leaves_what_is_bound_and_what_is_kept")
class PrunesWhatIsKept(ToyProvider):
    def prune(self, assignment: Assignment, keep: Keep) -> tuple[str, ...]:
        return super().prune(assignment, Keep(frozenset()))


@caught_by("test_prune_leaves_what_is_bound_and_what_is_kept")
class PrunesWhatIsBound(ToyProvider):
    def prune(self, assignment: Assignment, keep: Keep) -> tuple[str, ...]:
        for name in assignment.names:
            self.session.call("DELETE", f"/bindings/{name}")
        return super().prune(assignment, keep)


@caught_by("test_things_of_other_people_survive")
class PrunesThingsOfOtherPeople(ToyProvider):
    def ours(self, label: str, certificate: str) -> bool:
        return True


@caught_by("test_prune_leaves_another_certificate_alone")
class PrunesAnotherCertificate(ToyProvider):
    def ours(self, label: str, certificate: str) -> bool:
        return label.startswith(f"certbroker/{self.context.store_id}/")


@caught_by("test_prune_leaves_another_store_alone")
class PrunesAnotherStore(ToyProvider):
    def ours(self, label: str, certificate: str) -> bool:
        return f"/{certificate}/" in label


# ---- errors ----------------------------------------------------------------------------------------------------------


@caught_by("test_one_call_gone_wrong_is_never_called_a_success")
class TakesAFailedListingForAnEmptyOne(ToyProvider):
    def listing(self, path: str) -> list[dict[str, Any]]:
        try:
            return super().listing(path)
        except ProviderError:
            return []


@caught_by("test_speaks_our_errors")
class CallsEveryErrorARefusal(ToyProvider):
    def inspect(self, assignment: Assignment) -> Mapping[str, Live]:
        try:
            return super().inspect(assignment)
        except ProviderError as error:
            raise Rejected(error.what) from error


@caught_by("test_speaks_our_errors")
class RaisesSomethingElse(ToyProvider):
    def listing(self, path: str) -> list[dict[str, Any]]:
        try:
            return super().listing(path)
        except ProviderError as error:
            raise RuntimeError(error.what) from error


@caught_by("test_nonsense_is_an_error_and_never_a_success")
class TrustsEveryAnswer(ToyProvider):
    def listing(self, path: str) -> list[dict[str, Any]]:
        return list(self.session.call("GET", path).json()["items"])


@caught_by("test_passes_on_how_long_to_wait")
class ForgetsHowLongToWait(ToyProvider):
    def push(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        try:
            return super().push(bundle, before)
        except Unavailable as error:
            raise Unavailable(error.what) from error


@caught_by("test_does_not_repeat_a_call_that_failed")
class Retries(ToyProvider):
    def listing(self, path: str) -> list[dict[str, Any]]:
        try:
            return super().listing(path)
        except Unavailable:
            return super().listing(path)


@caught_by("test_a_credential_check_sees_a_bad_token")
class FindsEveryTokenGood(ToyProvider):
    def check(self, *, write: bool = False) -> Standing:
        try:
            return super().check(write=write)
        except CredentialsRejected:
            return Standing(name="the toy token")


@caught_by("test_a_credential_check_changes_nothing")
class TriesItsTokenByWriting(ToyProvider):
    def check(self, *, write: bool = False) -> Standing:
        self.session.call("DELETE", "/bindings/nobody.example")
        return super().check(write=write)


@caught_by("test_one_call_gone_wrong_is_never_called_a_success")
class TakesAFailedLookForAnEmptyPlace(ToyProvider):
    def inspect(self, assignment: Assignment) -> Mapping[str, Live]:
        try:
            return super().inspect(assignment)
        except ProviderError:
            return {}


# ---- secrets ---------------------------------------------------------------------------------------------------------


@caught_by("test_no_secret_gets_out")
class PutsTheKeyIntoTheAddress(ToyProvider):
    def upload(self, bundle: Bundle) -> str:
        self.session.call("GET", "/objects", query=[("key", bundle.key_pem.reveal())])
        return super().upload(bundle)


@caught_by("test_no_secret_gets_out_when_the_service_repeats_what_it_was_told")
class PutsTheKeyIntoTheError(ToyProvider):
    def upload(self, bundle: Bundle) -> str:
        try:
            return super().upload(bundle)
        except Rejected as error:
            raise Rejected(f"{error.what}; it was sent {bundle.key_pem.reveal()}") from None


@caught_by("test_no_secret_gets_out_when_the_service_repeats_what_it_was_told")
class HidesTheKeyInTheCause(ToyProvider):
    def upload(self, bundle: Bundle) -> str:
        try:
            return super().upload(bundle)
        except Rejected as error:
            raise Rejected("refused") from ValueError(bundle.key_pem.reveal(), error)


@caught_by("test_no_secret_gets_out")
class LogsTheKey(ToyProvider):
    def upload(self, bundle: Bundle) -> str:
        logging.getLogger("toy").debug("sending %s", bundle.key_pem.reveal())
        return super().upload(bundle)


@caught_by("test_no_secret_gets_out")
class ShowsItsToken(ToyProvider):
    def __repr__(self) -> str:
        return f"ToyProvider({self.context.resolve(self.token).reveal()})"


# ---- the platform's own --------------------------------------------------------------------------------------------------


@caught_by("test_nothing_is_managed_in_an_empty_place")
class ManagesEverything(ToyProvider):
    def managed(self, names: Sequence[str]) -> Mapping[str, ManagedFacts]:
        return {name: ManagedFacts("issued" if self.issued().get(name) else "pending") for name in names}


@caught_by("test_says_what_the_platform_manages_and_changes_nothing")
class RequestsInOrderToLook(ToyProvider):
    def managed(self, names: Sequence[str]) -> Mapping[str, ManagedFacts]:
        for name in names:
            self.request(name)
        return super().managed(names)


@caught_by("test_ours_takes_its_place_without_a_gap_and_it_is_kept")
class EndsTheirsFirst(ToyProvider):
    def take_over(self, bundle: Bundle, before: Mapping[str, Live]) -> Mapping[str, Outcome]:
        for name in bundle.assignment.names:
            self.session.call("DELETE", f"/own/{name}")
        return self.push(bundle, before)


@caught_by("test_cut_at_any_write_it_goes_on_or_goes_back")
class GoesBackOnlyAsAWhole(ToyProvider):
    def give_way(self, assignment: Assignment) -> Mapping[str, Outcome]:
        bound = {item["name"] for item in self.listing("/bindings")}
        if not bound >= set(assignment.names):
            return dict.fromkeys(assignment.names, Done())
        return super().give_way(assignment)


@caught_by("test_gives_way_without_a_gap_and_twice_is_once")
class BreaksTheirsOnTheWayBack(ToyProvider):
    def give_way(self, assignment: Assignment) -> Mapping[str, Outcome]:
        outcomes = super().give_way(assignment)
        for name in assignment.names:
            self.session.call("DELETE", f"/own/{name}")
        return outcomes


@caught_by("test_ours_does_not_give_way_to_nothing")
class GivesWayToNothing(ToyProvider):
    def unbind(self, name: str, issued: bool) -> Outcome:
        return super().unbind(name, True)


@caught_by("test_its_own_is_retired_only_where_ours_is_served")
class RetiresWhatServes(ToyProvider):
    def retire(self, name: str, *, ours: bool) -> Outcome:
        return super().retire(name, ours=True)


@caught_by("test_its_own_is_requested_beside_ours_and_takes_its_place")
class GivesUpOursToAsk(ToyProvider):
    def request(self, name: str) -> Outcome:
        self.session.call("DELETE", f"/bindings/{name}")
        return super().request(name)


@caught_by("test_many_are_told_as_each_is_told_alone")
class TellsAllTheSame(ToyProvider):
    def inspect_many(self, assignments: Sequence[Assignment]) -> Sequence[Mapping[str, Live]]:
        return [self.inspect(assignments[0])] * len(assignments)


# ---- seen to fail ----------------------------------------------------------------------------------------------------


def run(test: str, adapter: type[ToyProvider], caplog: pytest.LogCaptureFixture) -> list[str]:
    """The suite's test on that adapter, with each of its parameters; what it complained about."""
    method = getattr(ProviderConformance(), test)
    tables = []
    for mark in getattr(method, "pytestmark", []):
        names, rows = mark.args[0], list(mark.args[1])
        tables.append([{names: row} if isinstance(names, str) else dict(zip(names, row, strict=True)) for row in rows])
    new_rig = functools.partial(toy_rig, adapter)
    complaints = []
    for choice in itertools.product(*tables):
        arguments: dict[str, Any] = {name: value for table in choice for name, value in table.items()}
        known: dict[str, Callable[[], Any]] = {"rig": new_rig, "new_rig": lambda: new_rig, "caplog": lambda: caplog}
        for name in inspect.signature(method).parameters:
            if name in known:
                arguments[name] = known[name]()
        try:
            method(**arguments)
        except (AssertionError, ProviderError, pytest.fail.Exception) as complaint:
            complaints.append(str(complaint).splitlines()[0] if str(complaint) else type(complaint).__name__)
    return complaints


@pytest.mark.parametrize(("adapter", "test"), BROKEN, ids=[adapter.__name__ for adapter, _ in BROKEN])
def test_the_suite_notices(adapter: type[ToyProvider], test: str, caplog: pytest.LogCaptureFixture) -> None:
    assert run(test, adapter, caplog), f"{adapter.__name__} passed {test}"


def test_the_honest_toy_is_not_complained_about(caplog: pytest.LogCaptureFixture) -> None:
    """Run the same way: so it is the break that is noticed, not the way of running."""
    for test in sorted({test for _, test in BROKEN}):
        assert run(test, ToyProvider, caplog) == [], test


def test_every_promise_of_the_suite_has_been_seen_broken() -> None:
    tests = {name for name in dir(ProviderConformance) if name.startswith("test_")}
    unbroken = {"test_declares_what_it_is", "test_inspect_of_an_empty_place_is_empty"}
    assert tests - {test for _, test in BROKEN} == unbroken
