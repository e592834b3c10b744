"""Clients that hold many certificates, all of them standing: copies of one that was issued, made by writing what it left behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from certbroker import broker
from tests.bench.peers import Certbot, Certbroker, certbroker, file_head
from tests.bench.place import ZONE, Place
from tests.bench.stopwatch import Spent
from tests.clock import TestClock
from tests.quiet import fill
from tests.servers.bind import KEY
from tests.world import make_world

PIECES: Final = ("cert", "privkey", "chain", "fullchain")


class Standing(Protocol):
    """A client at its desk."""

    def night_comes(self) -> None:
        """What it remembers of the last night is over."""
        ...

    def look(self, *, ask: bool) -> Spent:
        """The command that cron runs. `ask`: with a question to the CA about each certificate."""
        ...


@dataclass
class CertbrokerStanding:
    """The store is filled, as `tests.quiet` does."""

    place: Place
    folder: Path
    count: int

    def __post_init__(self) -> None:
        issued = Certbroker(self.place, self.folder / "issued").folder
        chain = (issued / "served" / "warm-0" / "fullchain.pem").read_text()
        self.home = self.folder / "many"
        self.home.mkdir()
        (self.home / "roots.pem").write_text(self.place.roots)
        each = ", ".join(f'"n{number}.many.{ZONE}"' for number in range(self.count))
        table = f'\n[certificate.many]\neach = [{each}]\nnames = ["{{each}}"]\ntargets = ["folder"]\n'
        (self.home / "certbroker.toml").write_text(file_head(self.place, self.home) + table)
        world = make_world(self.home, clock=TestClock(datetime.now(UTC)), environ={"TSIG": KEY})
        config = broker.read_config(world, None)
        with broker.open_store(world, config, create=True) as store:
            fill(store, config, world, chain_pem=chain)
        certbroker(self.home, "renew")  # this host takes the file in

    def night_comes(self) -> None:
        return

    def look(self, *, ask: bool) -> Spent:
        return certbroker(self.home, "renew", *(["--refresh-ari"] if ask else []))


@dataclass
class CertbotStanding:
    """`certbot renew` asks each lineage's CA for renewal information where it offers it, and writes down when to ask again."""

    place: Place
    folder: Path
    program: Path
    count: int

    def __post_init__(self) -> None:
        self.client = Certbot(self.place, self.folder, self.program)
        self.client.obtain("one", [[f"one.certbot.{ZONE}"]])
        self.home = self.folder / "config"
        model = (self.home / "renewal" / "one-0.conf").read_text()
        self.files = {
            self.home / "renewal" / f"{name}.conf": model.replace("one-0", name) for name in self._copies("one-0")
        }
        (self.home / "renewal" / "one-0.conf").unlink()

    def _copies(self, model: str) -> Iterator[str]:
        for number in range(self.count):
            name = f"n{number}"
            shutil.copytree(self.home / "archive" / model, self.home / "archive" / name)
            live = self.home / "live" / name
            live.mkdir()
            for piece in PIECES:
                (live / f"{piece}.pem").symlink_to(Path("..", "..", "archive", name, f"{piece}1.pem"))
            yield name

    def night_comes(self) -> None:
        for file, text in self.files.items():
            file.write_text(text)

    def look(self, *, ask: bool) -> Spent:
        return self.client.run(["renew", "--no-random-sleep-on-renew"])
