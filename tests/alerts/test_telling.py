"""The real command line and people who listen: on a clock, hour by hour."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from certbroker.sandbox.ca import Problem
from tests.alerts.ears import Ear, PostOffice, mail, web
from tests.scenarios.town import Town, town

ALERTS = """
[alerts]
page = { webhook = { env = "PAGER_URL" } }
tell = [{ slack = { env = "SLACK_URL" } }, { smtp = { env = "SMTP_URL" }, from = "certbroker@example.com", to = "ops@example.com" }]
heartbeat = { env = "HEARTBEAT_URL" }
link = "https://certs.example.com"
"""


class Listened:
    """A town whose people listen."""

    def __init__(self, place: Town, pager: Ear, chat: Ear, office: PostOffice, heart: Ear) -> None:
        self.place = place
        self.pager = pager
        self.chat = chat
        self.office = office
        self.heart = heart

    def texts(self) -> list[str]:
        return [each["text"] for each in self.chat.heard]

    def hours(self, many: int, step: int = 3) -> None:
        """Cron, every few hours: what is told in time then is told in time every hour."""
        for _ in range(0, many, step):
            self.place.later(hours=step)
            self.place.run("renew", ends=None)


@pytest.fixture
def listened(tmp_path: Path) -> Iterator[Listened]:
    with town(tmp_path / "town") as place, web() as pager, web() as chat, mail() as office, web() as heart:
        file = place.folder / "certbroker.toml"
        file.write_text(file.read_text() + ALERTS)
        place.environ |= {
            "PAGER_URL": f"{pager.url}/secret-pager",
            "SLACK_URL": f"{chat.url}/secret-chat",
            "SMTP_URL": office.url.replace("//", "//broker:secret%2Dmail@"),
            "HEARTBEAT_URL": f"{heart.url}/secret-heart",
        }
        place.run("renew")
        yield Listened(place, pager, chat, office, heart)


def test_a_quiet_week_says_nothing_and_the_heart_beats(listened: Listened) -> None:
    listened.hours(9)
    assert (listened.pager.heard, listened.chat.heard, listened.office.mails) == ([], [], [])
    assert listened.heart.visits == ["/secret-heart/start", "/secret-heart"] * 4


def test_a_revoked_token_is_told_within_a_day_once_daily_and_when_it_is_over(listened: Listened) -> None:
    place = listened.place
    good = place.environ["DNSIMPLE_TOKEN"]
    place.environ["DNSIMPLE_TOKEN"] = "revoked"
    listened.hours(25)
    assert len(listened.texts()) == 1, listened.texts()
    (text,) = listened.texts()
    assert "solver dnsimple" in text
    assert "\nnow: " in text
    assert "\nhint: " in text
    assert "https://certs.example.com" in text
    assert listened.heart.visits[-1] == "/secret-heart/fail"
    listened.hours(24)
    assert [each.splitlines()[0].count("still: ") for each in listened.texts()] == [0, 1]
    place.environ["DNSIMPLE_TOKEN"] = good
    listened.hours(25)
    assert len(listened.texts()) == 3
    assert "over: solver dnsimple" in listened.texts()[-1]
    assert listened.pager.heard == [], "nobody is woken 60 days before the end"
    assert len(listened.office.mails) == 3
    mail_ = listened.office.mails[0]
    assert ("smtp", listened.office.url.removeprefix("smtp://")) in place.network.contacts
    assert listened.office.logins[0] == "\0broker\0secret-mail"
    assert mail_["To"] == "ops@example.com"
    assert "solver dnsimple" in mail_["Subject"]
    assert listened.heart.visits[-1] == "/secret-heart"


def test_a_ca_that_refuses_is_told_when_it_is_due_and_wakes_somebody_before_the_end(listened: Listened) -> None:
    place = listened.place
    for name in ("example.com", "*.example.com"):
        place.ca.bad.refused_names[name] = Problem("rejectedIdentifier", "on our list", status=403)
    place.later(days=61)
    listened.hours(24, 12)
    assert any("on our list" in text for text in listened.texts())
    assert listened.pager.heard == []
    place.later(days=25)
    listened.hours(60, 12)
    assert {each["severity"] for each in listened.pager.heard} == {"page"}
    place.ca.bad.refused_names.clear()
    place.run("renew", "main")
    listened.hours(1)
    over = {each["key"] for each in listened.pager.heard if each["change"] == "over"}
    assert over == {each["key"] for each in listened.pager.heard if each["change"] == "begun"}


def test_a_store_that_is_locked_is_told_if_the_next_run_finds_it_so_too(listened: Listened) -> None:
    """Whoever listens to the heart hears of it at once."""
    place = listened.place
    place.edit("store.db", "store.db?timeout=0.2")
    listened.hours(1)
    for _ in range(2):
        with closing(sqlite3.connect(place.folder / "state" / "store.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            place.later(hours=1)
            place.run("renew", ends=2)
            assert listened.texts() == []
            assert listened.heart.visits[-2:] == ["/secret-heart/start", "/secret-heart/fail"]
        listened.hours(1)  # that was all: it begins anew
    with closing(sqlite3.connect(place.folder / "state" / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        listened.hours(3, 1)
    [text] = listened.texts()
    assert "is locked by another process" in text
    listened.hours(1)
    assert "over: store" in listened.texts()[-1]
    assert len(listened.office.mails) == 2


def test_a_mute_is_kept_and_lifted(listened: Listened) -> None:
    place = listened.place
    place.environ["DNSIMPLE_TOKEN"] = "revoked"
    place.run("mute", "dnsimple", "--for", "3d", "-m", "the new token comes on Thursday")
    listened.hours(26)
    assert listened.texts() == []
    shown = place.run("alerts", "show")
    assert "muted until" in shown.out
    assert "the new token comes on Thursday" in shown.out
    place.run("mute", "dnsimple", "--off")
    listened.hours(1)
    assert len(listened.texts()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("mute", "main"), "a mute needs its end and a reason"),
        (("mute", "main", "--until", "2026-12-24"), "a mute needs its end and a reason"),
        (("mute", "main", "--until", "someday", "-m", "x"), "someday is no date"),
        (("mute", "main", "--until", "2020-01-01", "-m", "x"), "is over already"),
        (("mute", "nobody", "--for", "1d", "-m", "x"), "nothing is called nobody"),
        (("mute", "main", "--off"), "main is not muted"),
    ],
)
def test_a_mute_that_cannot_be(listened: Listened, words: tuple[str, ...], told: str) -> None:
    ran = listened.place.run(*words, ends=2)
    assert told in ran.err
    assert " hint: " in ran.err


def test_what_did_not_arrive_is_told_by_the_next_run(listened: Listened) -> None:
    place = listened.place
    place.environ["DNSIMPLE_TOKEN"] = "revoked"
    listened.chat.answer = 500
    listened.hours(25)
    assert listened.texts() == []
    assert any("nobody is told on the way tell.0.slack" in str(m["Subject"]) for m in listened.office.mails)
    listened.chat.answer = 200
    listened.hours(1)
    assert any("solver dnsimple" in text for text in listened.texts())
    assert len([m for m in listened.office.mails if "solver dnsimple" in str(m["Subject"])]) == 1, "heard there already"


def test_alerts_test_tries_every_way_and_keeps_their_secrets(listened: Listened) -> None:
    place = listened.place
    assert place.run("alerts", "test", "--json").json["exit_code"] == 0
    assert len(listened.pager.heard) == len(listened.chat.heard) == len(listened.office.mails) == 1
    listened.chat.answer = 302
    listened.office.refuses = True
    del place.environ["PAGER_URL"]
    listened.heart.answer = 404
    ran = place.run("alerts", "test", ends=1)
    assert "fail page.0.webhook" in ran.out
    assert "fail tell.0.slack: it answers 302" in ran.out
    assert "fail tell.1.smtp: the mail server did not take it" in ran.out
    assert "fail heartbeat: it answers 404" in ran.out
    assert ran.err.count(" hint: ") == 4
    assert "secret-" not in ran.all
    assert len(listened.chat.heard) == 1, "a redirect is not followed"


def test_nobody_to_tell(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        assert "names nobody to tell" in place.run("alerts", "test", ends=2).err
        assert "no way to tell it" in place.run("alerts", "show").out


def test_a_dead_listener_costs_a_run_nothing_but_a_note(listened: Listened) -> None:
    place = listened.place
    for name in ("PAGER_URL", "SLACK_URL", "HEARTBEAT_URL"):
        place.environ[name] = "http://127.0.0.1:1/secret-x"
    place.later(hours=1)
    ran = place.run("renew")
    assert "note: the heartbeat was not heard" in ran.err
    assert "secret-x" not in ran.all
