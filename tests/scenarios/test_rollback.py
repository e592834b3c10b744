"""Going back by hand: an older version is served again, and nothing brings the newer one there until a person lifts that."""

from __future__ import annotations

import pytest

from certbroker.model import RevocationReason
from certbroker.testkit.simulator import Fault, Response
from tests.golden import golden
from tests.scenarios.test_restore import serves
from tests.scenarios.test_words import told
from tests.scenarios.town import Town


@pytest.fixture
def twice(place: Town) -> Town:
    """v1 and v2 were issued; v2 is served everywhere."""
    place.run("renew")
    place.later(minutes=10)
    place.run("issue", "main")
    return place


def test_the_version_before_is_served_again_and_renew_keeps_to_it(twice: Town) -> None:
    ran = twice.run("rollback", "main", "-m", "old clients", ends=3)
    assert serves(twice, 1, "fastly")
    assert serves(twice, 1, "fly-blue")
    assert "5 of 5 edges serve v1" in ran.out
    assert "v1 is pinned by hand (old clients), at the longest until" in ran.err
    assert "hint: certbroker rollback main --target fastly --lift" in ran.err
    pushes = twice.pushes()
    twice.later(hours=7)
    twice.run("renew", ends=3)
    assert twice.pushes() == pushes
    assert "pinned by hand (old clients)" in twice.run("status", ends=3).out
    assert twice.orders == 2


def test_lifted_the_wanted_version_is_served_again(twice: Town) -> None:
    twice.run("rollback", "main", ends=3)
    twice.run("rollback", "main", "--lift")
    assert serves(twice, 2, "fastly")
    assert serves(twice, 2, "fly-green")
    twice.later(hours=7)
    twice.run("renew")
    assert "is not pinned" in twice.run("rollback", "main", "--lift", ends=2).err


def test_one_target_goes_back_and_the_others_stay(twice: Town) -> None:
    twice.run("rollback", "main", "--target", "fly-blue", "--to", "v1", ends=3)
    assert serves(twice, 1, "fly-blue")
    assert serves(twice, 2, "fly-green")
    assert serves(twice, 2, "fastly")


def test_a_renewal_goes_to_the_other_targets_only(twice: Town) -> None:
    twice.run("rollback", "main", "--target", "fastly", ends=3)
    twice.later(minutes=10)
    twice.run("issue", "main", ends=3)
    assert serves(twice, 1, "fastly")
    assert serves(twice, 3, "fly-blue")


def test_a_pinned_version_that_is_revoked_or_nears_its_end_gives_way(twice: Town) -> None:
    twice.run("rollback", "main", "--target", "fastly", ends=3)
    with twice.store() as store:
        first = store.versions("main")[-1]
        store.revoked(first.id, twice.clock.now(), RevocationReason.SUPERSEDED)
    twice.run("renew")
    assert serves(twice, 2, "fastly")
    with twice.store() as store:
        assert store.pins() == []
    twice.run("rollback", "main", "--target", "fastly", "--to", "v2", ends=0)
    twice.later(days=78)  # five sixths of its life
    twice.run("renew")
    assert serves(twice, 3, "fastly")
    with twice.store() as store:
        assert store.pins() == []


def test_a_run_that_died_before_the_push_is_gone_on_with(twice: Town) -> None:
    fastly = twice.platform("fastly")
    fastly.faults.append(Fault(Response.html(503, "later"), times=50, matches=lambda request: request.write))
    twice.run("rollback", "main", "--target", "fastly", ends=1)
    fastly.faults.clear()
    twice.later(hours=1)
    twice.run("renew", ends=3)
    assert serves(twice, 1, "fastly")


def test_what_cannot_be_gone_back_to_is_refused_and_nothing_is_touched(twice: Town) -> None:
    pushes = twice.pushes()
    assert "holds no v7" in twice.run("rollback", "main", "--to", "v7", ends=2).err
    assert "has no target cdn" in twice.run("rollback", "main", "--target", "cdn", ends=2).err
    assert "leave one of them out" in twice.run("rollback", "main", "--to", "v1", "--lift", ends=2).err
    with twice.store() as store:
        store.revoked(store.versions("main")[-1].id, twice.clock.now(), RevocationReason.UNSPECIFIED)
    assert "nothing to go back to on fastly: v1: it is revoked" in twice.run("rollback", "main", ends=2).err
    assert "v1 cannot be served by fastly: it is revoked" in twice.run("rollback", "main", "--to", "v1", ends=2).err
    twice.later(days=80)
    assert "v2 cannot be served by fastly: it nears its end" in twice.run("rollback", "main", "--to", "2", ends=2).err
    assert twice.pushes() == pushes
    with twice.store() as store:
        assert store.pins() == []


def test_the_words(twice: Town) -> None:
    words = told(twice, "rollback", "main", "--target", "fastly", "-m", "old clients", ends=3) + "\n"
    words += told(twice, "rollback", "main", "--target", "fastly", "--lift") + "\n"
    for argv in (
        ("mian",),
        ("main", "--target", "fastyl"),
        ("main", "--to", "v7"),
        ("main", "--to", "v1", "--lift"),
        ("main", "--target", "fastly", "--lift"),
        ("main", "--lift"),
    ):
        words += told(twice, "rollback", *argv, ends=2) + "\n"
    with twice.store() as store:
        store.revoked(store.versions("main")[-1].id, twice.clock.now(), RevocationReason.UNSPECIFIED)
    words += told(twice, "rollback", "main", ends=2) + "\n"
    words += told(twice, "rollback", "main", "--to", "v1", "--target", "fly-blue", ends=2) + "\n"
    twice.later(days=80)
    words += told(twice, "rollback", "main", "--to", "v2", ends=2) + "\n"
    twice.configure(certificates=twice.certificate("new", names=("new.example.com",), targets=("fastly",)))
    golden("words/rollback.txt", words + told(twice, "rollback", "new", ends=2))
