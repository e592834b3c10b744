"""The troubles that must reach a person within a day, each once, and their end: by the real command line, on a clock.

| trouble | severity | who tells | its words | over |
|---|---|---|---|---|
| cron stops | tell (page past the last safe moment) | the heartbeat, elsewhere; the dashboard and metrics here | no run since | the first run |
| the DNS token is revoked | tell | the run | token refused | the next daily check |
| a challenge label changes hands | tell | the run | CNAME to … | the next daily check |
| the disk is full, or the store may not be written | tell (page before the first end) | the run, from beside the store | the store … | the first run that may write |
| the vault key is lost | tell | the run | there is no vault key | the next run |
| an edge breaks | page | the run | … speaks no TLS | the next look |
| the CA refuses | tell (page before the end) | the run | cannot be ordered | the first order |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from certbroker.broker import minute, read_config
from certbroker.metrics import exposition
from certbroker.sandbox.ca import Problem
from certbroker.sandbox.edge import Trouble
from tests.alerts.ears import Ear, web
from tests.scenarios.test_disk import leases_run_out
from tests.scenarios.test_restore import BLUE_EDGE
from tests.scenarios.town import Town, town
from tests.scenarios.victim import Job, SharedClock, Victims

ALERTS = """
[alerts]
page = { webhook = { env = "PAGER_URL" } }
tell = { webhook = { env = "CHAT_URL" } }
heartbeat = { env = "HEARTBEAT_URL" }
"""
STEP = 6
"""Hours from run to run: what is in time then is in time every hour."""


@dataclass
class Place:
    """A town that serves what it should, and everybody who hears of it. `how`: what the runs of a day suffer; None: none come."""

    town: Town
    victims: Victims
    pager: Ear
    chat: Ear
    heart: Ear
    how: dict[str, Any] | None = field(default_factory=dict)

    def day(self) -> None:
        for _ in range(0, 24, STEP):
            self.town.later(hours=STEP)
            if self.how is not None:
                self.run()

    def run(self) -> int:
        """`renew`, in a process of its own where that may not write."""
        if not self.how:
            return self.town.run("renew", ends=None).code
        folder, clock = self.town.folder, self.town.clock
        assert isinstance(clock, SharedClock)
        argv = ("--config", str(folder / "certbroker.toml"), "renew")
        return self.victims.run(Job(argv, str(folder), self.town.environ, str(clock.path), seed=1, **self.how)).code

    def heard(self) -> list[tuple[str, str, str]]:
        """(who, change, kind), in the order of each."""
        ears = (("page", self.pager), ("tell", self.chat))
        return [(who, each["change"], each["kind"]) for who, ear in ears for each in ear.heard]

    def forget(self) -> None:
        for ear in (self.pager, self.chat):
            ear.heard.clear()
        self.heart.visits.clear()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One for all: each trouble ends well."""
    folder = tmp_path_factory.mktemp("place")
    with (
        town(folder, clock=SharedClock(folder / "clock")) as made,
        Victims() as victims,
        web() as pager,
        web() as chat,
        web() as heart,
    ):
        file = folder / "certbroker.toml"
        file.write_text(file.read_text() + ALERTS)
        made.environ |= {"PAGER_URL": pager.url, "CHAT_URL": chat.url, "HEARTBEAT_URL": f"{heart.url}/heart"}
        made.run("renew")
        yield Place(made, victims, pager, chat, heart)


# ---- troubles: each is there as long as its block lasts ----------------------------------------------------------------


@contextmanager
def revoked_token(here: Place) -> Iterator[None]:
    good = here.town.environ["DNSIMPLE_TOKEN"]
    here.town.environ["DNSIMPLE_TOKEN"] = "revoked"
    try:
        yield
    finally:
        here.town.environ["DNSIMPLE_TOKEN"] = good


@contextmanager
def label_in_other_hands(here: Place) -> Iterator[None]:
    here.town.house.dns.set("_acme-challenge.example.com", "CNAME", "example.com.d6lmmxg.flydns.net.")
    try:
        yield
    finally:
        here.town.house.dns.remove("_acme-challenge.example.com", "CNAME")


@contextmanager
def broken_edge(here: Place) -> Iterator[None]:
    edge = here.town.house.edges[BLUE_EDGE].listeners[0]
    edge.trouble = Trouble.PLAINTEXT
    try:
        yield
    finally:
        edge.trouble = Trouble.NONE


@contextmanager
def refusing_ca(here: Place) -> Iterator[None]:
    """And a renewal is due."""
    for name in ("example.com", "*.example.com"):
        here.town.ca.bad.refused_names[name] = Problem("rejectedIdentifier", "on our list", status=403)
    here.town.later(days=61)
    try:
        yield
    finally:
        here.town.ca.bad.refused_names.clear()
        here.town.run("renew", "main")


@contextmanager
def full_disk(here: Place, pages: int) -> Iterator[None]:
    """No file can grow over so many pages of 4 KiB (RLIMIT_FSIZE). 6: not even SQLite's shared memory, so nothing can be read."""
    here.how = {"largest_file": pages * 4096}
    try:
        yield
    finally:
        here.how = {}
        leases_run_out(here.town.folder / "state" / "store.db")


@contextmanager
def read_only(here: Place) -> Iterator[None]:
    """The store is another user's; the file beside it is not."""
    state = here.town.folder / "state"
    for path, mode in ((state / "store.db", 0o400), (state, 0o500)):
        path.chmod(mode)
    here.how = {"obeys_modes": True}
    try:
        yield
    finally:
        here.how = {}
        for path, mode in ((state, 0o700), (state / "store.db", 0o600)):
            path.chmod(mode)


@contextmanager
def lost_vault_key(here: Place) -> Iterator[None]:
    key = here.town.folder / "vault.key"
    key.rename(key.with_suffix(".away"))
    try:
        yield
    finally:
        key.with_suffix(".away").rename(key)


@dataclass(frozen=True)
class Case:
    begins: Callable[[Place], AbstractContextManager[None]]
    severity: str
    kind: str
    words: str


CASES = {
    "the DNS token is revoked": Case(revoked_token, "tell", "credentials", "refuse"),
    "a label changes hands": Case(label_in_other_hands, "tell", "label", "flydns.net"),
    "the disk is full": Case(lambda here: full_disk(here, 6), "tell", "store", "look whether the disk is full"),
    "the disk is nearly full": Case(lambda here: full_disk(here, 10), "tell", "store", "disk"),
    "the store is read-only": Case(read_only, "tell", "store", "may not be written"),
    "the vault key is lost": Case(lost_vault_key, "tell", "vault", "vault.key"),
    "an edge breaks": Case(broken_edge, "page", "broken", BLUE_EDGE),
    "the CA refuses": Case(refusing_ca, "tell", "order", "on our list"),
}


@pytest.mark.parametrize("trouble", CASES)
def test_a_trouble_is_told_within_a_day_once_and_when_it_is_over(place: Place, trouble: str) -> None:
    case = CASES[trouble]
    place.day()
    place.forget()
    with case.begins(place):
        place.day()
        assert place.heard() == [(case.severity, "begun", case.kind)]
        [said] = [*place.pager.heard, *place.chat.heard]
        assert case.words in f"{said['what']} · {said['hint']}"
        assert said["severity"] == case.severity
        assert said["hint"]
        assert place.heart.visits[-1] == "/heart/fail"
    place.day()
    assert place.heard() == [(case.severity, "begun", case.kind), (case.severity, "over", case.kind)]
    assert place.heart.visits[-1] == "/heart"
    assert place.town.run("alerts", "show", "--json").json["told"] == []


def test_a_store_that_stays_away_wakes_somebody_before_the_first_certificate_ends(place: Place) -> None:
    """Nothing can be read: what needs it first was noted while all was well."""
    place.day()
    place.forget()
    with place.town.store() as store:
        standing = store.standing("main")
    assert standing is not None
    assert standing.ends is not None
    with full_disk(place, 6):
        place.run()
        assert place.heard() == [("tell", "begun", "store")]
        assert f"main is the first to end, {minute(standing.ends)}" in place.chat.heard[0]["now"]
        place.town.clock.advance(standing.ends - place.town.clock.now() - timedelta(hours=25))
        place.run()
        assert place.heard() == [("tell", "begun", "store"), ("tell", "lasts", "store")]
        for _ in range(3):
            place.town.later(hours=1)
            place.run()
        assert place.heard()[0] == ("page", "begun", "store")
        assert len(place.heard()) == 3
    place.run()
    assert place.heard()[1] == ("page", "over", "store")
    assert place.heard()[-1] == ("tell", "over", "store")


def test_where_nothing_can_be_kept_it_is_told_once_a_day(place: Place) -> None:
    """As on a disk that is mounted read-only. Nobody knows then who was told, and that it is over is told to nobody."""
    place.day()
    place.forget()
    spare = place.town.folder / "state" / "store.db.told"
    with read_only(place):
        spare.chmod(0o400)
        for _ in range(24):
            place.town.later(hours=1)
            place.run()
        spare.chmod(0o600)
    assert place.heard() == [("tell", "begun", "store")]
    place.run()
    assert len(place.heard()) == 1


def test_a_cron_that_stops_is_noticed_elsewhere_and_seen_here(place: Place) -> None:
    """Nobody runs, so nobody tells: the heartbeat is missed, and whoever looks, or scrapes, sees since when."""
    place.day()
    place.forget()
    place.how = None
    try:
        place.day()
    finally:
        place.how = {}
    assert place.heart.visits == []
    [seen] = place.town.run("alerts", "show", "--json").json["conditions"]
    assert (seen["kind"], seen["severity"], seen["subject"]) == ("silence", "tell", "renew")
    assert 'certbroker_conditions{kind="silence",severity="tell"} 1.0' in _metrics(place)
    place.town.later(minutes=1)
    place.run()
    assert place.heard() == []
    assert place.heart.visits == ["/heart/start", "/heart"]
    assert place.town.run("alerts", "show", "--json").json["conditions"] == []
    assert 'certbroker_conditions{kind="silence",severity="tell"} 0.0' in _metrics(place)


def _metrics(place: Place) -> str:
    config = read_config(place.town.world(), None)
    with place.town.store() as store:
        return exposition(store, config, place.town.clock.now()).decode()
