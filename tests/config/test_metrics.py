"""[metrics]: where a textfile goes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema
import pytest

from certbroker.config import json_schema
from tests.config.files import HEAD, MAIN, SOLVERS, TARGETS, problems, read

METRICS = '\n[metrics]\ntextfile = "exported/certbroker.prom"\n'


def test_a_relative_path_begins_at_the_file(tmp_path: Path) -> None:
    config = read(tmp_path, HEAD + MAIN + METRICS)
    assert config.textfile == config.folder / "exported" / "certbroker.prom"
    assert read(tmp_path, HEAD + MAIN).textfile is None
    jsonschema.Draft202012Validator(json_schema(TARGETS, SOLVERS)).validate(tomllib.loads(METRICS))


@pytest.mark.parametrize(
    ("line", "told"),
    [('textfile = "metrics.txt"', "metrics.textfile: must end with .prom"), ("textfile = 1", "metrics.textfile")],
)
def test_what_is_wrong_is_told(tmp_path: Path, line: str, told: str) -> None:
    found = problems(tmp_path, f"{HEAD}{MAIN}\n[metrics]\n{line}\n")
    assert len(found) == 1
    assert told in found[0]
