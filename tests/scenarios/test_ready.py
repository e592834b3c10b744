"""A standby origin is proven before DNS points at it."""

from __future__ import annotations

import pytest

from certbroker.sandbox.edge import Trouble
from tests.golden import golden
from tests.scenarios.test_drift import somebody_clicks
from tests.scenarios.test_restore import BLUE_EDGE
from tests.scenarios.test_words import told
from tests.scenarios.town import Town

BLUE_EDGE_6 = "2001:db8:f::10"


def test_ready_only_when_every_edge_serves_what_is_wanted(place: Town) -> None:
    place.edit("[target.fly-blue]\n", "[target.fly-blue]\nstandby = true\n")
    assert "no certificate was ever issued" in place.run("ready", ends=1).err
    place.run("renew")
    writes = place.pushes()
    ran = place.run("ready")
    assert ran.err == ""
    assert "fly-blue" in ran.out
    assert "fastly" not in ran.out, "the standby targets are meant"
    assert place.run("ready", "fastly", "--json").json["exit_code"] == 0
    edge = place.house.edges[BLUE_EDGE].listeners[0]
    edge.trouble = Trouble.PLAINTEXT
    assert f"{BLUE_EDGE} no handshake" in place.run("ready", ends=1).err
    edge.trouble = Trouble.NONE
    edge.show(*place.ca.issue_directly("example.com", "*.example.com"))
    assert "not what is wanted" in place.run("ready", ends=1).err, "valid, but not ours"
    assert place.pushes() == writes
    edge.show_what_is_served()
    place.later(days=120)
    assert "expired" in place.run("ready", ends=1).err


def test_an_edge_that_is_gone_is_not_ready(place: Town) -> None:
    place.run("renew")
    place.edit("[target.fly-blue]\n", '[target.fly-blue]\nedges = ["127.0.0.1:1"]\n')
    ran = place.run("ready", "fly-blue", ends=1)
    assert "127.0.0.1:1 cannot be reached (connection refused)" in ran.err


def test_without_an_edge_nobody_can_look_and_a_misspelt_target_is_told(place: Town) -> None:
    place.run("renew")
    assert "nobody can look" in place.run("ready", "folder", ends=3).err
    assert "did you mean fly-blue?" in place.run("ready", "fly-bleu", ends=2).err


def check(place: Town, asked: str) -> None:
    place.edit("[target.fly-blue]\n", f"[target.fly-blue]\nready_check = {asked}\n")


def test_the_site_behind_the_very_edge_is_to_answer_too(place: Town) -> None:
    check(place, '{ path = "/healthz", status = 204 }')
    place.run("renew")
    edge = place.house.edges[BLUE_EDGE].listeners[0]
    edge.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    ran = place.run("ready", "fly-blue", ends=1)
    assert f"example.com: [{BLUE_EDGE_6}] answers GET /healthz with 200, not 204" in ran.err
    assert "TLS is right there" in ran.err
    place.house.edges[BLUE_EDGE_6].listeners[0].answer = edge.answer
    assert "v1 at 4 of 4 looks" in (out := place.run("ready", "fly-blue").out)
    assert "; /healthz answers 204 at 2 of 2" in out
    assert all(b"\r\nHost: example.com\r\n" in said for said in edge.heard)
    edge.answer = b"HTTP/1.1 302 Found\r\nLocation: https://example.com/login\r\n\r\n"
    (found,) = place.run("ready", "fly-blue", "--json", ends=1).json["targets"]
    answers = {each["edge"]: each for each in found["answers"]}
    assert (answers[BLUE_EDGE]["status"], answers[BLUE_EDGE]["state"]) == (302, "fail")
    assert answers[f"[{BLUE_EDGE_6}]"]["state"] == "ok"
    edge.answer = b""
    assert "closed without an answer" in place.run("ready", "fly-blue", ends=1).err


def test_an_answer_does_not_make_up_for_a_wrong_certificate(place: Town) -> None:
    check(place, '{ path = "/" }')
    place.run("renew")
    place.house.edges[BLUE_EDGE].listeners[0].show(*place.ca.issue_directly("example.com", "*.example.com"))
    ran = place.run("ready", "fly-blue", ends=1)
    assert "not what is wanted" in ran.err
    assert "certbroker push main --target fly-blue" in ran.err


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ('{ path = "healthz" }', "must be a path from its slash on, as in /healthz"),
        ('{ path = "/health z" }', "must be a path"),
        ('{ path = "/healthz\\r\\nX: y" }', "must be a path"),
        ("{ status = 200 }", "path"),
        ('{ path = "/", status = 99 }', "status"),
        ('{ path = "/", code = 200 }', "code"),
        ('"/healthz"', "ready_check"),
    ],
)
def test_a_check_that_cannot_be_asked_is_a_mistake_in_the_file(place: Town, asked: str, says: str) -> None:
    check(place, asked)
    ran = place.run("ready", ends=2)
    assert says in ran.err
    assert "certbroker.toml:" in ran.err


def test_the_words(place: Town) -> None:
    place.run("renew")
    words = told(place, "ready", ends=3) + "\n"
    somebody_clicks(place, "example.com")
    words += told(place, "ready", "fastly", "fly-blue", ends=1) + "\n"
    check(place, '{ path = "/healthz", status = 204 }')
    words += told(place, "ready", "fly-blue", ends=1) + "\n"
    for edge in (BLUE_EDGE, BLUE_EDGE_6):
        place.house.edges[edge].listeners[0].answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    words += told(place, "ready", "fly-blue") + "\n"
    place.edit("[target.fly-blue]\n", '[target.fly-blue]\nedges = ["127.0.0.1:1"]\n')
    golden("words/ready.txt", words + told(place, "ready", "fly-blue", ends=1))
