"""Adapters that tell what is not so, or what nobody may hear."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from certbroker.errors import CredentialsRejected, ProviderError, Rejected, Unavailable
from certbroker.model import (
    Assignment,
    Bundle,
    Live,
    Outcome,
    Owner,
    Restorable,
    Standing,
    Traits,
)
from certbroker.provider import Context
from tests.conformance.broken import Broken, noted_in
from tests.conformance.toy_adapter import ToyProvider, ToySettings

BROKEN: list[Broken] = []
caught_by = noted_in(BROKEN)

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
