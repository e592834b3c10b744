"""What it means to be a provider, as tests. Inherit, override `new_rig`; a green class is a provider.

    class TestFastly(ProviderConformance):
        @pytest.fixture
        def new_rig(self) -> Callable[[], Rig]:
            return fastly_rig          # a function that makes a new, empty place

The suite itself is tested: it has been seen to fail on adapters broken on purpose, one way each.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Final, Literal

import pytest
import requests

from certbroker.errors import CredentialsRejected, Missing, ProviderError, Rejected, Unavailable
from certbroker.model import Done, Failed, Live, Owner, Restorable, Traits, Waiting
from certbroker.provider import ChecksCredentials
from certbroker.testkit.line import Answer, Line
from certbroker.testkit.rig import OTHER_STORE, STORE, Rig, address, shows
from certbroker.testkit.simulator import Response

MOST: Final = 200
"""Calls that one push of a rig may take; more is a loop."""

CORE_SETTINGS: Final = frozenset({"type", "edges", "standby", "deadline", "ownership", "accept_untrusted"})
"""Keys of `[target.NAME]` that belong to the core."""

NewRig = Callable[[], Rig]

_STATUSES: Final = [
    (400, Rejected),
    (401, CredentialsRejected),
    (403, CredentialsRejected),
    (404, Missing),
    (422, Rejected),
    (429, Unavailable),
    (500, Unavailable),
    (503, Unavailable),
]

_NONSENSE: Final = {
    "html": Response.html(200, "<html>welcome</html>"),
    "empty": Response(200),
    "half of some JSON": Response(200, b'{"data": [', {"Content-Type": "application/json"}),
    "null": Response.of(200, None),
    "a number": Response.of(200, 42),
    "a list": Response.of(200, [1, "a", None]),
    "an empty object": Response.of(200, {}),
    "an odd object": Response.of(200, {"data": "x", "errors": 3, "certificates": {"a": 1}, "id": None}),
}


class ProviderConformance:
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

    @pytest.mark.parametrize("over", ["nothing", "our own"])
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("kill", [False, True], ids=["line", "process"])
    def test_a_push_cut_at_any_write_is_finished_by_a_later_one(
        self, new_rig: NewRig, over: str, when: Literal["before", "after"], kill: bool
    ) -> None:
        """The line or the process dies at write 0, 1, 2 …: the old or the new is served, another run heals, nothing is left over."""
        for nth in range(MOST):
            rig = new_rig()
            clean = _objects_of_one_version(new_rig)
            old = _before(rig, over)
            rig.gate.cut(nth, when, kill=kill)
            outcomes, _ = rig.attempt(rig.push, rig.renewed)
            cut = rig.gate.mend()
            _done_is_true(rig, outcomes)
            assert rig.serves() <= {old, rig.renewed.fingerprint}
            outcomes = rig.push(rig.renewed)
            assert set(outcomes.values()) == {Done()}
            assert rig.serves() == {rig.renewed.fingerprint}
            rig.prune(rig.renewed)
            assert len(rig.state()) == clean, f"litter is left after a cut {when} write {nth}"
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

    # ---- errors ------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(("status", "error"), _STATUSES)
    @pytest.mark.parametrize("form", ["json", "html"])
    def test_speaks_our_errors(self, rig: Rig, status: int, error: type[ProviderError], form: str) -> None:
        line = _line(rig)
        rig.push(rig.first)
        before = rig.inspect()
        words = {"message": "no", "errors": [{"title": "no"}]}
        line.fail(Response.of(status, words) if form == "json" else Response.html(status, "<html>no</html>"))
        _, errors = rig.attempt(rig.push, rig.renewed, before=before)
        assert errors, f"a push that met nothing but {status} said it went well"
        assert {type(found) for found in errors} == {error}
        if status != 404:  # to some platforms that is how nothing looks
            with pytest.raises(error):
                rig.inspect()
        line.mend()
        assert rig.serves() == {rig.first.fingerprint}

    def test_passes_on_how_long_to_wait(self, rig: Rig) -> None:
        line = _line(rig)
        line.fail(Response.of(429, {"message": "slow down"}, **{"Retry-After": "17"}))
        _, errors = rig.attempt(rig.push, rig.first, before={})
        assert {found.retry_after for found in errors} == {17.0}

    def test_does_not_repeat_a_call_that_failed(self, rig: Rig) -> None:
        """Retrying is the engine's: it alone knows the deadline of the whole run."""
        line = _line(rig)
        line.fail(Response.of(503, {"message": "later"}))
        for act in (rig.inspect, lambda: rig.push(rig.first, before={}), lambda: rig.prune()):
            sent = len(line.sent)
            rig.attempt(act)
            calls = [(request.method, request.url, request.body) for request in line.sent[sent:]]
            assert len(calls) == len(set(calls)), "it asked the same again"

    @pytest.mark.parametrize("nonsense", _NONSENSE.values(), ids=_NONSENSE)
    def test_nonsense_is_an_error_and_never_a_success(self, rig: Rig, nonsense: Response) -> None:
        line = _line(rig)
        rig.push(rig.first)
        before = rig.inspect()
        line.fail(nonsense)
        outcomes, _ = rig.attempt(rig.push, rig.renewed, before=before)
        _done_is_true(rig, outcomes)
        for act in (rig.inspect, lambda: rig.open().restore(rig.assignment, {}, rig.first), lambda: rig.prune()):
            rig.attempt(act)
        line.mend()
        assert rig.serves() == {rig.first.fingerprint}

    @pytest.mark.parametrize("kind", ["500", "html", "reset"])
    def test_one_call_gone_wrong_is_never_called_a_success(self, new_rig: NewRig, kind: str) -> None:
        """At call 0, 1, 2 …: what it says afterwards is true, and another run finishes."""
        answers: dict[str, Answer] = {
            "500": Response.of(500, {"message": "oh"}),
            "html": _NONSENSE["html"],
            "reset": "reset",
        }
        for nth in range(MOST):
            rig = new_rig()
            line = _line(rig)
            rig.push(rig.first)
            honest = rig.inspect()
            line.fail(answers[kind], nth=nth)
            seen, errors = rig.attempt(rig.inspect)
            if not errors:
                said = {name: live.owner for name, live in seen.items() if isinstance(live, Live)}
                assert said == {name: live.owner for name, live in honest.items()}, "a failed call was read as nothing"
            sent = len(line.sent)
            line.fail(answers[kind], nth=nth)
            outcomes, _ = rig.attempt(rig.push, rig.renewed)
            _done_is_true(rig, outcomes)
            assert rig.serves() <= {rig.first.fingerprint, rig.renewed.fingerprint}
            over = len(line.sent) - sent <= nth
            line.mend()
            rig.push(rig.renewed)
            assert rig.serves() == {rig.renewed.fingerprint}
            if over:
                return
        pytest.fail(f"a push takes more than {MOST} calls")

    def test_a_credential_check_changes_nothing_and_sees_a_bad_token(self, rig: Rig) -> None:
        provider = rig.open()
        if not isinstance(provider, ChecksCredentials):
            pytest.skip("it checks no credentials")
        state = rig.state()
        assert provider.check().name
        assert rig.gate.writes == 0
        assert rig.state() == state
        if rig.line is not None:
            rig.line.fail(Response.of(401, {"message": "no"}))
            fresh = rig.open()
            assert isinstance(fresh, ChecksCredentials)
            with pytest.raises(CredentialsRejected):
                fresh.check()

    # ---- secrets -----------------------------------------------------------------------------------------------------

    def test_no_secret_gets_out(self, new_rig: NewRig, caplog: pytest.LogCaptureFixture) -> None:
        """Not in an address, an error, a repr, a log; not even when the service sends back what it was sent."""
        caplog.set_level(logging.DEBUG)
        rig = new_rig()
        rig.push(rig.first)
        rig.push(rig.renewed)
        rig.prune()
        rigs = [rig, *(echoing for status in (200, 400, 401, 409, 500) for echoing in _echoing(new_rig, status))]
        addresses = [address(request) for each in rigs if each.line for request in each.line.sent]
        logged = [caplog.text, *(repr(record.args) for record in caplog.records)]
        text = "\n".join([*addresses, *logged, *(shown for each in rigs for shown in each.shown)])
        for secret in (rig.first.key_pem, rig.renewed.key_pem, *rig.secrets):
            assert not shows(text, secret), "a secret got out"


def _echoing(new_rig: NewRig, status: int) -> list[Rig]:
    """At call 0, 1, 2 … of a push the service repeats what it was told; the rigs in which that was tried."""
    rigs: list[Rig] = []
    for nth in range(MOST):
        rig = new_rig()
        if rig.line is None:
            return []
        rigs.append(rig)
        rig.line.fail(functools.partial(_echo, status=status), nth=nth)
        rig.attempt(rig.push, rig.first)
        if len(rig.line.sent) <= nth:
            return rigs
    pytest.fail(f"a push takes more than {MOST} calls")


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


def _done_is_true(rig: Rig, outcomes: Mapping[str, object]) -> None:
    """Nothing is called done that is not served."""
    for name, outcome in outcomes.items():
        assert not isinstance(outcome, Done) or rig.served(name) == rig.renewed.fingerprint, f"{name} is not done"


def _echo(request: requests.PreparedRequest, status: int) -> Response:
    """A service that repeats everything it was told."""
    body = request.body.decode() if isinstance(request.body, bytes) else str(request.body or "")
    said = f"did not understand {dict(request.headers)} {body}"
    return Response.of(status, {"message": said, "errors": [{"title": said, "detail": body}], "error": body})


def _line(rig: Rig) -> Line:
    if rig.line is None:
        pytest.skip("this adapter speaks no HTTP")
    return rig.line
