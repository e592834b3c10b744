"""Adapters that change what they must not, or do not what they must."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from certbroker.errors import Unavailable
from certbroker.model import (
    Assignment,
    Bundle,
    Done,
    Failed,
    Keep,
    Live,
    Outcome,
    Waiting,
)
from tests.conformance.broken import Broken, noted_in
from tests.conformance.toy_adapter import ToyProvider

BROKEN: list[Broken] = []
caught_by = noted_in(BROKEN)

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
