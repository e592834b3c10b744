"""What the files of several hosts say, what the owner agreed to, and how what left the file is forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from certbroker.events import Forgotten
from certbroker.model import KeyType, Live, Owner, Phase, Restorable
from certbroker.store import DeploymentRow, DueRow, Placed, SeenRow, Store, said_digest
from tests.clock import START, TestClock
from tests.store.fixtures import BOX, add, draft
from tests.store.test_journal import new_order

MAIN = {"names": ["example.com"]}
HOUR = timedelta(hours=1)


def run(store: Store, host: str, started: datetime) -> None:
    store.begin_run(
        f"{host}{started:%H}", command="renew", actor="a", host=host, reason=None, digest="d", started=started
    )


def put_there(version: int, **changes: object) -> DeploymentRow:
    row = DeploymentRow(
        version_id=version,
        target="fly",
        name="example.com",
        certificate="main",
        key_type=KeyType.P256,
        phase=Phase.COMMITTED,
        since=START,
        pushed=START,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def test_whoever_weighed_an_older_state_is_told_and_nothing_is_done(store: Store) -> None:
    store.take_in("a", "f", "1", {"main": MAIN}, {})
    seen = store.in_force()
    store.take_in("b", "f", "2", {"main": {"names": ["x.example"]}}, {})
    assert store.take_in("a", "f", "3", {"main": MAIN}, {}, after=seen.generation) is None
    assert store.declared("certificate", "main") == {"names": ["x.example"]}
    assert store.taken_in("a") is None, "it is not what is in force any more"
    assert store.taken_in("b") == "2"
    assert store.take_in("a", "f", "3", {"main": MAIN}, {}, after=store.in_force().generation) is not None


def test_a_file_of_which_something_waits_is_looked_at_again(store: Store) -> None:
    store.take_in("a", "f", "1", {"main": MAIN}, {}, says={"certificate": {"main": {}}}, whole=False)
    assert store.taken_in("a") is None
    assert store.in_force().certificates == {"main": MAIN}


def test_what_other_hosts_say_counts_while_they_run(store: Store, clock: TestClock) -> None:
    run(store, "a", START)
    store.take_in("a", "f", "1", {"main": MAIN}, {"fly": {}})
    run(store, "b", START + HOUR)
    store.take_in("b", "f", "2", {"main": MAIN}, {})
    [claim] = store.others("a", START)
    assert (claim.host, claim.last, claim.name, claim.digest) == ("b", START + HOUR, "main", said_digest(MAIN))
    assert {(each.host, each.name) for each in store.others("b", START)} == {("a", "main"), ("a", "fly")}
    assert store.others("b", START + timedelta(minutes=1)) == []
    store.take_in("b", "f", "3", {}, {})
    assert store.others("a", START) == []
    assert store.hosts() == ["a", "b"]
    assert store.forget_host("a")
    assert not store.forget_host("a")
    assert store.hosts() == ["b"]


def test_a_yes_counts_until_ours_is_proven_there(store: Store, clock: TestClock) -> None:
    foreign = Live(Owner.FOREIGN, Restorable.NO, "x", serial=2**150)
    store.agree("main", "fly", {"example.com": foreign})
    assert store.agreed("main") == {("fly", "example.com"): foreign}
    assert store.agreed("other") == {}
    version = add(store, draft("01", certificate="main"))
    store.put_deployments([put_there(version.id, phase=Phase.FAILED, since=START + HOUR)])
    assert store.agreed("main")
    store.put_deployments([put_there(version.id, since=START + HOUR)])
    assert store.agreed("main") == {}
    clock.advance(2 * HOUR)
    store.agree("main", "fly", {"example.com": foreign})
    assert store.agreed("main")


def test_where_something_is_as_far_as_is_known(store: Store) -> None:
    first, second = add(store, draft("01", certificate="main")), add(store, draft("02", certificate="main"))
    store.put_deployments(
        [
            put_there(first.id),
            put_there(second.id, since=START + HOUR),
            put_there(first.id, name="a"),
            put_there(second.id, name="a", phase=Phase.RESTORED),
            put_there(first.id, name="b"),
            put_there(second.id, name="b", phase=Phase.FAILED, since=START + HOUR),
            put_there(first.id, name="c", phase=Phase.WAITING, pushed=None),
        ]
    )
    assert store.placed(certificate="main") == [
        Placed("main", "fly", "a", first.id),
        Placed("main", "fly", "b", second.id),
        Placed("main", "fly", "example.com", second.id),
    ]
    assert store.placed(target="other") == []


def test_a_certificate_that_left_is_not_counted_and_is_forgotten_with_all_that_hangs_on_it(store: Store) -> None:
    store.take_in("a", "f", "1", {"main": MAIN, "mainly": MAIN}, {"fly": {}})
    version, other = add(store, draft("01", certificate="main")), add(store, draft("02", certificate="mainly"))
    order = store.start_order(new_order())
    store.put_box("order", str(order.id), BOX)
    store.put_deployments([put_there(version.id), put_there(other.id, certificate="mainly", name="b")])
    store.see(
        [SeenRow(target="fly", name="example.com", edge="192.0.2.1", certificate="main", at=START, verdict="valid")]
    )
    store.put_finding("edge", "main → fly", "fail", "no", None)
    store.put_finding("edge", "mainly → fly", "fail", "no", None)
    store.set_due([DueRow("prune", "fly/main", START), DueRow("prune", "fly/mainly", START)])
    assert store.count_deployments() == {Phase.COMMITTED: 2}
    store.take_in("a", "f", "2", {"mainly": MAIN}, {"fly": {}})
    assert store.count_deployments() == {Phase.COMMITTED: 1}
    store.take_in("a", "f", "1", {"main": MAIN, "mainly": MAIN}, {"fly": {}})
    assert store.count_deployments() == {Phase.COMMITTED: 2}
    store.take_in("a", "f", "2", {"mainly": MAIN}, {"fly": {}})
    store.forget_certificate("main", events=[Forgotten(at=START, certificate="main")])
    assert store.orphans() == []
    assert [*store.versions("main"), *store.deployments("main"), *store.seen("main")] == []
    assert store.variants("main") == {}
    assert store.open_orders() == []
    assert {(kind, owner) for kind, owner, _ in store.boxes()} == {("version", str(other.id))}
    assert [finding.name for finding in store.findings("fail")] == ["mainly → fly"]
    assert [row.subject for row in store.due_of("prune")] == ["fly/mainly"]
    assert store.count_deployments() == {Phase.COMMITTED: 1}
    assert store.standing("main") is None
    assert store.history(certificate="main")[0].kind == "forgotten"


def test_where_a_target_leads_to_another_place_nothing_was_pushed_yet(store: Store) -> None:
    store.take_in("a", "f", "1", {"main": MAIN}, {"fly": {"type": "fly", "options": {"app": "blue"}, "edges": []}})
    version = add(store, draft("01", certificate="main"))
    store.put_deployments([put_there(version.id, why="seen by 2 edges")])
    store.take_in("a", "f", "2", {"main": MAIN}, {"fly": {"type": "fly", "options": {"app": "blue"}, "edges": ["x"]}})
    assert [row.phase for row in store.deployments("main")] == [Phase.COMMITTED]
    store.take_in("a", "f", "3", {"main": MAIN}, {"fly": {"type": "fly", "options": {"app": "green"}, "edges": []}})
    [row] = store.deployments("main")
    assert (row.phase, row.pushed, row.why) == (Phase.PENDING, None, "the target leads to another place")
    assert store.count_deployments() == {Phase.PENDING: 1}
    assert store.standing("main") == store.worked_out("main")
