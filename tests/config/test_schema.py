"""The JSON Schema agrees with what is read."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import jsonschema
import pytest

from certbroker.config import json_schema
from tests.config.files import HEAD, MAIN, SOLVERS, TARGETS
from tests.config.test_alerts import ALERTS
from tests.config.test_problems import TEN
from tests.config.test_values import FULL

SCHEMA = json_schema(TARGETS, SOLVERS)


def complaints(text: str) -> list[Any]:
    return list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(tomllib.loads(text)))


def test_it_is_a_schema_and_plain_json() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("text", ["", HEAD + MAIN, FULL, HEAD + MAIN + ALERTS])
def test_it_takes_what_we_read(text: str) -> None:
    assert complaints(text) == []


@pytest.mark.parametrize(
    "text",
    [
        TEN,
        "[alert]\n",
        '[alerts]\npage = { webhok = { env = "A" } }\n',
        '[alerts]\npage = { webhook = "https://hooks.example/x" }\n',
        '[alerts]\ntell = [{ webhook = { env = "A" }, slack = { env = "B" } }]\n',
        '[target.x]\ntype = "cloud"\n',
        '[target.x]\ntype = "nowhere"\n',
        '[target.x]\ntype = "cloud"\ntoken = "pasted"\n',
        '[target.x]\ntype = "careless"\nplace = "/x"\nplac = 1\n',
        '[solver.x]\ntype = "dns"\ntoken = { env = "A", file = "B" }\n',
        '[certificate.x]\nnames = ["a.example"]\ntargets = [{ names = ["a.example"] }]\n',
        '[certificate."../x"]\nnames = ["a.example"]\n',
    ],
)
def test_it_refuses_what_we_refuse(text: str) -> None:
    assert complaints(text)


def test_a_provider_shows_its_own_settings_in_an_editor() -> None:
    kinds = {kind["title"]: kind for kind in SCHEMA["properties"]["target"]["additionalProperties"]["oneOf"]}
    assert kinds["cloud"]["properties"]["size"]["description"] == "How big."
    assert kinds["cloud"]["properties"]["standby"]["type"] == "boolean"
    assert kinds["cloud"]["required"] == ["type", "token"]
