"""Solvers that answer http-01: a server of our own, a folder, a target."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from certbroker.challenges import Challenges, Means
from certbroker.challenges.handing import TargetSettings, TargetSolver
from certbroker.challenges.http_server import HttpServerSettings, HttpServerSolver
from certbroker.challenges.http_solver import token_of
from certbroker.challenges.records import HttpAnswer
from certbroker.challenges.webroot import WebrootSettings, WebrootSolver
from certbroker.config import NetworkSettings
from certbroker.errors import Missing, NothingDone, Rejected
from certbroker.model import Method
from tests.challenges.rig import PLENTY, MemoryJournal, challenges, context, small_world, solver

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ"
ANSWER = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
PATH = f"/.well-known/acme-challenge/{TOKEN}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, path: str = PATH, *, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str, str]:
    line = http.client.HTTPConnection(host, port, timeout=5)
    try:
        line.request(method, path)
        answer = line.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()
    finally:
        line.close()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(port: int, tmp_path: Path) -> Iterator[HttpServerSolver]:
    made = HttpServerSolver.open(HttpServerSettings(listen=[f"127.0.0.1:{port}"]), context(small_world(tmp_path)))
    yield made
    made.clean_up("example.com", TOKEN, ANSWER, "")


# ---- the server --------------------------------------------------------------------------------------------------------


def test_it_answers_its_tokens_and_nothing_else(server: HttpServerSolver, port: int) -> None:
    server.present("example.com", TOKEN, ANSWER)
    assert ask(port) == (200, "application/octet-stream", ANSWER)
    assert ask(port, PATH + "?x=1")[0] == 200
    assert ask(port, method="HEAD") == (200, "application/octet-stream", "")
    for path in (
        "/",
        PATH[:-1],
        PATH + "/",
        f"/x{PATH}",
        "/.well-known/acme-challenge/",
        f"/{TOKEN}",
        "/../etc/passwd",
    ):
        assert ask(port, path)[0] == 404, path


def test_it_listens_from_the_first_answer_to_the_last(server: HttpServerSolver, port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        ask(port)
    server.present("example.com", TOKEN, ANSWER)
    server.present("www.example.com", TOKEN[::-1], "other")
    server.clean_up("example.com", TOKEN, ANSWER, "")
    assert ask(port)[0] == 404
    server.clean_up("www.example.com", TOKEN[::-1], "other", "")
    with pytest.raises(ConnectionRefusedError):
        ask(port)
    server.present("example.com", TOKEN, ANSWER)
    assert ask(port)[0] == 200


def test_a_port_that_is_taken_is_told_and_nothing_is_half_open(tmp_path: Path, port: int) -> None:
    other = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        listen = [f"127.0.0.1:{other}", f"127.0.0.1:{port}"]
        solver = HttpServerSolver.open(HttpServerSettings(listen=listen), context(small_world(tmp_path)))
        for attempt in (solver.check, lambda: solver.present("example.com", TOKEN, ANSWER)):
            with pytest.raises(Rejected, match=f"another program listens at 127.0.0.1:{port}") as caught:
                attempt()
            assert "webroot" in str(caught.value.hint)
        with pytest.raises(ConnectionRefusedError):
            ask(other)
    assert "listens at" in solver.check().name


def test_an_address_that_is_not_ours_is_told(tmp_path: Path) -> None:
    solver = HttpServerSolver.open(HttpServerSettings(listen=["192.0.2.1:8080"]), context(small_world(tmp_path)))
    with pytest.raises(Rejected, match=r"192\.0\.2\.1 is no address of this machine"):
        solver.check()


@pytest.mark.parametrize("listen", ["80", "0.0.0.0", "host:http", "::1:80", "0.0.0.0:70000", "0.0.0.0:0", []])
def test_what_is_no_address_to_listen_at_is_refused_in_the_file(listen: str | list[str]) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|at least 1"):
        HttpServerSettings.model_validate({"listen": listen})


# ---- the folder --------------------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "www").mkdir()
    return tmp_path / "www"


@pytest.fixture
def webroot(tmp_path: Path, root: Path) -> WebrootSolver:
    return WebrootSolver.open(WebrootSettings(folder="www"), context(small_world(tmp_path)))


def test_the_answer_is_a_file_that_every_server_can_read(webroot: WebrootSolver, root: Path) -> None:
    before = os.umask(0o077)
    try:
        webroot.present("example.com", TOKEN, ANSWER)
        webroot.present("example.com", TOKEN, ANSWER)
    finally:
        os.umask(before)
    path = root / PATH[1:]
    assert path.read_text() == ANSWER
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o555 == 0o555
    assert path.parent.parent.stat().st_mode & 0o555 == 0o555
    assert [each.name for each in path.parent.iterdir()] == [TOKEN]


def test_only_our_own_answer_is_removed(webroot: WebrootSolver, root: Path) -> None:
    path = root / PATH[1:]
    path.parent.mkdir(parents=True)
    (path.parent / "other").write_text("somebody else's")
    path.write_text("somebody else's")
    with pytest.raises(Rejected, match="with another's answer"):
        webroot.present("example.com", TOKEN, ANSWER)
    webroot.clean_up("example.com", TOKEN, ANSWER, None)
    assert path.read_text() == "somebody else's"
    path.write_text(ANSWER)
    (path.parent / f".{TOKEN}.new").write_text("cut")
    webroot.clean_up("example.com", TOKEN, ANSWER, None)
    webroot.clean_up("example.com", TOKEN, ANSWER, None)
    assert [each.name for each in path.parent.iterdir()] == ["other"]


def test_a_folder_that_is_not_there_is_not_made(webroot: WebrootSolver, root: Path) -> None:
    root.rmdir()
    for attempt in (webroot.check, lambda: webroot.present("example.com", TOKEN, ANSWER)):
        with pytest.raises(Missing, match="is not a folder"):
            attempt()
    assert not root.exists()


# ---- a target ----------------------------------------------------------------------------------------------------------


@dataclass
class Answering:
    """A place that can answer."""

    answers: dict[tuple[str, str], str] = field(default_factory=dict)

    def can_answer_http01(self) -> None:
        return None

    def answer_http01(self, name: str, token: str, key_authorization: str) -> None:
        self.answers[name, token] = key_authorization

    def forget_http01(self, name: str, token: str, key_authorization: str) -> None:
        self.answers.pop((name, token), None)


def handing(tmp_path: Path, provider: object) -> TargetSolver:
    here = replace(context(small_world(tmp_path)), provider={"web": provider}.get)
    return TargetSolver.open(TargetSettings.model_validate({"target": "web"}), here)


def test_the_answer_is_handed_to_the_target(tmp_path: Path) -> None:
    place = Answering()
    solver = handing(tmp_path, place)
    assert solver.check().name == "target web"
    solver.present("example.com", TOKEN, ANSWER)
    assert place.answers == {("example.com", TOKEN): ANSWER}
    solver.clean_up("example.com", TOKEN, ANSWER, "")
    assert place.answers == {}


def test_a_target_that_cannot_answer_is_told(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="the target web cannot answer http-01"):
        handing(tmp_path, object()).check()


# ---- through the room --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["../../etc/passwd", "a/b", "", "..", "short", "x" * 300, "a b" * 10, "é" * 20])
def test_a_token_that_is_no_harmless_segment_never_becomes_a_path(tmp_path: Path, root: Path, token: str) -> None:
    with pytest.raises(Rejected):
        token_of(f"{token}.thumb")
    room = challenges(small_world(tmp_path), solver("web", "webroot", {"folder": str(root)}), recursor="127.0.0.1:1")
    (outcome,) = room.publish_each([HttpAnswer("main", 1, "example.com", f"{token}.x")], MemoryJournal(), print)
    assert isinstance(outcome, Rejected)
    assert list(root.iterdir()) == []


def test_the_journal_knows_of_an_answer_before_it_stands_and_removes_it_without_memory(
    tmp_path: Path, root: Path
) -> None:
    journal = MemoryJournal()
    told: list[object] = []

    def room() -> object:
        settings = solver("web", "webroot", {"folder": str(root)})
        return challenges(small_world(tmp_path), settings, recursor="127.0.0.1:1")

    answer = HttpAnswer("main", 1, "example.com", ANSWER)
    (placed,) = room().publish([answer], journal, told.append)  # type: ignore[attr-defined]
    assert (placed.kind, placed.zone, placed.name) == ("http", "", "example.com")
    assert journal.lines == [f"planned example.com {ANSWER}", f"present example.com {ANSWER}"]
    assert room().wait_each([placed], seconds=1) == {}  # type: ignore[attr-defined]
    again = room().publish([answer], journal, told.append)  # type: ignore[attr-defined]
    assert [row.id for row in again] == [placed.id]
    assert room().remove(journal.unremoved(), journal, told.append) == []  # type: ignore[attr-defined]
    assert not (root / PATH[1:]).exists()
    assert journal.unremoved() == []


def test_the_solver_with_the_longest_zone_answers(tmp_path: Path) -> None:
    def web(name: str, *zones: str) -> object:
        return solver(name, "webroot", {"folder": name}, zones=zones)

    room = challenges(small_world(tmp_path), web("all"), web("one", "example.com"), web("two", "b.example.com"), recursor="127.0.0.1:1")  # type: ignore[arg-type]  # fmt: skip
    assert room.answering("192.0.2.1") == "all"
    assert room.answering("a.example.com") == "one"
    assert room.answering("example.com") == "one"
    assert room.answering("a.b.example.com") == "two"
    assert room.answering("anexample.com") == "all"
    narrow = challenges(small_world(tmp_path), web("one", "example.com"), recursor="127.0.0.1:1")  # type: ignore[arg-type]
    with pytest.raises(NothingDone, match=r"no solver answers for example\.org over HTTP"):
        narrow.answering("example.org")


def test_a_solver_is_tried_once_a_run_however_many_names_it_is_for(tmp_path: Path) -> None:
    asked: list[str] = []

    class Place(Answering):
        def can_answer_http01(self) -> None:
            asked.append("may I")

    settings = solver("web", "target", {"target": "web"})
    made = small_world(tmp_path)
    room = Challenges(
        {"web": settings},
        network=NetworkSettings(),
        world=made,
        resolve=lambda reference: reference.resolve(made.environ),
        deadline=PLENTY,
        provider={"web": Place()}.get,
    )
    for name in ("a.example.com", "b.example.com", "192.0.2.1"):
        room.prepare(name, Means(Method.HTTP_01))
    assert asked == ["may I"]
