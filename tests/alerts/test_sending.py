"""One message on one way: what is refused before anything is said, and what never fails a run."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from certbroker.alerts import Herald, Outcome, announced
from certbroker.errors import CertbrokerError, UsageError
from certbroker.notices import Message, Route
from certbroker.notices.sending import NotSent, send
from certbroker.secret import Secret, SecretRef
from tests.alerts.ears import web
from tests.world import CountingNetwork, make_world

SAID = Message("certbroker: a test", "all is well", {"change": "test"})
URL = SecretRef(env="URL")


@pytest.mark.parametrize(
    ("way", "url", "told"),
    [
        ("webhook", "http://hooks.example/secret-x", "does not begin with https://"),
        ("slack", "ftp://hooks.example/secret-x", "does not begin with https://"),
        ("smtp", "https://mail.example/secret-x", "no URL such as smtp://"),
        ("smtp", "smtp://[secret-x", "no URL such as smtp://"),
    ],
)
def test_an_address_that_cannot_be_is_refused_before_anything_is_said(way: str, url: str, told: str) -> None:
    network = CountingNetwork()
    route = Route(way, URL, "a@example.com", ("b@example.com",))  # type: ignore[arg-type]
    with pytest.raises(NotSent, match=told) as caught:
        send(route, Secret(url), SAID, network=network, connect_to={})
    assert network.contacts == []
    assert "secret-x" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what apprise imports
def test_by_apprise() -> None:
    pytest.importorskip("apprise", reason="needs the package apprise (pip install 'certbroker[notify]')")
    with web() as ear:
        send(
            Route("apprise", URL),
            Secret(ear.url.replace("http", "json", 1)),
            SAID,
            network=CountingNetwork(),
            connect_to={},
        )
        assert [each["message"] for each in ear.heard] == ["all is well"]
        ear.answer = 500
        with pytest.raises(NotSent, match="did not take it"):
            send(
                Route("apprise", URL),
                Secret(ear.url.replace("http", "json", 1)),
                SAID,
                network=CountingNetwork(),
                connect_to={},
            )
    with pytest.raises(NotSent, match="none that apprise knows"):
        send(Route("apprise", URL), Secret("nosuch://x"), SAID, network=CountingNetwork(), connect_to={})


class Stumbling(Herald):
    """One with a mistake of ours in it."""

    def __init__(self, *, opened: bool = True) -> None:
        self.open = opened
        self.beats: list[str] = []
        self.refused: list[CertbrokerError | None] = []

    def tell(self, refused: CertbrokerError | None = None) -> list[Outcome]:
        self.refused.append(refused)
        raise RuntimeError("a mistake")

    @property
    def listens(self) -> bool:
        return self.open

    def beat(self, path: str = "") -> str:
        self.beats.append(path)
        return ""


def test_a_mistake_of_ours_in_telling_is_noted_and_the_heart_beats_on(tmp_path: Path) -> None:
    world, herald = make_world(tmp_path), Stumbling()
    with announced(world, herald) as codes:
        codes.append(0)
    assert herald.beats == ["/start", ""]
    assert isinstance(world.stderr, io.StringIO)
    assert "by a mistake of ours" in world.stderr.getvalue()


@pytest.mark.parametrize(("code", "path"), [(0, ""), (1, "/fail"), (2, "/fail"), (3, "")])
def test_what_the_heartbeat_hears_of_an_exit_code(tmp_path: Path, code: int, path: str) -> None:
    herald = Stumbling()
    with announced(make_world(tmp_path), herald) as codes:
        codes.append(code)
    assert herald.beats[-1] == path


def test_a_run_that_raises_has_failed(tmp_path: Path) -> None:
    herald = Stumbling()
    with pytest.raises(KeyboardInterrupt), announced(make_world(tmp_path), herald):
        raise KeyboardInterrupt
    assert herald.beats == ["/start", "/fail"]


@pytest.mark.parametrize("opened", [True, False])
def test_a_run_that_never_had_its_store_tells_why(tmp_path: Path, opened: bool) -> None:
    herald, wrong = Stumbling(opened=opened), UsageError("$STORE is not set")
    with pytest.raises(UsageError), announced(make_world(tmp_path), herald):
        raise wrong
    assert herald.refused == [None if opened else wrong]
