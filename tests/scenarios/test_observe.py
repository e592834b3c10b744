"""Drift is known without being asked for: the schedule looks, what it finds is kept, told by every command, and goes by itself."""

from __future__ import annotations

from dataclasses import replace

from certbroker import broker, standing
from certbroker.sandbox.edge import Trouble
from certbroker.testkit.simulator import Fault, Response
from tests.golden import golden
from tests.scenarios.test_drift import NAMES, somebody_clicks
from tests.scenarios.test_restore import BLUE_EDGE, FASTLY_EDGE
from tests.scenarios.test_words import told
from tests.scenarios.town import Town

TELLING = (["status"], ["explain", "main"], ["plan", "--offline"])
"""What tells it from the store alone."""


def everywhere(place: Town, words: str) -> None:
    """Every command that tells what is known says `words`, without the network."""
    contacts = len(place.network.contacts)
    for command in TELLING:
        assert words in place.run(*command, ends=None).out, command
    assert len(place.network.contacts) == contacts
    assert place.run("status", ends=1).code == 1


def unbind(place: Town, was: dict[str, str]) -> None:
    """Somebody puts the activations at Fastly back to what they were."""
    fastly = place.platform("fastly")
    for key, certificate in was.items():
        fastly.estate.activations[key] = replace(fastly.estate.activations[key], certificate=certificate)
    fastly.on_change()


def test_somebody_clicked_and_clicked_back(place: Town) -> None:
    place.run("renew")
    was = {key: each.certificate for key, each in place.platform("fastly").estate.activations.items()}
    somebody_clicks(place, "example.com")
    place.later(hours=5)
    assert "6 of 6 served as wanted" in place.run("renew").out, "it is not due yet, and nobody asked"
    place.later(hours=2)
    writes = place.pushes()
    ran = place.run("renew", ends=1)
    asked = place.run("drift", ends=1)
    assert ran.err == asked.err, "one truth, in the same words"
    assert "5 of 6 served as wanted" in ran.out
    assert "1 drifted" in ran.out
    everywhere(place, "example.com: v1 was replaced by somebody")
    with place.store() as store:
        config = broker.read_config(place.world(), None)
        (condition,) = standing.conditions(standing.gather(store, config, place.clock.now()))
    assert (condition.kind, condition.target) == (standing.Kind.DRIFT, "fastly")
    assert "example.com: v1 was replaced by somebody" in condition.what, "alerts say it in the same words"
    place.later(hours=1)
    assert place.run("renew", ends=1).err == ran.err, "it is told while it lasts"
    unbind(place, was)
    place.later(hours=1)
    over = place.run("renew")
    assert "note: main → fastly: example.com: as wanted again" in over.out
    assert "6 of 6 served as wanted" in over.out
    assert "replaced" not in place.run("status").out
    place.run("drift")
    assert place.pushes() == writes
    assert place.orders == 1
    story = place.run("history", "main", "--limit", "200").out
    assert story.count("fastly example.com: v1 was replaced by somebody") == 1
    assert story.count("fastly example.com: as wanted again") == 1


def test_a_renewal_does_not_overwrite_what_somebody_clicked(place: Town) -> None:
    place.run("renew")
    by_hand = somebody_clicks(place, "example.com")
    place.later(days=61)
    ran = place.run("renew", ends=3)
    assert len(place.ca.issued) == 2, "the other places get their renewal"
    assert "certificate that is not ours for example.com" in ran.err
    assert "--yes" in ran.err
    served = place.platform("fastly").serving_at(FASTLY_EDGE)
    assert served["example.com"][0] == by_hand
    with place.store() as store:
        newest = store.versions("main")[0].chain_pem
    assert served["*.example.com"][0] == newest, "its neighbour's renewal was held back"
    place.run("renew", "--yes")
    assert place.platform("fastly").serving_at(FASTLY_EDGE)["example.com"][0] != by_hand
    place.run("drift")


def test_every_cause_is_known_by_the_next_observation(place: Town) -> None:
    place.run("renew")
    chain = place.folder / "served" / "main" / "fullchain.pem"
    text = chain.read_text()
    edge, blue = place.house.edges[FASTLY_EDGE].listeners[0], place.house.edges[BLUE_EDGE].listeners[0]
    chain.unlink()
    blue.show(*place.ca.issue_directly(*NAMES))
    edge.trouble = Trouble.PLAINTEXT
    place.later(hours=7)
    assert "0 of 6 served as wanted" not in place.run("renew", ends=1).out
    everywhere(place, "and then removed by somebody: there is nothing")
    everywhere(place, "another CDN stands in front: v1 is bound at the platform, but")
    everywhere(place, f"broken at the edge: {FASTLY_EDGE} refuses the handshake")
    chain.write_text(text)
    blue.show_what_is_served()
    edge.trouble = Trouble.NONE
    with place.store() as store:
        mine = store.id
    fastly = place.platform("fastly")
    made = dict(fastly.estate.certificates)
    for key, each in made.items():
        fastly.estate.certificates[key] = replace(each, name=each.name.replace(mine, "89abcdef"))
    place.later(hours=1)
    place.run("renew", ends=1)
    everywhere(place, "written by another store: there is one of the store 89abcdef")
    fastly.estate.certificates.update(made)
    place.run("renew")
    assert "not as wanted" not in place.run("explain", "main").out


def test_an_edge_that_went_back_to_an_older_certificate_is_stale(place: Town) -> None:
    place.run("renew")
    first = place.platform("fastly").serving_at(FASTLY_EDGE)["example.com"]
    place.later(days=61)
    place.run("renew")
    place.house.edges[FASTLY_EDGE].listeners[0].show(*first)
    place.later(hours=7)
    place.run("renew", ends=1)
    everywhere(place, "v2 is active, but stale since the push")
    assert "certbroker drift main --heal" in place.run("explain", "main").out


def test_a_platform_that_is_away_hides_nothing_and_invents_nothing(place: Town) -> None:
    place.run("renew")
    fastly = place.platform("fastly")
    fastly.faults.append(Fault(Response.html(503, "away"), times=1000))
    place.later(hours=7)
    place.run("renew")
    assert "drifted" not in place.run("status").out, "its edges serve what is wanted"
    fastly.faults.clear()
    somebody_clicks(place, "example.com")
    place.later(hours=7)
    place.run("renew", ends=1)
    fastly.faults.append(Fault(Response.html(503, "away"), times=1000))
    place.later(hours=1)
    assert "replaced by somebody" in place.run("renew", ends=1).err, "the edges still show it"
    fastly.faults.clear()


def test_a_target_that_is_to_heal_is_healed_in_the_run_that_sees_it(place: Town) -> None:
    place.edit("[target.fastly]\n", "[target.fastly]\nheal = true\n")
    place.run("renew")
    somebody_clicks(place, "example.com")
    place.later(hours=7)
    assert "v1 was replaced by somebody" in place.run("drift", ends=1).err
    assert "+ push    fastly" in place.run("plan", "--offline").out
    place.run("renew")
    assert "replaced" not in place.run("status").out


def test_the_words(place: Town) -> None:
    place.run("renew")
    somebody_clicks(place, "example.com")
    place.later(hours=7)
    words = "\n".join(told(place, *command, ends=1) for command in (["renew"], ["status"]))
    words += "\n" + told(place, "plan", "--offline")
    words += "\n" + told(place, "explain", "main").partition("\n\n")[0] + "\n"  # the story's order is that of threads
    golden("words/observed.txt", words)


def test_a_night_asks_a_platform_that_lists_once_for_all_its_certificates(place: Town) -> None:
    names = [f"n{number}" for number in range(12)]
    served = [place.certificate(name, names=(f"{name}.example.com",), targets=("fastly",)) for name in names]
    place.configure(certificates="".join(served))
    place.run("renew", "--yes")
    fastly = place.platform("fastly")
    place.later(hours=2)
    place.run("renew")  # and cleans up
    place.later(hours=5)
    before = len(fastly.requests)
    assert "12 of 12 served as wanted" in place.run("renew").out
    asked = [request.path for request in fastly.requests[before:] if request.path != "/tokens/self"]
    assert [path for path in asked if path == "/tls/activations"] == ["/tls/activations"]
    assert len(asked) < 8, asked
