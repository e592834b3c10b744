"""Who may look, and what a page may do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from certbroker.dashboard import Doorkeeper
from certbroker.secret import Secret
from tests.dashboard.served import HOSTS, Site, dashboard
from tests.scenarios.town import Town, town

TOKEN = "a-token-of-the-dashboard"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("guard") / "town") as made:
        yield made


@pytest.fixture(scope="module")
def site(place: Town) -> Iterator[Site]:
    keeper = Doorkeeper(HOSTS, Secret(TOKEN), "X-Forwarded-User")
    with dashboard(place.world(), place.folder, place.clock, keeper) as served:
        yield served


@pytest.mark.parametrize("path", ["/", "/api/overview", "/static/style.css", "/live", "/nowhere"])
def test_nothing_is_shown_without_a_token(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


def test_browsers_programs_and_the_proxy_are_let_in(site: Site) -> None:
    assert site.get("/", auth=("anybody", TOKEN)).status_code == 200
    assert site.get("/api/overview", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert site.get("/", headers={"x-forwarded-user": "anna"}).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !!", "Basic /w==", "Bearer", "Bearer x", f"Token {TOKEN}", f"Bearer {TOKEN}x", "Basic Og=="],
)
def test_nobody_else_is(site: Site, header: str) -> None:
    assert site.get("/", headers={"authorization": header}).status_code == 401
    assert site.get("/", headers={"x-forwarded-user": ""}).status_code == 401


def test_whoever_watches_it_needs_no_token(site: Site) -> None:
    assert site.get("/healthz").text == "ok\n"


def test_a_name_that_is_not_ours_is_a_trick(site: Site) -> None:
    for host in ("evil.example", "evil.example:8321", "", "127.0.0.1.evil.example"):
        assert site.get("/healthz", headers={"host": host}).status_code in (400, 421)
    assert site.get("/healthz", headers={"host": "LOCALHOST:1"}).status_code == 200


def test_it_only_shows(site: Site) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = requests.request(method, site.url + "/", auth=("", TOKEN), timeout=10)
        assert answer.status_code == 405, method


def test_the_policy_is_strict_on_every_answer(site: Site) -> None:
    for path in ("/", "/static/live.js", "/nowhere"):
        headers = site.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_it_does_not_listen_to_everybody_without_a_token(place: Town) -> None:
    ran = place.run("dashboard", "--listen", "0.0.0.0:0", ends=2)
    assert "can be reached from elsewhere" in ran.err
    assert " now   nothing listens" in ran.err
    assert "[dashboard]" in ran.err


@pytest.mark.parametrize("listen", ["8321", "localhost", "127.0.0.1:x", "127.0.0.1:99999", ":1"])
def test_an_address_that_is_none(place: Town, listen: str) -> None:
    assert "is no address" in place.run("dashboard", "--listen", listen, ends=2).err


def test_no_vault_comes_near_it(place: Town) -> None:
    """Its process does not even import what opens a key."""
    import subprocess
    import sys

    code = (
        "import sys; from certbroker.cli import main; from certbroker.world import system_world;"
        f"assert main(['--config', {str(place.folder / 'certbroker.toml')!r}, 'dashboard', '--listen', '127.0.0.1:0', '--seconds', '0.1'], system_world()) == 0;"
        "assert 'certbroker.dashboard.web' in sys.modules;"
        "near = {'certbroker.vault', 'certbroker.issuer', 'certbroker.deploy'} & set(sys.modules); assert not near, near"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("http://127.0.0.1:")
