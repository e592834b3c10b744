"""Prometheus (Debian package prometheus) and its promtool."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers.process import free_port, running, wait_for


@dataclass(frozen=True)
class Prometheus:
    """A running one."""

    url: str

    def get(self, path: str, **query: str) -> Any:
        """The `data` of an answer of its API."""
        answer = requests.get(f"{self.url}/api/v1/{path}", params=query, timeout=10)
        answer.raise_for_status()
        return answer.json()["data"]


def program(name: str) -> str:
    """`prometheus` or `promtool`. Without it the test is skipped by name; in CI that is a failure."""
    found = shutil.which(name)
    if found is None:
        reason = f"needs {name} of Debian's package prometheus"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def promtool(*words: str, text: bytes = b"", folder: Path) -> subprocess.CompletedProcess[bytes]:
    """What it says to `text`."""
    return subprocess.run(
        [program("promtool"), *words], input=text, cwd=folder, capture_output=True, check=False, timeout=60
    )


@contextmanager
def prometheus(folder: Path, target: str, *, token: str, rules: Path) -> Iterator[Prometheus]:
    """Scrapes `target` ("host:port") every second with that Bearer token, and evaluates `rules` as often."""
    folder.mkdir(parents=True)
    port = free_port()
    configuration = {  # YAML reads JSON
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "certbroker",
                "authorization": {"credentials": token},
                "static_configs": [{"targets": [target]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(configuration))
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    server = Prometheus(f"http://127.0.0.1:{port}")

    def ready() -> bool:
        try:
            return requests.get(f"{server.url}/-/ready", timeout=2).ok
        except (requests.exceptions.ConnectionError, OSError):
            return False

    with running(command, os.environ, folder, "prometheus") as process:
        wait_for(ready, process, folder / "prometheus.log")
        yield server
