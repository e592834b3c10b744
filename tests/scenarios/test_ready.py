"""A standby origin is proven before DNS points at it."""

from __future__ import annotations

from certbroker.sandbox.edge import Trouble
from tests.golden import golden
from tests.scenarios.test_drift import somebody_clicks
from tests.scenarios.test_restore import BLUE_EDGE
from tests.scenarios.test_words import told
from tests.scenarios.town import Town


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


def test_the_words(place: Town) -> None:
    place.run("renew")
    words = told(place, "ready", ends=3) + "\n"
    somebody_clicks(place, "example.com")
    golden("words/ready.txt", words + told(place, "ready", "fastly", "fly-blue", ends=1))
