"""What metrics are made from, of a store with a row in every table."""

from __future__ import annotations

from datetime import timedelta

from certbroker.store import LooksAt, Store
from tests.clock import START
from tests.store.test_backup import fill


def test_looks_and_what_is_due_are_counted(store: Store) -> None:
    fill(store)
    assert store.looks() == [LooksAt("fly", "valid", 1, START, 0.25)]
    assert store.due_by_kind(START)["certificate"] == (1, START)
    assert store.due_by_kind(START - timedelta(seconds=1)) == {}
    assert store.order_failures() == {"other": 1}


def test_what_ended_since_a_moment_is_counted(store: Store) -> None:
    fill(store)
    for since in (START - timedelta(days=1), START):
        assert sum(many for many, _ in store.pushes_since(since).values()) == 1
    assert store.pushes_since(START + timedelta(days=1)) == {}
    assert store.orders_since(START + timedelta(days=1)) == []


def test_the_last_run_that_ended_is_not_the_one_under_way(store: Store) -> None:
    def begin(id: str, hours: int, command: str = "renew") -> None:
        started = START + timedelta(hours=hours)
        store.begin_run(id, command=command, actor="a", host="h", reason=None, digest="d", started=started)

    for number, code in enumerate((0, 3, 1)):
        begin(f"run{number}", number)
        store.end_run(f"run{number}", exit_code=code, summary="s")
    begin("push", 3, "push")
    store.end_run("push", exit_code=0, summary="s")
    begin("under-way", 4)
    last, good = store.last_ended("renew"), store.last_ended("renew", (0, 3))
    assert (last and last.id, good and good.id) == ("run2", "run1")
    assert store.last_ended("renew", (2,)) is None
