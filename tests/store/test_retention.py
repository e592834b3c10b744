from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from certbroker.events import OrderStarted
from certbroker.model import Live, Owner, Phase, Restorable, Version
from certbroker.store import DeploymentRow, SeenRow, Store, Swept
from tests.clock import START, TestClock
from tests.store.fixtures import BOX, add, draft
from tests.store.test_journal import new_order

NOTHING = Swept(0, 0, 0, 0, 0, 0)


def deploy(
    store: Store,
    version: Version,
    phase: Phase,
    at: datetime = START,
    *,
    target: str = "fly",
    before: str | None = None,
) -> None:
    store.put_deployments(
        [
            DeploymentRow(
                version_id=version.id,
                target=target,
                name="example.com",
                certificate="main",
                key_type=version.key_type,
                phase=phase,
                since=at,
                pushed=at,
                before=Live(Owner.OURS, Restorable.OURS, fingerprint=before),
            )
        ]
    )


def held(store: Store) -> list[str]:
    return [version.label for version in store.versions("main")]


def test_an_empty_store_has_nothing_to_forget(store: Store) -> None:
    assert store.prune(START, keep_versions=3) == NOTHING


def test_the_newest_versions_stay_and_the_rest_goes_with_its_key(store: Store) -> None:
    made = [add(store, draft(f"{n:02d}")) for n in range(1, 6)]
    add(store, draft("10", rehearsal=True))
    add(store, draft("11", certificate="other"))
    order = store.start_order(new_order())
    store.update_order(order.id, state="done")
    assert store.prune(START, keep_versions=2).versions == 3
    assert held(store) == ["v6", "v5", "v4"]  # v6 is the rehearsal
    assert [owner for kind, owner, _ in store.boxes() if kind == "version"] == [
        str(one) for one in (made[3].id, made[4].id, made[4].id + 1, made[4].id + 2)
    ]
    assert store.prune(START, keep_versions=2) == NOTHING
    assert store.prune(START, keep_versions=0).versions == 1
    assert held(store) == ["v6", "v5"]


def test_a_version_stays_while_any_target_has_no_later_proven_one(store: Store) -> None:
    first, second, third = (add(store, draft(f"0{n}")) for n in (1, 2, 3))
    deploy(store, first, Phase.COMMITTED, target="slow")
    deploy(store, first, Phase.COMMITTED)
    deploy(store, second, Phase.COMMITTED, START + timedelta(days=1))
    deploy(store, third, Phase.VERIFYING, START + timedelta(days=2))
    assert store.prune(START, keep_versions=1) == NOTHING
    deploy(store, third, Phase.COMMITTED, START + timedelta(days=2))
    store.prune(START, keep_versions=1)
    assert held(store) == ["v3", "v1"]
    deploy(store, third, Phase.DELIVERED, START + timedelta(days=2), target="slow")
    store.prune(START, keep_versions=1)
    assert held(store) == ["v3"]


def test_a_version_stays_that_was_proven_after_the_clock_was_put_right(store: Store) -> None:
    """The one before it was proven under a clock that was a day ahead."""
    first, second, third = (add(store, draft(f"0{n}")) for n in (1, 2, 3))
    deploy(store, first, Phase.COMMITTED, START + timedelta(days=1))
    deploy(store, second, Phase.COMMITTED, START)
    deploy(store, third, Phase.COMMITTED, START, target="another")
    store.prune(START, keep_versions=1)
    assert "v2" in held(store)


def test_a_version_stays_whose_push_got_no_answer(store: Store) -> None:
    """It may have arrived."""
    first, second = (add(store, draft(f"0{n}")) for n in (1, 2))
    deploy(store, first, Phase.FAILED, target="another")
    sent = store.deployment(first.id, "another", "example.com")
    assert sent is not None
    store.put_deployments([replace(sent, pushed=None, begun=START)])
    deploy(store, second, Phase.COMMITTED)
    store.prune(START, keep_versions=1)
    assert held(store) == ["v2", "v1"]


def test_a_version_stays_while_an_edge_serves_it_or_a_push_may_go_back_to_it(store: Store) -> None:
    first, second, third = (add(store, draft(f"0{n}")) for n in (1, 2, 3))
    store.see(
        [
            SeenRow(
                target="fly",
                name="example.com",
                edge="192.0.2.1",
                certificate="main",
                at=START,
                verdict="valid",
                fingerprint=first.fingerprint,
            )
        ]
    )
    deploy(store, third, Phase.VERIFYING, before=second.fingerprint)
    assert store.prune(START, keep_versions=1) == NOTHING
    deploy(store, third, Phase.COMMITTED, before=second.fingerprint)
    assert store.prune(START + timedelta(days=30), keep_versions=1) == Swept(1, 0, 0, 0, 0, 0)
    assert held(store) == ["v3", "v1"]
    assert store.prune(START + timedelta(days=31), keep_versions=1) == Swept(1, 0, 0, 1, 0, 0)
    assert held(store) == ["v3"]


def test_history_runs_and_closed_orders_go_after_their_time(store: Store, clock: TestClock) -> None:
    store.begin_run("3k5z", command="renew", actor="a", host="h", reason=None, digest="d", started=clock.now())
    closed, open_, cleaning = (store.start_order(new_order()) for _ in range(3))
    store.put_box("order", str(closed.id), BOX)
    store.put_box("order", str(open_.id), BOX)
    for order in (closed, cleaning):
        store.update_order(order.id, state="failed")
    rows = [
        store.plan_record(
            "challenge",
            order_id=order.id,
            certificate="main",
            target=None,
            solver="s",
            zone="example.com",
            name="_acme-challenge.example.com",
            value=str(order.id),
        )
        for order in (closed, cleaning)
    ]
    store.record_removed(rows[0].id)
    store.record(OrderStarted(at=START, key_type="k", issuer="i", why="w"))
    assert store.prune(START + timedelta(days=400), keep_versions=1) == NOTHING

    assert store.prune(START + timedelta(days=401), keep_versions=1) == Swept(0, 1, 1, 0, 1, 1)
    assert store.order(closed.id) is None
    assert store.open_orders() == [open_]
    assert [row.order_id for row in store.unremoved()] == [cleaning.id]
    assert list(store.boxes()) == [("order", str(open_.id), BOX)]
    assert store.history() == []
    assert store.runs() == []
