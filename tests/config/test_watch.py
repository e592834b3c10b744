"""[watch]: where what the watcher is given goes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema
import pytest

from certbroker.config import json_schema
from tests.config.files import HEAD, MAIN, SOLVERS, TARGETS, problems, read

WATCH = '\n[watch]\ninventory = "public/inventory.json"\n'


def test_a_relative_path_begins_at_the_file(tmp_path: Path) -> None:
    config = read(tmp_path, HEAD + MAIN + WATCH)
    assert config.inventory == config.folder / "public" / "inventory.json"
    assert read(tmp_path, HEAD + MAIN).inventory is None
    jsonschema.Draft202012Validator(json_schema(TARGETS, SOLVERS)).validate(tomllib.loads(WATCH))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('inventory = ""', "watch.inventory: is empty"),
        ("inventory = 1", "watch.inventory: must be text"),
        ('inventry = "x"', "watch.inventry: is not a setting here; did you mean inventory?"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, line: str, told: str) -> None:
    found = problems(tmp_path, f"{HEAD}{MAIN}\n[watch]\n{line}\n")
    assert len(found) == 1
    assert told in found[0]
