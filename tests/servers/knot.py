"""Knot DNS (Debian package knot): an authoritative server that takes signed updates."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest

from tests.servers.process import free_port, running, wait_for

KEY_NAME = "certbroker"
KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="

CONFIGURATION = """
server:
    rundir: "{folder}/run"
    listen: {host}@{port}
    user: {user}
database:
    storage: "{folder}/db"
log:
  - target: stderr
    any: info
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: txt
    key: {key}
    action: update
    update-type: TXT
template:
  - id: default
    storage: "{folder}"
    file: "%s.zone"
    acl: txt
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
{zones}
"""

ZONE = """$ORIGIN {zone}.
$TTL 60
@ SOA ns1.{zone}. hostmaster.{zone}. 1 3600 600 86400 60
@ NS ns1.{zone}.
ns1 A {host}
"""


@dataclass(frozen=True)
class Knot:
    """A running one."""

    host: str
    port: int

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def txt(self, name: str) -> list[str]:
        """The values it serves at `name`."""
        answer = dns.query.tcp(dns.message.make_query(name, "TXT"), self.host, port=self.port, timeout=5)
        return sorted(
            b"".join(rdata.strings).decode()
            for rrset in answer.answer
            if rrset.rdtype == dns.rdatatype.TXT
            for rdata in rrset
        )


@contextmanager
def knot(folder: Path, zones: Mapping[str, str], *, host: str = "127.0.0.1") -> Iterator[Knot]:
    """Serves `zones`: names to further lines of their zone files. Without the program the test is skipped by name."""
    program = shutil.which("knotd") or shutil.which("knotd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("needs Debian's package knot")
        pytest.skip("needs Debian's package knot")
    for name in ("run", "db"):
        (folder / name).mkdir(parents=True)
    for zone, lines in zones.items():
        (folder / f"{zone}.zone").write_text(ZONE.format(zone=zone, host=host) + lines + "\n")
    port = free_port()
    user = "root:root" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
    text = CONFIGURATION.format(
        folder=folder,
        host=host,
        port=port,
        user=user,
        key=KEY_NAME,
        secret=KEY,
        zones="\n".join(f"  - domain: {zone}" for zone in zones),
    )
    (folder / "knot.conf").write_text(text if os.geteuid() == 0 else text.replace(f"    user: {user}\n", ""))
    server = Knot(host, port)

    def answers() -> bool:
        try:
            return all(
                dns.query.udp(dns.message.make_query(zone, "SOA"), host, port=port, timeout=0.5).answer
                for zone in zones
            )
        except (dns.exception.DNSException, OSError):
            return False

    with running([program, "-c", str(folder / "knot.conf")], os.environ, folder, "knot") as process:
        wait_for(answers, process, folder / "knot.log")
        yield server
