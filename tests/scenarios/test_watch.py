"""The watcher, by the real command line: what the broker left for it is all it has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certbroker.sandbox.edge import Trouble
from certbroker.testkit.bundles import expired
from tests.alerts.ears import Ear, mail, web
from tests.scenarios.test_restore import BLUE_EDGE, FASTLY_EDGE
from tests.scenarios.town import Ran, Town, town

WATCH = """
[watch]
inventory = "public/inventory.json"

[schedule]
every = "1d"
"""
TOLD = ("--state", "watch.json", "--page", "webhook=env:PAGER", "--tell", "slack=env:CHAT", "--heartbeat", "env:HEART")


class Watched:
    """A town, and somewhere else a folder with nothing in it but what was copied there."""

    def __init__(self, place: Town, elsewhere: Path, pager: Ear, chat: Ear, heart: Ear) -> None:
        self.place = place
        self.elsewhere = elsewhere
        self.pager = pager
        self.chat = chat
        self.heart = heart
        self.left = place.folder / "public" / "inventory.json"
        self.copied = elsewhere / "inventory.json"

    def copy(self) -> None:
        self.copied.write_bytes(self.left.read_bytes())

    def watch(self, *argv: str, ends: int = 0) -> Ran:
        """With the environment of the watcher alone."""
        mine = self.place.environ
        self.place.environ = {
            "PAGER": f"{self.pager.url}/secret-pager",
            "CHAT": f"{self.chat.url}/secret-chat",
            "HEART": f"{self.heart.url}/secret-heart",
        }
        try:
            return self.place.run("watch", "inventory.json", *argv, ends=ends, folder=self.elsewhere, host="elsewhere")
        finally:
            self.place.environ = mine

    def texts(self) -> list[str]:
        return [each["text"].splitlines()[0] for each in self.chat.heard]

    def pages(self) -> list[tuple[str, str]]:
        return [(each["change"], each["kind"]) for each in self.pager.heard]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with town(tmp_path / "town") as place, web() as pager, web() as chat, web() as heart:
        (place.folder / "public").mkdir()
        with (place.folder / "certbroker.toml").open("a") as file:
            file.write(WATCH)
        place.run("renew")
        made = Watched(place, elsewhere, pager, chat, heart)
        made.copy()
        place.network.contacts.clear()
        yield made


def test_where_all_is_well_it_says_so_and_knows_nothing_but_the_inventory(watched: Watched) -> None:
    ran = watched.watch()
    last = ran.out.splitlines()[-1]
    assert last == "all 18 looks at 3 targets see what should be served · inventory of Mon 23 Nov 09:00 UTC"
    assert ran.err == ""
    assert {kind for kind, _ in watched.place.network.contacts} == {"tls"}
    assert sorted(each.name for each in watched.elsewhere.iterdir()) == ["inventory.json"]
    told = json.loads(watched.copied.read_text())
    assert [each["target"] for each in told["certificates"][0]["targets"]] == [
        "fastly",
        "fly-blue",
        "fly-green",
        "folder",
    ]
    assert "PRIVATE" not in watched.copied.read_text()
    assert not any(token in watched.copied.read_text() for token in watched.place.house.secrets.values())


def test_a_broken_edge_wakes_somebody_once_daily_while_it_lasts_and_its_end_is_told(watched: Watched) -> None:
    edge = watched.place.house.edges[BLUE_EDGE].listeners[0]
    bad = expired(("example.com", "*.example.com"), now=watched.place.clock.now())
    edge.show(bad.version.chain_pem, bad.key_pem)
    ran = watched.watch(*TOLD, ends=1)
    assert f"error: main → fly-blue: example.com at {BLUE_EDGE} serves what users refuse: expired on " in ran.err
    assert " now   2 of 4 looks there see what they should, until " in ran.err
    assert " hint: certbroker probe main; to push again: certbroker push main --target fly-blue\n" in ran.err
    for _ in range(3):
        watched.place.later(hours=7)
        watched.watch(*TOLD, ends=1)
    assert watched.pages() == [("begun", "broken")]
    watched.place.later(hours=3)
    watched.watch(*TOLD, ends=1)
    edge.show_what_is_served()
    watched.watch(*TOLD)
    watched.watch(*TOLD)
    assert watched.pages() == [("begun", "broken"), ("lasts", "broken"), ("over", "broken")]
    assert watched.pager.heard[0]["host"] == "elsewhere (watch)"
    assert watched.chat.heard == []
    assert watched.heart.visits[:2] == ["/secret-heart/start", "/secret-heart/fail"]
    assert watched.heart.visits[-2:] == ["/secret-heart/start", "/secret-heart"]


def test_a_renewal_under_way_does_not_alarm(watched: Watched) -> None:
    place = watched.place
    slow = place.house.edges[FASTLY_EDGE].listeners[0]
    slow.stuck = True
    place.later(hours=2)
    place.run("issue", "main", ends=None)
    assert place.orders == 2
    watched.watch()  # by what was copied before the order
    watched.copy()
    told = json.loads(watched.copied.read_text())["certificates"][0]
    assert [each["label"] for each in told["versions"]] == ["v1", "v2"]
    fastly = next(each for each in told["targets"] if each["target"] == "fastly")
    assert fastly["serves"] == [told["versions"][1]["fingerprint"], told["versions"][0]["fingerprint"]]
    watched.watch()
    slow.stuck = False
    place.later(minutes=10)
    place.run("renew", ends=None)
    watched.copy()
    told = json.loads(watched.copied.read_text())["certificates"][0]
    assert [each["label"] for each in told["versions"]] == ["v2"]
    watched.watch()


def test_another_certificate_is_told_when_the_broker_does_not_know_it_either(watched: Watched) -> None:
    place = watched.place
    place.house.edges[BLUE_EDGE].listeners[0].show(*place.ca.issue_directly("example.com", "*.example.com"))
    place.later(hours=2)
    place.run("inventory", "-o", str(watched.copied))
    ran = watched.watch(*TOLD, ends=1)
    assert f"example.com at {BLUE_EDGE} serves a certificate by certbroker sandbox ECDSA intermediate" in ran.err
    assert watched.texts() == []
    place.later(hours=1)
    place.run("inventory", "-o", str(watched.copied))
    for _ in range(2):
        watched.watch(*TOLD, ends=1)
    assert len(watched.texts()) == 1
    assert watched.texts()[0].startswith(
        f"*certbroker: main → fly-blue: example.com at {BLUE_EDGE} serves a certificate"
    )
    assert watched.pager.heard == []


def test_a_dead_edge_is_told_and_what_was_broken_there_is_not_over(watched: Watched) -> None:
    house = watched.place.house
    house.edges[BLUE_EDGE].listeners[0].trouble = Trouble.PLAINTEXT
    watched.watch(*TOLD, ends=1)
    assert watched.pages() == [("begun", "broken")]
    house.edges[BLUE_EDGE].listeners[0].stop()
    found = watched.watch(*TOLD, "--json", ends=1).json
    assert {(each["kind"], each["ripe"]) for each in found["conditions"]} == {("check", True), ("broken", False)}
    assert found["wrong"][0]["what"] == f"example.com at {BLUE_EDGE} cannot be reached: connection refused"
    assert watched.pages() == [("begun", "broken")]
    assert [each.count("cannot be reached") for each in watched.texts()] == [1]


def test_a_dead_broker_is_told_and_what_ends_meanwhile_wakes_somebody(watched: Watched) -> None:
    place = watched.place
    place.later(days=3, hours=1)
    ran = watched.watch(*TOLD, ends=1)
    assert "error: inventory: it was written by broker-1 Mon 23 Nov 09:00 UTC and was to be written again" in ran.err
    watched.watch(*TOLD, ends=1)
    assert len(watched.texts()) == 1
    watched.copied.unlink()
    place.later(days=86)
    ran = watched.watch(*TOLD, ends=2)
    assert (
        "error: inventory.json cannot be read: No such file or directory\n now   what it last said goes on" in ran.err
    )
    assert "all 18 looks at 3 targets see what should be served" in ran.out
    assert len(watched.texts()) == 1, "that it cannot be read is told with what ends meanwhile"
    [page] = watched.pager.heard
    assert (page["kind"], page["severity"], page["certificates"]) == ("silence", "page", ["main"])
    place.run("renew", ends=None)
    watched.copy()
    watched.watch(*TOLD)
    assert watched.pages() == [("begun", "silence"), ("over", "silence")]


def test_what_cannot_be_is_refused_and_nothing_is_written(watched: Watched) -> None:
    def refused(*argv: str, told: str) -> None:
        before = {each.name: each.read_bytes() for each in watched.elsewhere.iterdir()}
        ran = watched.watch(*argv, ends=2)
        assert f"error: {told}" in ran.err
        assert "hint: " in ran.err
        assert {each.name: each.read_bytes() for each in watched.elsewhere.iterdir()} == before

    refused("--page", "webhook=env:PAGER", told="to tell a thing once, --page and --tell need something that remembers")
    refused("--page", "pigeon=env:PAGER", *TOLD, told="--page names no way to tell")
    refused("--tell", "slack=https://hooks.example/secret", *TOLD, told="--tell does not say where its URL is found")
    refused("--tell", "smtp=env:CHAT", *TOLD, told="smtp needs --mail-from and --mail-to")
    refused("--state", "inventory.json", told=f"{watched.copied} holds nothing that this watcher wrote")
    refused("--every", "0s", told="--every is at least 1s")
    refused("--test", told="nobody is named to tell")
    text = watched.copied.read_bytes()
    watched.copied.write_bytes(text[: len(text) // 2])
    refused(told="inventory.json:")


def test_its_ways_can_be_tried(watched: Watched) -> None:
    assert watched.watch(*TOLD, "--test", "--json").json["sent"] == [
        {"way": "page.0.webhook", "title": "certbroker: a test", "error": ""},
        {"way": "tell.0.slack", "title": "certbroker: a test", "error": ""},
        {"way": "heartbeat", "title": "heartbeat", "error": ""},
    ]
    with mail() as office:
        mails = ("--mail-from", "watcher@example.com", "--mail-to", "ops@example.com", "--mail-to", "anna@example.com")
        (watched.elsewhere / "post").write_text(f"{office.url}\n")
        watched.watch("--tell", "smtp=file:post", *mails, "--test")
        assert office.mails[0]["To"] == "ops@example.com, anna@example.com"
    watched.chat.answer = 500
    ran = watched.watch(*TOLD, "--test", ends=1)
    assert "fail tell.0.slack: it answers 500" in ran.out
    assert [each["change"] for each in watched.pager.heard] == ["test", "test"]


def test_a_way_that_is_shut_is_a_note_and_it_is_told_at_the_next_round(watched: Watched) -> None:
    watched.place.house.edges[BLUE_EDGE].listeners[0].trouble = Trouble.PLAINTEXT
    watched.pager.answer = 503
    assert "note: nobody was told on the way page.0.webhook: it answers 503" in watched.watch(*TOLD, ends=1).err
    watched.pager.answer = 200
    watched.watch(*TOLD, ends=1)
    assert watched.pages() == [("begun", "broken")]


def test_an_inventory_that_cannot_be_written_is_a_note_of_the_run(watched: Watched) -> None:
    place = watched.place
    before: Any = watched.left.read_bytes()
    watched.left.unlink()
    watched.left.parent.rmdir()
    assert "note: no inventory in " in place.run("renew").err
    watched.left.parent.mkdir()
    place.run("check", ends=None)
    assert not watched.left.exists(), "a look is no run"
    place.run("renew")
    assert watched.left.read_bytes() != before
    assert watched.left.stat().st_mode & 0o777 == 0o644
