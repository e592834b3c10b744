"""Pebble, the test CA of Let's Encrypt's makers: Debian's 2.4.0, or a newer one that CERTBROKER_PEBBLE names."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers.process import free_port, loopback_certificate, running, wait_for


@dataclass(frozen=True)
class Pebble:
    """A running one."""

    directory: str
    management: str
    ca_bundle: Path
    """What its HTTPS is judged by."""

    def root(self, number: int = 0) -> str:
        """The PEM of the root under which it signs; new at every start."""
        return self._get(f"roots/{number}").text

    def set_renewal_info(self, leaf_pem: str, answer: str) -> None:
        """What it says of this certificate's renewal (2.8 and newer)."""
        body = {"Certificate": leaf_pem, "ARIResponse": answer}
        done = requests.post(f"{self.management}/set-renewal-info/", json=body, verify=str(self.ca_bundle), timeout=10)
        done.raise_for_status()

    def status(self, serial: int) -> str:
        """`Valid` or `Revoked`."""
        return str(self._get(f"cert-status-by-serial/{serial:x}").json()["Status"])

    def _get(self, path: str) -> requests.Response:
        done = requests.get(f"{self.management}/{path}", verify=str(self.ca_bundle), timeout=10)
        done.raise_for_status()
        return done


def debian_pebble() -> str:
    """Debian's. Without it the test is skipped by name; in CI that is a failure."""
    return _program(shutil.which("pebble"), "Debian's package pebble")


def new_pebble() -> str:
    """2.10 or newer, where CERTBROKER_PEBBLE says. Without it the test is skipped by name; in CI that is a failure."""
    named = os.environ.get("CERTBROKER_PEBBLE")
    return _program(named if named and Path(named).exists() else None, "Pebble 2.10, named by CERTBROKER_PEBBLE")


def _program(found: str | None, what: str) -> str:
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"needs {what}")
        pytest.skip(f"needs {what}")
    return found


@contextmanager
def pebble(
    program: str,
    folder: Path,
    dns: str,
    *,
    environ: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Iterator[Pebble]:
    """Run it with -strict and its own default of refused nonces and reused authorizations.

    Args:
        folder: for its configuration and its HTTPS certificate.
        dns: "host:port" of the one resolver it asks.
        environ: e.g. `PEBBLE_WFE_NONCEREJECT`.
        config: members of its configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = loopback_certificate(folder)
    port, management = free_port(), free_port()
    settings = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(certificate),
        "privateKey": str(key),
        "httpPort": 5002,
        "tlsPort": 5001,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        **(config or {}),
    }
    path = folder / "pebble.json"
    path.write_text(json.dumps({"pebble": settings}))
    command = [program, "-strict", "-config", str(path), "-dnsserver", dns]
    variables = {"PATH": os.environ["PATH"], "PEBBLE_VA_NOSLEEP": "1", **(environ or {})}
    ready = Pebble(f"https://127.0.0.1:{port}/dir", f"https://127.0.0.1:{management}", certificate)
    with running(command, variables, folder, "pebble") as process:
        wait_for(lambda: _answers(ready.directory, certificate), process, folder / "pebble.log")
        yield ready


def _answers(url: str, bundle: Path) -> bool:
    try:
        return requests.get(url, verify=str(bundle), timeout=2).ok
    except requests.exceptions.ConnectionError:
        return False
