"""PowerDNS (Debian packages pdns-server, pdns-backend-sqlite3, sqlite3): its HTTP API is what Lexicon speaks to here."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.query
import dns.rdatatype
import pytest
import requests

from tests.servers.process import free_port, running, wait_for

API_KEY = "interop-api-key-0123456789"
SCHEMAS = (
    "/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql",
    "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql",
)


@dataclass(frozen=True)
class PowerDns:
    """A running one."""

    host: str
    port: int
    api: str

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def add_zone(self, zone: str) -> None:
        """Make it, through the API."""
        body = {"name": f"{zone}.", "kind": "Native", "nameservers": [f"ns1.{zone}."]}
        done = requests.post(
            f"{self.api}/api/v1/servers/localhost/zones", json=body, headers={"X-API-Key": API_KEY}, timeout=10
        )
        done.raise_for_status()

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
def powerdns(folder: Path) -> Iterator[PowerDns]:
    """Without zones yet. Without the program the test is skipped by name."""
    program = shutil.which("pdns_server") or shutil.which("pdns_server", path="/usr/sbin:/usr/local/sbin")
    schema = next((Path(path) for path in SCHEMAS if Path(path).exists()), None)
    if program is None or schema is None:
        reason = "needs Debian's packages pdns-server and pdns-backend-sqlite3"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(folder / "pdns.sqlite3")
    database.executescript(schema.read_text())
    database.close()
    port, web = free_port(), free_port()
    options = {
        "config-dir": str(folder),
        "socket-dir": str(folder),
        "daemon": "no",
        "guardian": "no",
        "launch": "gsqlite3",
        "gsqlite3-database": str(folder / "pdns.sqlite3"),
        "local-address": "127.0.0.1",
        "local-port": str(port),
        "api": "yes",
        "api-key": API_KEY,
        "webserver": "yes",
        "webserver-address": "127.0.0.1",
        "webserver-port": str(web),
        "cache-ttl": "0",
        "query-cache-ttl": "0",
        "negquery-cache-ttl": "0",
        "zone-cache-refresh-interval": "0",
    }
    (folder / "pdns.conf").write_text("".join(f"{key}={value}\n" for key, value in options.items()))
    server = PowerDns("127.0.0.1", port, f"http://127.0.0.1:{web}")

    def answers() -> bool:
        try:
            ready = requests.get(f"{server.api}/api/v1/servers/localhost", headers={"X-API-Key": API_KEY}, timeout=1)
        except requests.RequestException:
            return False
        return ready.ok

    with running([program, f"--config-dir={folder}"], os.environ, folder, "pdns") as process:
        wait_for(answers, process, folder / "pdns.log")
        yield server
