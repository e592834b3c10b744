"""[dashboard]: who may look, and under which names it is reached."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema
import pytest

from certbroker.config import DashboardSettings, json_schema
from certbroker.secret import SecretRef
from tests.config.files import HEAD, MAIN, SOLVERS, TARGETS, problems, read

DASHBOARD = """
[dashboard]
token = { env = "DASHBOARD_TOKEN" }
trusted_header = "X-Forwarded-User"
hosts = ["Certs.example.com"]
"""


def test_it_becomes_values_and_no_secret_is_opened(tmp_path: Path) -> None:
    config = read(tmp_path, HEAD + MAIN + DASHBOARD)
    line = (HEAD + MAIN).count("\n") + 3
    reference = SecretRef(env="DASHBOARD_TOKEN")
    assert config.dashboard == DashboardSettings(reference, "X-Forwarded-User", ("certs.example.com",), line)
    assert config.where(reference) == f"dashboard.token (certbroker.toml:{line})"
    jsonschema.Draft202012Validator(json_schema(TARGETS, SOLVERS)).validate(tomllib.loads(DASHBOARD))


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('token = "pasted"', "dashboard.token"),
        ('trusted_header = "X Forwarded"', "dashboard.trusted_header: must be the name of an HTTP header"),
        ('hosts = "a.example"', "dashboard.hosts"),
        ("listen = 1", "dashboard.listen"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, table: str, told: str) -> None:
    found = problems(tmp_path, f"{HEAD}{MAIN}\n[dashboard]\n{table}\n")
    assert len(found) == 1
    assert told in found[0]
    assert "pasted" not in found[0]
