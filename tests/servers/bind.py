"""BIND (Debian package bind9): an authoritative server that takes signed updates, each as soon as it comes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from tests.servers.process import free_port, running, wait_for

KEY_NAME = "certbroker"
KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="

CONFIGURATION = """
options {{
    directory "{folder}";
    pid-file none;
    session-keyfile none;
    lock-file none;
    listen-on port {port} {{ {host}; }};
    listen-on-v6 {{ none; }};
    recursion no;
    notify no;
}};
controls {{ }};
key "{key}" {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "{zone}" {{ type primary; file "{zone}.zone"; update-policy {{ grant "{key}" zonesub TXT; }}; }};
"""

ZONE = """$ORIGIN {zone}.
$TTL 60
@ SOA ns1.{zone}. hostmaster.{zone}. 1 3600 600 86400 60
@ NS ns1.{zone}.
ns1 A {host}
"""


@dataclass(frozen=True)
class Bind:
    """A running one."""

    host: str
    port: int

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


def program() -> str | None:
    return shutil.which("named", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


@contextmanager
def bind(folder: Path, zone: str, *, host: str = "127.0.0.1") -> Iterator[Bind]:
    """Serves `zone`. Without the program the test is skipped by name."""
    found = program()
    if found is None:
        pytest.skip("needs Debian's package bind9")
    folder.mkdir(parents=True)
    (folder / f"{zone}.zone").write_text(ZONE.format(zone=zone, host=host))
    port = free_port()
    (folder / "named.conf").write_text(
        CONFIGURATION.format(folder=folder, host=host, port=port, key=KEY_NAME, secret=KEY, zone=zone)
    )
    server = Bind(host, port)

    def answers() -> bool:
        try:
            return bool(dns.query.udp(dns.message.make_query(zone, "SOA"), host, port=port, timeout=0.5).answer)
        except (dns.exception.DNSException, OSError):
            return False

    with running([found, "-g", "-c", str(folder / "named.conf")], os.environ, folder, "named") as process:
        wait_for(answers, process, folder / "named.log")
        yield server
