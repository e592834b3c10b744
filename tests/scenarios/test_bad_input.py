"""What comes in wrong gets its own clear error, and what is known stays as it was."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest

from certbroker.testkit.simulator import Fault, Response
from tests.scenarios.town import Town

KEPT = ("version", "variant", "box", "account", "deployment", "declared")
"""What must not change because somebody said nonsense. (That a run was made and what it found are written down.)"""


def known(place: Town, *tables: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of these tables (of all, if none is named), read past our own code."""
    with closing(sqlite3.connect(place.folder / "state" / "store.db")) as db:
        there = [name for (name,) in db.execute("select name from sqlite_master where type = 'table' order by name")]
        return {
            name: sorted(db.execute(f"select * from {name}"), key=repr)
            for name in there
            if not tables or name in tables
        }


NAMES = ["../main", "..", "/etc/passwd", "main\x00", "a\nb", "\x1b[2Jmain", "\u202emain", "", " ", "-", "m" * 5000]
COMMANDS = [
    "issue {}",
    "renew {}",
    "push {}",
    "push --target {}",
    "plan {}",
    "check {}",
    "probe {}",
    "explain {}",
    "export {}",
]


def test_a_name_that_nobody_has_is_refused_by_every_command(place: Town) -> None:
    place.run("renew")
    before = known(place, *KEPT)
    requests = (place.orders, place.pushes())
    for command in COMMANDS:
        for name in NAMES:
            ran = place.run(*(name if word == "{}" else word for word in command.split()), ends=2)
            assert ran.err.startswith("error: "), (command, name, ran.err)
            assert ran.out == ""
            assert all(sign.isprintable() for line in ran.err.splitlines() for sign in line), (command, name, ran.err)
            assert len(ran.err) < 1000, "it repeats all it was given"
    assert (place.orders, place.pushes()) == requests
    assert known(place, *KEPT) == before


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('"exam\\u0007ple.com"', "holds a control character"),
        ('"../../etc.passwd"', "holds /"),
        ('"*.*.example.com"', "wildcard"),
        ('"example.com:443"', "holds :"),
    ],
)
def test_a_bad_name_in_the_file_is_told_with_its_place(place: Town, written: str, told: str) -> None:
    before = known(place)
    place.edit('names = ["example.com", ', f"names = [{written}, ")
    for command in ("renew", "status"):
        ran = place.run(command, ends=2)
        assert re.search(r"certbroker\.toml:\d+: certificate\.main\.names", ran.err), ran.err
        assert told in ran.err
    assert known(place) == before


@pytest.mark.parametrize("label", ["../main", "a\\tb", ".."])
def test_a_certificate_cannot_be_called_something_that_is_no_label(place: Town, label: str) -> None:
    before = known(place)
    place.edit("[certificate.main]", f'[certificate."{label}"]')
    ran = place.run("renew", ends=2)
    assert re.search(r"certbroker\.toml:\d+: ", ran.err), ran.err
    assert known(place) == before


HTML = "<html>\r\n<head><title>\x1b[31m502 Bad Gateway\x07</title></head>\n<body>nginx</body></html>"


def test_services_that_answer_html_are_told_and_everybody_else_is_served(place: Town) -> None:
    place.run("renew")
    served = known(place, "version", "variant", "box", "account")
    for target, service in (
        ("fastly", place.platform("fastly")),
        ("fly-blue", place.platform("fly")),
        ("dnsimple", place.house.dnsimple),
    ):
        for status in (200, 502):
            service.faults.append(Fault(Response.html(status, HTML), times=10**6))
            checked = place.run("check", ends=None)
            line = next(line for line in checked.out.splitlines() if re.search(rf"(target|solver) +{target} ", line))
            assert line.startswith(("fail", "warn")), (target, status, line)
            ran = place.run("push", "--yes", ends=None)
            for text in (checked.all, ran.all, place.run("history").out):
                assert all(sign.isprintable() for line in text.splitlines() for sign in line), text
            assert known(place, "version", "variant", "box", "account") == served
            service.faults.clear()
        place.run("check")
        place.run("push")


@pytest.mark.parametrize("thing", ["order", "authorization"])
def test_a_ca_that_says_a_strange_status_changes_nothing(place: Town, thing: str) -> None:
    place.run("renew")
    place.later(hours=1)
    before = known(place, "version", "deployment")
    for status in ("expired", "daydreaming"):
        place.ca.bad.shown_status[thing] = status
        ran = place.run("issue", "main", ends=1)
        assert status in ran.err
        assert "main" in ran.err
        assert "now " in ran.err
        assert known(place, "version", "deployment") == before
        assert place.house.dns.txt("_acme-challenge.example.com") == []
    place.ca.bad.shown_status.clear()
    place.run("check")
    place.run("issue", "main")


@pytest.mark.parametrize("status", ["expired", "daydreaming"])
def test_a_strange_status_of_the_account_is_told_and_keeps_no_order_up(place: Town, status: str) -> None:
    place.ca.bad.shown_status["account"] = status
    place.run("issue", "main", ends=None)  # an order does not ask for it
    assert f"is '{status}'" in place.run("check", ends=1).all
    place.ca.bad.shown_status.clear()
    place.run("check")


def test_a_store_that_somebody_keeps_locked_is_told_and_is_as_before(place: Town) -> None:
    place.run("renew")
    place.edit("store.db", "store.db?timeout=0.1")
    before = known(place)
    with closing(sqlite3.connect(place.folder / "state" / "store.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        ran = place.run("issue", "main", ends=2)
        other.execute("rollback")
    assert "is locked by another process" in ran.err
    assert "hint:" in ran.err
    assert known(place) == before
    assert place.orders == 1
