"""Fly's own OpenAPI document judges both sides: what the adapter sends and what the simulator answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from jsonschema import Draft202012Validator, ValidationError

from certbroker.testkit.simulator import Request, Response
from certbroker_fly.simulator import FlySimulator, Quirks
from tests.clock import TestClock
from tests.contracts import contract
from tests.fly.rig import NAMES, Dns, Fly, label, make_bundle, self_managed
from tests.fly.test_simulator import ask, upload


class Recorded(FlySimulator):
    """Keeps what it answered."""

    exchanges: list[tuple[Request, Response]]

    def answer(self, request: Request) -> Response:
        response = super().answer(request)
        self.exchanges.append((request, response))
        return response


def recorded(quirks: Quirks | None = None) -> Fly:
    clock, dns = TestClock(), Dns()
    simulator = Recorded(
        clock=clock.now, apps=("site-blue",), lookup=dns.lookup, managed_issuer=self_managed, quirks=quirks or Quirks()
    )
    simulator.exchanges = []
    return Fly(simulator, dns, clock)


class Document:
    """The document, strict: members that it does not name are errors."""

    def __init__(self, *, nulls: bool) -> None:
        self.document = json.loads(contract("fly-machines-openapi.json").read_text())
        self._components = {"schemas": _strict(self.document["components"]["schemas"], nulls=nulls)}

    def operation(self, request: Request) -> dict[str, Any]:
        """The operation that serves this request, literal paths before templated ones."""
        assert request.path.startswith("/v1/")
        parts = [unquote(part) for part in request.path.removeprefix("/v1").split("/")]
        for template in sorted(self.document["paths"], key=lambda path: path.count("{")):
            names = template.split("/")
            item = self.document["paths"][template]
            fits = len(names) == len(parts) and all(
                name.startswith("{") or name == part for name, part in zip(names, parts, strict=True)
            )
            if fits and request.method.lower() in item:
                operation: dict[str, Any] = item[request.method.lower()]
                return operation
        raise AssertionError(f"no operation serves {request.method} {request.path}")

    def check(self, schema: dict[str, Any], value: object) -> None:
        Draft202012Validator({**schema, "components": self._components}).validate(value)


def _strict(value: Any, *, nulls: bool) -> Any:
    if isinstance(value, list):
        return [_strict(item, nulls=nulls) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _strict(item, nulls=nulls) for key, item in value.items()}
    if isinstance(found.get("properties"), dict):
        found["additionalProperties"] = False
        if nulls:  # the document has no word for null, which Fly's documentation prints in examples
            found["properties"] = {
                key: {"anyOf": [item, {"type": "null"}]} for key, item in found["properties"].items()
            }
    return found


def judge(fly: Fly, *, nulls: bool = False) -> Iterator[tuple[str, int]]:
    """Every exchange so far; yields what was judged."""
    document = Document(nulls=nulls)
    assert isinstance(fly.simulator, Recorded)
    for request, response in fly.simulator.exchanges:
        operation = document.operation(request)
        known = {item["name"] for item in operation["parameters"] if item["in"] == "query"} if request.query else set()
        assert {name for name, _ in request.query} <= known
        if "requestBody" in operation:
            assert request.headers["Content-Type"] == "application/json"
            document.check(operation["requestBody"]["content"]["application/json"]["schema"], request.json())
        else:
            assert request.body == b""
        described = operation["responses"].get(str(response.status))
        if response.status >= 400:
            document.check({"$ref": "#/components/schemas/ErrorResponse"}, json.loads(response.body))
        elif response.status == 204:
            assert response.body == b""
            assert described is not None
        else:
            assert described is not None, f"{operation['operationId']} does not answer {response.status}"
            document.check(described["content"]["application/json"]["schema"], json.loads(response.body))
        yield operation["operationId"], response.status


@pytest.mark.parametrize(
    "quirks", [Quirks(), Quirks(blanks="missing"), Quirks(status_style="docs", fractions=True)], ids=label
)
def test_what_the_adapter_sends_and_gets_is_in_the_document(quirks: Quirks) -> None:
    fly = recorded(quirks)
    bundle, provider = make_bundle(), fly.provider()
    provider.check()
    provider.edges(bundle.assignment)
    fly.simulator.manage("site-blue", "example.com")
    before = provider.inspect(bundle.assignment)
    provider.push(bundle, before)
    fly.prove(*NAMES)
    provider.push(bundle, provider.inspect(bundle.assignment))
    provider.restore(bundle.assignment, before, None)
    judged = set(judge(fly))
    assert {name for name, _ in judged} == {
        "App_Certificates_list",
        "App_Certificates_show",
        "App_Certificates_custom_create",
        "App_Certificates_check",
        "App_Certificates_custom_delete",
        "App_IPAssignments_list",
        "CurrentToken_show",
    }


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(blanks="missing"), Quirks(blanks="null")], ids=label)
def test_every_answer_of_the_simulator_is_in_the_document(quirks: Quirks) -> None:
    fly = recorded(quirks)
    host = "www.example.com"
    calls: list[tuple[str, str, object]] = [
        ("GET", "/certificates", None),
        ("POST", "/certificates/acme", {"hostname": host}),
        ("POST", "/certificates/acme", {"hostname": host}),
        ("POST", "/certificates/custom", upload()),
        ("POST", "/certificates/custom", upload("mail.example.com")),
        ("GET", f"/certificates/{host}", None),
        ("GET", "/certificates?filter=www&limit=1", None),
        ("POST", f"/certificates/{host}/check", None),
        ("DELETE", f"/certificates/{host}/acme", None),
        ("DELETE", f"/certificates/{host}/custom", None),
        ("DELETE", f"/certificates/{host}/custom", None),
        ("DELETE", f"/certificates/{host}", None),
        ("GET", f"/certificates/{host}", None),
        ("GET", "/ip_assignments", None),
    ]
    for method, path, body in calls:
        ask(fly, method, path, body)
    statuses = [status for _, status in judge(fly, nulls=quirks.blanks == "null")]
    assert statuses == [200, 201, 422, 201, 422, 200, 200, 200, 200, 200, 404, 204, 404, 200]


def test_the_judge_notices_what_the_document_does_not_name() -> None:
    fly = recorded(Quirks(extra_member=True))
    ask(fly, "POST", "/certificates/custom", upload())
    with pytest.raises(ValidationError, match="pending_review"):
        list(judge(fly))
