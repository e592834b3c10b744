"""What `deploy/` shows of the watcher is what it understands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from certbroker.cli.app import app

DEPLOY = Path(__file__).parents[2] / "deploy"
README = Path(__file__).parents[2] / "certbroker" / "watch" / "README.md"


@pytest.mark.parametrize("page", [DEPLOY / "certbroker-watch.service", DEPLOY / "certbroker-watch.github.yml", README])
def test_its_options_are_there(page: Path) -> None:
    text = page.read_text().replace("\\\n", " ").replace("\n          --", " --")
    lines = re.findall(r"certbroker watch (\S+(?: +[^ \n][^\n]*)?)", text)
    known = {flag for option in app.commands["watch"].params for flag in option.opts}
    told = {word for line in lines for word in line.split() if word.startswith("--")}
    assert {"--state", "--page", "--tell"} <= told <= known


def test_the_workflow_is_one() -> None:
    found = yaml.safe_load((DEPLOY / "certbroker-watch.github.yml").read_text())
    assert found["permissions"] == {}
    assert any("certbroker watch https://" in step.get("run", "") for step in found["jobs"]["watch"]["steps"])
