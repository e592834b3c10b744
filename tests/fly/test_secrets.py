"""A canary key and a canary token: in no error, no representation, no URL, whatever Fly answers."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from certbroker.errors import ProviderError
from certbroker.model import Failed
from certbroker.testkit.simulator import Fault, Request, Response
from tests.fly.rig import NAMES, Fly, make_bundle, make_fly

TOKEN = "fm2_canaryAAAABBBBCCCCDDDDEEEEFFFF"


def echo(fly: Fly, status: int, *, json: bool) -> Fault:
    """A Fly that answers with what it was sent, headers included."""

    class Echo:
        def __call__(self, request: Request) -> bool:
            said = f"{request.headers.get('Authorization')} {request.body.decode()}"
            fault.then = Response.of(status, {"error": said}) if json else Response.html(status, "x" * 270 + said)
            return True

    fault = Fault(Response(status), times=99, matches=Echo())
    fly.simulator.faults.append(fault)
    return fault


@pytest.mark.parametrize("json", [True, False])
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 409, 422, 429, 500])
def test_a_fly_that_echoes_everything_makes_us_repeat_no_secret(status: int, json: bool) -> None:
    fly = make_fly()
    echo(fly, status, json=json)
    bundle = make_bundle(NAMES[:1])
    provider = fly.provider(token=f"FlyV1 {TOKEN}")
    acts = (
        lambda: provider.push(bundle, {}),
        lambda: provider.inspect(bundle.assignment),
        lambda: provider.restore(bundle.assignment, {}, bundle),
        lambda: provider.edges(bundle.assignment),
        provider.check,
    )
    errors = [error for act in acts for error in told(act)]
    assert errors
    for error in errors:
        text = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
        assert "canary" not in text
        assert "BEGIN PRIVATE" not in text
        for line in bundle.key_pem.reveal().splitlines()[1:-1]:
            assert line not in text


def told(act: Callable[[], object]) -> list[ProviderError]:
    """The errors of one act, raised or as outcomes."""
    try:
        result = act()
    except ProviderError as error:
        return [error]
    found = result.values() if isinstance(result, dict) else ()
    return [outcome.error for outcome in found if isinstance(outcome, Failed)]


def test_the_key_travels_in_the_body_of_the_upload_and_nowhere_else() -> None:
    fly = make_fly()
    fly.prove(*NAMES)
    bundle, provider = make_bundle(), fly.provider()
    provider.push(bundle, provider.inspect(bundle.assignment))
    line = bundle.key_pem.reveal().splitlines()[1]
    for request in fly.simulator.requests:
        assert line not in request.path + repr(request.query) + repr(dict(request.headers))
        assert (line in request.body.decode()) is request.path.endswith("/custom")
    assert line not in repr(provider) + repr(vars(provider))
