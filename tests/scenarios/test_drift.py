"""Drift: what is wanted, what the platforms say, what the edges serve, and why they differ; healed when asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from certbroker.sandbox.edge import Trouble
from certbroker.testkit.simulator import Fault, Request, Response
from tests.golden import golden
from tests.scenarios.test_restore import BLUE_EDGE, FASTLY_EDGE, serves
from tests.scenarios.test_words import told
from tests.scenarios.town import Town

NAMES = ("example.com", "*.example.com")


def causes(place: Town, *argv: str, ends: int) -> Mapping[str, set[str]]:
    """By target."""
    found: dict[str, set[str]] = {}
    for each in place.run("drift", *argv, "--json", ends=ends).json["differences"]:
        found.setdefault(each["target"], set()).add(each["cause"])
    return found


def somebody_clicks(place: Town, *names: str) -> str:
    """The activations of `names` at Fastly are pointed at a certificate of somebody's own; returns its chain."""
    fastly = place.platform("fastly")
    chain, key = place.ca.issue_directly(*NAMES)
    by_hand = fastly.add_foreign(chain, key, name="by hand")
    for activation in list(fastly.estate.activations.values()):
        if activation.domain in names:
            fastly.estate.activations[activation.id] = replace(activation, certificate=by_hand)
    fastly.on_change()
    return str(chain)


def test_all_well_is_exit_0_and_asks_nobody_to_do_anything(place: Town) -> None:
    place.run("renew")
    writes = place.pushes()
    ran = place.run("drift")
    assert ran.err == ""
    assert "8 of 8 names are as wanted" in ran.out
    assert causes(place, ends=0) == {
        "fastly": {"well"},
        "fly-blue": {"well"},
        "fly-green": {"well"},
        "folder": {"nobody-can-look"},
    }
    assert place.pushes() == writes


def test_before_anything_was_ordered(place: Town) -> None:
    ran = place.run("drift", ends=1)
    assert ran.err == (
        "error: main: no certificate was ever issued\n now   nothing of ours is served\n hint: certbroker issue main\n"
    )


def test_somebody_clicked_it_is_shown_and_overwritten_only_when_asked(place: Town) -> None:
    place.run("renew")
    by_hand = somebody_clicks(place, "example.com")
    ran = place.run("drift", "main", ends=1)
    assert "main → fastly: example.com: v1 was replaced by somebody" in ran.err
    assert "certbroker drift main --heal --yes" in ran.err
    held = place.run("drift", "main", "--heal", ends=1)
    assert held.err.count("certbroker drift main --heal --yes") == 1, "it waits for a yes, and it differs: told once"
    place.later(hours=7)
    place.run("renew", ends=1)
    served = place.platform("fastly").serving_at(FASTLY_EDGE)
    assert served["example.com"][0] == by_hand, "it was overwritten unasked"
    place.run("drift", "main", "--heal", "--yes", "-m", "that was a mistake")
    assert serves(place, 1, "fastly")
    place.run("drift")
    assert place.orders == 1
    place.run("renew")


def test_a_target_that_is_to_heal_is_healed_by_renew_unasked(place: Town) -> None:
    place.edit("[target.fastly]\n", "[target.fastly]\nheal = true\n")
    place.run("renew")
    somebody_clicks(place, "example.com")
    place.later(hours=7)
    place.run("renew")
    assert serves(place, 1, "fastly")
    assert place.orders == 1
    writes = place.pushes()
    place.later(hours=7)
    place.run("renew")
    assert place.pushes() == writes, "there was nothing to heal any more"


def test_a_target_that_is_to_heal_still_asks_before_it_takes_over_at_first(place: Town) -> None:
    place.edit("[target.fastly]\n", "[target.fastly]\nheal = true\n")
    chain, key = place.ca.issue_directly(*NAMES)
    place.platform("fastly").add_foreign(chain, key, name="by hand", activate=list(NAMES))
    place.platform("fastly").on_change()
    assert "is not ours" in place.run("renew", ends=3).err


def test_files_that_somebody_removed_come_back(place: Town) -> None:
    place.run("renew")
    chain = place.folder / "served" / "main" / "fullchain.pem"
    was = chain.read_text()
    chain.unlink()
    assert causes(place, ends=1)["folder"] == {"removed"}
    place.run("drift", "--heal")
    assert chain.read_text() == was
    assert causes(place, ends=0)["folder"] == {"nobody-can-look"}


def test_an_edge_that_kept_the_old_certificate_is_stale(place: Town) -> None:
    place.run("renew")
    edge = place.house.edges[FASTLY_EDGE].listeners[0]
    edge.stuck = True
    place.later(minutes=10)
    place.run("issue", "main", "--wait", "3s", ends=None)
    ran = place.run("drift", ends=1)
    assert causes(place, ends=1) == {
        "fastly": {"stale"},
        "fly-blue": {"well"},
        "fly-green": {"well"},
        "folder": {"nobody-can-look"},
    }
    assert "v2 is active, but stale since the push" in ran.err
    assert f"{FASTLY_EDGE} serves v1, until" in ran.err
    edge.stuck = False
    place.run("drift", "--heal")
    place.run("drift")


def test_another_cdn_in_front_is_told_from_a_platform_that_was_changed(place: Town) -> None:
    place.run("renew")
    place.later(days=3)
    place.house.edges[BLUE_EDGE].listeners[0].show(*place.ca.issue_directly(*NAMES))
    assert causes(place, ends=1)["fly-blue"] == {"other-cdn"}
    ran = place.run("drift", "--heal", ends=1)
    assert "another CDN stands in front: v1 is bound at the platform, but" in ran.err
    assert "run " not in ran.out, "a push cannot help there"


def test_a_platform_that_went_back_to_its_own_certificate(place: Town) -> None:
    place.edit('names = ["example.com", "*.example.com"]', 'names = ["example.com"]')
    place.run("renew")
    fly = place.platform("fly")
    fly.manage("site-blue", "example.com")
    asked = Request(
        "DELETE",
        "/v1/apps/site-blue/certificates/example.com/custom",
        (),
        {"Authorization": place.environ["FLY_TOKEN_BLUE"]},
        b"",
    )
    assert fly.answer(asked).status == 200
    fly.on_change()
    assert causes(place, ends=1)["fly-blue"] == {"managed"}
    place.run("drift", "--heal")
    assert causes(place, ends=0)["fly-blue"] == {"well"}


def test_a_push_that_failed_was_never_pushed(place: Town) -> None:
    place.platform("fastly").faults.append(Fault(Response.html(500, "oops"), matches=lambda request: request.write))
    place.run("renew", ends=1)
    assert causes(place, ends=1)["fastly"] == {"never-pushed"}
    place.run("drift", "--heal")
    place.run("drift")


def test_another_store_at_the_same_target(place: Town) -> None:
    place.run("renew")
    fastly = place.platform("fastly")
    with place.store() as store:
        mine = store.id
    for key, made in list(fastly.estate.certificates.items()):
        fastly.estate.certificates[key] = replace(made, name=made.name.replace(mine, "89abcdef"))
    ran = place.run("drift", ends=1)
    assert causes(place, ends=1)["fastly"] == {"other-store"}
    assert "one of the store 89abcdef" in ran.err


def test_an_edge_that_breaks_and_a_platform_that_is_away(place: Town) -> None:
    place.run("renew")
    place.house.edges[FASTLY_EDGE].listeners[0].trouble = Trouble.PLAINTEXT
    assert causes(place, ends=1)["fastly"] == {"broken"}
    place.house.edges[FASTLY_EDGE].listeners[0].trouble = Trouble.NONE
    place.platform("fastly").faults.append(Fault(Response.html(503, "away"), times=1000))
    ran = place.run("drift", ends=3)
    assert "6 of 8 names are as wanted, 2 cannot be known now" in ran.out
    assert " now   last seen: 8 of 10 edges serve v1" in ran.err
    place.platform("fastly").faults.clear()


@pytest.mark.parametrize(
    ("argv", "says"),
    [(["drift", "mian"], "did you mean main?"), (["drift", "--yes"], "--yes goes with --heal")],
)
def test_what_was_mistyped_touches_nothing(place: Town, argv: list[str], says: str) -> None:
    assert says in place.run(*argv, ends=2).err


def test_the_answer_as_json_has_each_place_once(place: Town) -> None:
    place.run("renew")
    somebody_clicks(place, "example.com")
    found: Any = place.run("drift", "--json", ends=1).json
    assert found["healed"] is None
    first = found["differences"][0]
    assert (first["target"], first["name"], first["cause"]) == ("fastly", "example.com", "replaced")
    assert first["hint"].endswith("certbroker drift main --heal --yes")
    places = [(each["certificate"], each["target"], each["name"]) for each in found["differences"]]
    assert len(places) == len(set(places)) == 8


def test_the_words(place: Town) -> None:
    words = told(place, "drift", ends=1) + "\n"
    place.run("renew")
    place.later(days=3)
    somebody_clicks(place, "example.com")
    (place.folder / "served" / "main" / "fullchain.pem").unlink()
    place.house.edges[BLUE_EDGE].listeners[0].show(*place.ca.issue_directly(*NAMES))
    words += told(place, "drift", ends=1) + "\n" + told(place, "drift", "--heal", ends=1) + "\n"
    place.house.edges[BLUE_EDGE].listeners[0].show_what_is_served()
    words += told(place, "drift", "main", "--heal", "--yes") + "\n" + told(place, "drift")
    golden("words/drift.txt", words)
