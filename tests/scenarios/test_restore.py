"""A push that makes things worse: what was served before is put back, seen to be back, and the push is tried again later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from certbroker.model import RevocationReason
from certbroker.sandbox.edge import Trouble
from certbroker.testkit.simulator import Fault, Response
from tests.scenarios.town import Town

FASTLY_EDGE = "198.51.100.10"
BLUE_EDGE = "203.0.113.10"


@contextmanager
def choking(place: Town, kind: str, address: str, *, on: Callable[[str], bool]) -> Iterator[None]:
    """The edge at `address` speaks no TLS while a chain that `on` says it of is served there."""
    platform, edge = place.platform(kind), place.house.edges[address]
    roll_out = platform.on_change

    def watch() -> None:
        roll_out()
        bad = any(on(chain) for chain, _ in platform.serving_at(address).values())
        edge.listeners[0].trouble = Trouble.PLAINTEXT if bad else Trouble.NONE

    platform.on_change = watch
    try:
        yield
    finally:
        platform.on_change = roll_out
        edge.listeners[0].trouble = Trouble.NONE


def chain_of(place: Town, number: int) -> str:
    return str(place.ca.issued[number - 1].chains[0])


def later_than(place: Town, number: int) -> Callable[[str], bool]:
    """Chains that are not the one of that version."""
    good = chain_of(place, number)
    return lambda chain: chain != good


def phases(place: Town, target: str, label: str) -> set[str]:
    with place.store() as store:
        version = next(v for v in store.versions("main") if v.label == label)
        return {
            row.phase.value for row in store.deployments("main") if (row.version_id, row.target) == (version.id, target)
        }


def serves(place: Town, number: int, target: str) -> bool:
    """Whether every edge of the target serves that version, by a look from outside."""
    ran = place.run("probe", "main", "--json", ends=None)
    wanted = place.ca.issued[number - 1].fingerprint
    looks: list[dict[str, Any]] = [look for look in ran.json["looks"] if look["target"] == target]
    return bool(looks) and all(look["fingerprint"] == wanted for look in looks)


def test_an_edge_that_breaks_by_the_push_gets_back_what_it_served(place: Town) -> None:
    place.run("renew")
    place.later(minutes=10)
    with choking(place, "fastly", FASTLY_EDGE, on=later_than(place, 1)):
        ran = place.run("issue", "main", ends=1)
        assert phases(place, "fastly", "v2") == {"restored"}
        assert phases(place, "fastly", "v1") == {"committed"}
        assert phases(place, "fly-blue", "v2") == {"committed"}
        assert serves(place, 1, "fastly")
        assert "worse than before the push" in ran.err
        assert "v1 was put back" in ran.err
        assert " now   10 of 10 edges serve v1" in ran.err
        assert "certbroker push main --target fastly" in ran.err
        writes = place.pushes()["fastly"]
        place.later(minutes=30)
        held = place.run("renew", ends=1)
        assert "v1 was put back" in held.err
        assert place.pushes()["fastly"] == writes, "tried again before the hour was over"
        place.later(hours=1)
        place.run("renew", ends=1)  # still broken: put back once more
        assert serves(place, 1, "fastly")
    place.later(hours=1)
    place.run("renew", ends=1)  # rarer each time
    place.later(hours=6)
    place.run("renew")
    assert serves(place, 2, "fastly")
    assert place.orders == 2
    assert "regressed" in place.run("history", "main", "--limit", "300").out


def test_fly_falls_back_to_its_own_certificate(place: Town) -> None:
    fly = place.platform("fly")
    place.edit('names = ["example.com", "*.example.com"]', 'names = ["example.com"]')
    fly.manage("site-blue", "example.com")
    fly.on_change()
    own, _ = fly.serving_at(BLUE_EDGE)["example.com"]
    with choking(place, "fly", BLUE_EDGE, on=lambda chain: chain != own):
        ran = place.run("renew", ends=1)
        assert "the platform's own certificate was put back" in ran.err
        assert phases(place, "fly-blue", "v1") == {"restored"}
        assert fly.serving_at(BLUE_EDGE)["example.com"][0] == own
    place.later(hours=2)
    place.run("renew")
    assert phases(place, "fly-blue", "v1") == {"committed"}


def test_a_foreign_certificate_that_the_platform_kept_is_bound_again(place: Town) -> None:
    fastly = place.platform("fastly")
    chain, key = place.ca.issue_directly("example.com", "*.example.com")
    fastly.add_foreign(chain, key, name="by hand", activate=["example.com", "*.example.com"])
    fastly.on_change()
    with choking(place, "fastly", FASTLY_EDGE, on=lambda served: served != chain):
        ran = place.run("renew", "--yes", ends=1)
        assert "the certificate that was there before was put back" in ran.err
        assert {served for served, _ in fastly.serving_at(FASTLY_EDGE).values()} == {chain}


def test_a_revoked_version_is_never_put_back(place: Town) -> None:
    place.run("renew")
    place.later(minutes=10)
    with place.store() as store:
        store.revoked(store.versions("main")[0].id, place.clock.now(), RevocationReason.SUPERSEDED)
    with choking(place, "fastly", FASTLY_EDGE, on=later_than(place, 1)):
        ran = place.run("renew", "main", ends=1)
        assert "it cannot be put back: v1, which was there before, is revoked" in ran.err
        assert phases(place, "fastly", "v2") == {"failed"}


def test_an_owner_who_wants_to_keep_what_broke_gets_it(place: Town) -> None:
    place.edit("[target.fastly]\n", '[target.fastly]\non_failure = "keep"\n')
    place.run("renew")
    place.later(minutes=10)
    with choking(place, "fastly", FASTLY_EDGE, on=later_than(place, 1)):
        ran = place.run("issue", "main", ends=1)
        assert "worse than before the push" in ran.err
        assert "put back" not in ran.err
        assert phases(place, "fastly", "v2") == {"failed"}


def test_a_going_back_that_the_platform_refuses_is_gone_on_with_by_the_next_run(place: Town) -> None:
    place.run("renew")
    place.later(minutes=10)
    fastly = place.platform("fastly")
    with choking(place, "fastly", FASTLY_EDGE, on=later_than(place, 1)):
        place.run("issue", "main", ends=1)
        assert serves(place, 1, "fastly")
        place.later(hours=2)
        # the second try moves the two activations; moving them back is refused
        fastly.faults.append(Fault(Response.html(503, "later"), times=50, skip=2, matches=lambda r: r.write))
        ran = place.run("renew", ends=1)
        assert phases(place, "fastly", "v2") == {"restoring"}, ran.all
        assert "it could not be put back yet: Fastly answered 503" in ran.err
        assert "restore fastly" in " ".join(place.run("plan").out.split())
        fastly.faults.clear()
        place.run("renew", ends=1)
        assert phases(place, "fastly", "v2") == {"restored"}
        assert serves(place, 1, "fastly")
