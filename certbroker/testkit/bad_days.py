"""What a provider that speaks HTTP does on a bad day: it says so in our words, claims nothing, repeats nothing, and lets nothing out."""

from __future__ import annotations

import functools
import logging
from typing import Final

import pytest
import requests

from certbroker.errors import CredentialsRejected, Missing, ProviderError, Rejected, Unavailable
from certbroker.model import Live
from certbroker.provider import ChecksCredentials
from certbroker.testkit.line import Answer, Line
from certbroker.testkit.rig import NewRig, Rig, done_is_true, leaks
from certbroker.testkit.simulator import Response

MOST: Final = 200
"""Calls that one push of a rig may take; more is a loop."""

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


class BadDays:
    """Takes the fixtures `rig` and `new_rig` from the class it is joined with."""

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
        done_is_true(rig, outcomes)
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
            done_is_true(rig, outcomes)
            assert rig.serves() <= {rig.first.fingerprint, rig.renewed.fingerprint}
            over = len(line.sent) - sent <= nth
            line.mend()
            rig.push(rig.renewed)
            assert rig.serves() == {rig.renewed.fingerprint}
            if over:
                return
        pytest.fail(f"a push takes more than {MOST} calls")

    def test_a_credential_check_sees_a_bad_token(self, rig: Rig) -> None:
        line = _line(rig)
        provider = rig.open()
        if not isinstance(provider, ChecksCredentials):
            pytest.skip("it checks no credentials")
        line.fail(Response.of(401, {"message": "no"}))
        with pytest.raises(CredentialsRejected):
            provider.check()

    def test_no_secret_gets_out_when_the_service_repeats_what_it_was_told(
        self, new_rig: NewRig, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        rigs = [rig for status in (200, 400, 401, 409, 500) for rig in _echoing(new_rig, status)]
        assert leaks(rigs, caplog.text) == []


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


def _echo(request: requests.PreparedRequest, status: int) -> Response:
    """A service that repeats everything it was told."""
    body = request.body.decode() if isinstance(request.body, bytes) else str(request.body or "")
    said = f"did not understand {dict(request.headers)} {body}"
    return Response.of(status, {"message": said, "errors": [{"title": said, "detail": body}], "error": body})


def _line(rig: Rig) -> Line:
    if rig.line is None:
        pytest.skip("this adapter speaks no HTTP")
    return rig.line
