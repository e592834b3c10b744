"""Each command once as a program of its own, against an embedded world that runs on the machine's clock."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from certbroker import __version__
from certbroker.cli.app import app
from certbroker.sandbox.house import Sandbox
from certbroker.world import SystemClock

HEAVY = ("acme", "alembic", "cryptography", "dns", "josepy", "pydantic", "requests", "rich", "sqlalchemy")


@dataclass(frozen=True)
class Program:
    """`certbroker` in a folder of its own, with the environment that its file names."""

    folder: Path
    environ: dict[str, str]

    def __call__(self, *argv: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *flags, "-m", "certbroker", *argv],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """No file, no store, no world."""
    folder = tmp_path_factory.mktemp("bare")
    return Program(folder, {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONWARNINGS": "error"})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A house whose certificate is served everywhere."""
    folder = tmp_path_factory.mktemp("smoke")
    with Sandbox(clock=SystemClock(), rng=random.Random(3)) as house:
        house.write(folder)
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONWARNINGS": "error", **house.secrets}
        program = Program(folder, environ)
        for first in (["init"], ["renew"], ["export", "--all", "taken"], ["inventory", "-o", "inventory.json"]):
            done = program(*first)
            assert done.returncode == 0, done.stdout + done.stderr
        yield program


ANSWERS = [
    "where",
    "config check --secrets",
    "config schema",
    "challenges main",
    "who-owns main",
    "caa main",
    "providers",
    "plan",
    "renew",
    "issue main",
    "push",
    "check",
    "probe main",
    "drift",
    "ready fastly",
    "status",
    "history",
    "explain main",
    "rollback main --to v1",
    "takeover main",
    "handback main --target fly-blue",
    "dashboard --export pages",
    "inventory",
    "watch inventory.json",
    "alerts show",
    "mute main --for 1d -m known",
    "account show",
    "account make sandbox",
    "account rollover sandbox",
    "revoke main --version 1 --yes",
    "account deactivate sandbox --yes",
    "export main",
    "export --all exported",
    "import main taken/main",
    "backup backup.db",
    "vault check",
    "vault rotate",
    f"forget --host {socket.gethostname()}",
]
ELSEWHERE = ["alerts test", "init", "account import", "restore", "demo", "sandbox"]


@pytest.mark.parametrize("command", ANSWERS)
def test_it_runs(served: Program, command: str) -> None:
    """With --json, where it is offered."""
    offers = [name for name in _leaves() if _is(name, command) and _offers_json(name)]
    done = served(*command.split(), *(["--json"] if offers else []))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    assert done.stderr == ""
    if offers:
        assert isinstance(json.loads(done.stdout), dict)


def test_no_command_is_left_out() -> None:
    tried = {name for name in _leaves() if any(_is(name, each) for each in [*ANSWERS, *ELSEWHERE])}
    assert tried == set(_leaves())


def _offers_json(name: str) -> bool:
    return any("--json" in option.opts for option in _leaves()[name].params)


def _is(command: str, line: str) -> bool:
    return f"{line} ".startswith(f"{command} ")


def _leaves(group: click.Group = app, before: str = "") -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        inner = _leaves(command, f"{before}{name} ") if isinstance(command, click.Group) else {before + name: command}
        found |= inner
    return found


def test_a_backup_is_restored_elsewhere(served: Program, tmp_path: Path) -> None:
    assert served("backup", str(tmp_path / "backup.db")).returncode == 0
    text = (served.folder / "certbroker.toml").read_text().replace(f"{served.folder}/state", f"{tmp_path}/state")
    for name in ("roots.pem", "vault.key"):
        (tmp_path / name).write_bytes((served.folder / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    (tmp_path / "certbroker.toml").write_text(text)
    there = Program(tmp_path, served.environ)
    done = there("restore", "backup.db")
    assert done.returncode == 0, done.stderr
    assert there("vault", "check").returncode == 0


def test_an_account_is_not_imported_from_a_file_that_is_no_key(served: Program) -> None:
    done = served("account", "import", "sandbox", "certbroker.toml")
    assert done.returncode == 2
    assert "error: certbroker.toml is not a readable PEM private key" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_demo_goes_as_told(bare: Program) -> None:
    done = bare("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The whole main job in" in done.stdout


def test_the_sandbox_ends_by_itself(bare: Program) -> None:
    done = bare("sandbox", "--seconds", "1", "--folder", "sandbox")
    assert done.returncode == 0, done.stderr
    assert "NOT TRUSTED" in done.stdout
    assert (bare.folder / "sandbox" / "certbroker.toml").exists()


def test_without_a_file_it_says_so(bare: Program) -> None:
    done = bare("renew")
    assert done.returncode == 2
    assert "error: " in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


BROKERS = ("acme", "alembic", "dns", "jinja2", "josepy", "prometheus_client", "rich", "sqlalchemy", "starlette")
"""What only a broker needs."""


def test_the_watcher_has_nothing_of_the_broker(served: Program, tmp_path: Path) -> None:
    """Neither its environment nor its modules; and it needs no file but the inventory."""
    (tmp_path / "inventory.json").write_bytes((served.folder / "inventory.json").read_bytes())
    bare = Program(tmp_path, {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error"})
    done = bare("watch", "inventory.json", flags=("-X", "importtime"))
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "certbroker.probe" in loaded
    assert {each.partition(".")[0] for each in loaded}.isdisjoint(BROKERS)
    assert not {
        each for each in loaded if each.startswith(("certbroker.vault", "certbroker.store", "certbroker.config"))
    }


def test_the_watcher_stays_until_it_is_asked_to_end(served: Program) -> None:
    line = [sys.executable, "-m", "certbroker", "watch", "inventory.json", "--every", "1s"]
    started = subprocess.Popen(line, cwd=served.folder, env=served.environ, stdout=subprocess.PIPE, text=True)
    with started:
        assert started.stdout
        told = [started.stdout.readline() for _ in range(2)]
        started.terminate()
        assert started.wait(30) == 0
    assert all("looks at 3 targets see what should be served" in each for each in told)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(bare: Program, option: str) -> None:
    done = bare(option, flags=("-X", "importtime"))
    assert done.returncode == 0
    assert (f"certbroker {__version__}" if option == "--version" else "Commands:") in done.stdout
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "certbroker" in loaded
    assert loaded.isdisjoint(HEAVY)
