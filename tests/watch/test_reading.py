"""An inventory from a file or over the network: what is in the way is told, and nothing of an address that may be secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from certbroker.errors import CertbrokerError, ConfigError, Unavailable, UsageError
from certbroker.watch.inventory import Inventory
from certbroker.watch.reading import read
from tests.clock import START, TestClock
from tests.servers.loopback import Quiet, serving
from tests.watch.given import inventory
from tests.world import make_world

TOLD = inventory()


@dataclass
class Shelf:
    """Gives its answers one after the other, then the last of them again."""

    url: str = ""
    answers: list[tuple[int, bytes]] = field(default_factory=lambda: [(200, TOLD.text())])
    asked: list[str] = field(default_factory=list)


@contextmanager
def shelf() -> Iterator[Shelf]:
    made = Shelf()

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            status, body = made.answers.pop(0) if len(made.answers) > 1 else made.answers[0]
            self.send_response(status)
            self.send_header("location", f"{made.url}/inventory.json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as port:
        made.url = f"http://127.0.0.1:{port}"
        yield made


def got(source: str, folder: Path, clock: TestClock | None = None) -> Inventory:
    return read(source, make_world(folder, clock=clock), lambda: False)


def test_a_path_begins_where_we_are(tmp_path: Path) -> None:
    (tmp_path / "inventory.json").write_bytes(TOLD.text())
    assert got("inventory.json", tmp_path) == got("~/inventory.json", tmp_path) == TOLD


@pytest.mark.parametrize("source", ["nowhere.json", "."])
def test_a_file_that_cannot_be_read(source: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read"):
        got(source, tmp_path)


def test_over_the_network_it_is_asked_for_again(tmp_path: Path) -> None:
    with shelf() as made:
        made.answers.insert(0, (503, b"busy"))
        assert got(f"{made.url}/inventory.json?signature=secret", tmp_path) == TOLD
        assert made.asked == ["/inventory.json?signature=secret"] * 2


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        ((404, b"gone"), Unavailable, "/inventory.json answers 404"),
        ((302, b""), Unavailable, "/inventory.json answers 302"),
        ((200, b"<!doctype html>"), ConfigError, "is no JSON"),
        ((200, TOLD.text()[:99]), ConfigError, "is no JSON"),
    ],
)
def test_what_is_no_inventory(
    answer: tuple[int, bytes], error: type[CertbrokerError], told: str, tmp_path: Path
) -> None:
    with shelf() as made:
        made.answers = [answer]
        with pytest.raises(error, match=told) as caught:
            got(f"{made.url}/inventory.json?signature=secret", tmp_path)
        assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_nobody_there(tmp_path: Path) -> None:
    with shelf() as made:
        pass
    clock = TestClock()
    with pytest.raises(Unavailable, match="cannot be reached"):
        got(f"{made.url}/inventory.json", tmp_path, clock)
    assert (clock.now() - START).total_seconds() >= 15, "three tries"


@pytest.mark.parametrize(
    "source",
    [
        "http://status.example.com/secret",
        "ftp://status.example.com/secret",
        "https:///secret",
        "https://[secret",
        "https://h:port/secret",
        "https://broker:secret@status.example.com/inventory.json",
    ],
)
def test_an_address_that_cannot_be_is_refused_before_anybody_is_asked(source: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        got(source, tmp_path)
    assert "broker:secret" not in str(caught.value)
