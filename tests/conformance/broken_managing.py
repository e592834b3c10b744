"""Adapters that deal wrongly with what the platform manages itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from certbroker.model import (
    Assignment,
    Bundle,
    Done,
    Live,
    Outcome,
)
from certbroker.provider import ManagedFacts
from tests.conformance.broken import Broken, noted_in
from tests.conformance.toy_adapter import ToyProvider

BROKEN: list[Broken] = []
caught_by = noted_in(BROKEN)

# ---- the platform's own ----------------------------------------------------------------------------------------------


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
