"""Whatever a CA answers, at whatever step: one of our errors with its name in it, no crash, no hang, nothing left behind."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certbroker.config import IssuerSettings
from certbroker.errors import IssuanceError
from certbroker.model import Version
from certbroker.sandbox.ca import SandboxCA
from certbroker.testkit.simulator import Fault, Request, Response, SimulatorTransport
from tests.clock import TestClock
from tests.issuer.desk import Desk, desk, own_dns, version, wanted
from tests.issuer.test_messages import JSON

BASE = "http://ca.test"
SETTINGS = IssuerSettings("sandbox", f"{BASE}/dir", agree_to_terms=True)
STEPS = ("/dir", "/nonce", "/new-account", "/new-order", "/authz/", "/chall/", "/order/", "/finalize", "/cert/")


def at_step(step: str, request: Request) -> bool:
    if step == "/finalize":
        return request.path.endswith(step)
    return request.path.startswith(step) and not request.path.endswith("/finalize")


@contextmanager
def scene(folder: Path, kind: type[SandboxCA] = SandboxCA) -> Iterator[tuple[SandboxCA, Desk]]:
    clock = TestClock()
    with own_dns() as dns:
        ca = kind(clock=clock, rng=random.Random(7), lookup_txt=dns.lookup_txt, base_url=BASE)
        with desk(folder, SETTINGS, dns.address, clock, transport=SimulatorTransport(ca)) as at:
            yield ca, at
        assert dns.txt("_acme-challenge.example.com") == []


ANSWERS = [
    Response(200, b""),
    Response(200, b"<html>hello</html>", {"Content-Type": "text/html"}),
    Response(200, b"[]", {"Content-Type": "application/json"}),
    Response(200, b"{}", {"Content-Type": "application/json", "Location": "gopher://x"}),
    Response(201, b"\xff\xfe\x00", {"Location": f"{BASE}/order/1"}),
    Response(204),
    Response(302, b"", {"Location": f"{BASE}/elsewhere"}),
    Response(400, b"{}", {"Content-Type": "application/problem+json"}),
    Response(403, b'{"type": 7, "detail": ["x"], "subproblems": {"a": 1}}'),
    Response(500, b'{"type": "urn:ietf:params:acme:error:serverInternal"}', {"Retry-After": "Tue, 99 Foo"}),
    Response(503, b"busy", {"Retry-After": "99999999999999999999"}),
]


@pytest.mark.parametrize("step", STEPS)
def test_a_useless_answer_at_any_step_is_an_error_of_ours(tmp_path: Path, step: str) -> None:
    """Each answer meets an issuer and a certificate of its own, so that nothing is known from before."""
    with scene(tmp_path) as (ca, at):
        for number, answer in enumerate(ANSWERS):
            ca.faults = [Fault(answer, matches=lambda request: at_step(step, request), times=1000)]
            own = IssuerSettings(f"ca{number}", f"{BASE}/dir?{number}", agree_to_terms=True)
            request = wanted("example.com", certificate=f"c{number}")
            outcome = at.issuer(settings=own).obtain([request])[0]
            if step == "/chall/" and answer.status in (200, 201, 204):
                assert isinstance(outcome, IssuanceError | Version), answer  # nobody needs to read that answer
            else:
                assert isinstance(outcome, IssuanceError), answer
                assert outcome.what.startswith(f"ca{number} "), answer
            assert at.store.unremoved() == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    step=st.sampled_from(STEPS),
    value=JSON,
    spoiled=st.dictionaries(
        st.sampled_from(["status", "authorizations", "challenges", "identifier", "finalize", "certificate", "error"]),
        JSON,
        max_size=4,
    ),
    whole=st.booleans(),
)
def test_no_json_crashes_an_order(
    tmp_path_factory: pytest.TempPathFactory, step: str, value: object, spoiled: dict[str, object], whole: bool
) -> None:
    class Spoilt(SandboxCA):
        """Answers truly and then spoils it."""

        def answer(self, request: Request) -> Response:
            answer = super().answer(request)
            if not at_step(step, request):
                return answer
            try:
                content = json.loads(answer.body)
            except ValueError:
                content = {}
            body = json.dumps(value if whole else {**content, **spoiled}).encode()
            return Response(answer.status, body, answer.headers)

    with scene(tmp_path_factory.mktemp("fuzz"), Spoilt) as (_, at):
        outcome = at.issuer().obtain([wanted("example.com")])[0]
        assert isinstance(outcome, IssuanceError | Version)
        assert at.store.unremoved() == []


def test_no_key_reaches_a_log_an_event_or_the_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At the highest verbosity of everything that is below us."""
    with scene(tmp_path) as (_, at), caplog.at_level(logging.DEBUG):
        got = version(at.issuer().obtain([wanted()])[0])
        box = at.store.box("version", str(got.id))
        account = at.store.box("account", f"sandbox {BASE}/dir")
        assert box is not None
        assert account is not None
        key = at.vault.unseal(at.store.id, "version", str(got.id), box).reveal()
        jwk = at.vault.unseal(at.store.id, "account", f"sandbox {BASE}/dir", account).reveal()
        lines = [line for line in key.splitlines() if "-----" not in line][
            :-1
        ]  # the last is all public: it is in the CSR too
        secrets = [json.loads(jwk)["d"], *lines]
        told = caplog.text + repr(at.told) + "".join(json.dumps(event.data()) for event in at.told)
        files = b"".join(path.read_bytes() for path in tmp_path.rglob("store.db*"))
        for secret in secrets:
            assert len(secret) > 20
            assert secret not in told
            assert secret.encode() not in files
