"""The file as taken in, what is due, findings, runs; and what a quiet night costs."""

from __future__ import annotations

from datetime import timedelta

from certbroker.events import Checked, RunStarted
from certbroker.model import KeyType, Phase
from certbroker.store import DeploymentRow, DueRow, SeenRow, Store, TakenIn
from tests.clock import START, TestClock
from tests.store.fixtures import add, draft


def test_a_new_file_tells_what_it_added_changed_and_left_out(store: Store, clock: TestClock) -> None:
    assert store.taken_in("broker-1") is None
    first = store.take_in(
        "broker-1", "certbroker.toml", "aa", {"b": {"names": ("b.example",)}, "a": {}}, {"fly": {"type": "fly"}}
    )
    assert first is not None
    assert first.added == {"certificate": ("a", "b"), "target": ("fly",)}
    assert first.changed == first.gone == {"certificate": (), "target": ()}
    clock.advance(timedelta(hours=1))
    second = store.take_in("broker-1", "certbroker.toml", "bb", {"b": {"names": ("b.example",)}, "c": {}}, {"fly": {}})
    assert second is not None
    assert second.added["certificate"] == ("c",)
    assert second.changed == {"certificate": (), "target": ("fly",)}
    assert second.gone == {"certificate": ("a",), "target": ()}
    assert store.taken_in("broker-1") == "bb"
    assert store.taken_in("broker-2") is None
    assert store.orphans() == [("certificate", "a", START + timedelta(hours=1))]
    assert store.declared("certificate", "b") == {"names": ["b.example"]}
    assert store.declared("certificate", "x") is None


def test_what_comes_back_is_added_and_no_orphan(store: Store) -> None:
    store.take_in("h", "f", "1", {"a": {"n": 1}}, {})
    store.take_in("h", "f", "2", {}, {})
    third = store.take_in("h", "f", "3", {}, {})
    assert third is not None
    assert third.gone["certificate"] == ()
    fourth = store.take_in("h", "f", "4", {"a": {"n": 1}}, {})
    assert fourth is not None
    assert fourth.added["certificate"] == ("a",)
    assert store.orphans() == []


def test_what_is_due_because_of_a_file_is_taken_in_with_it_and_what_left_is_not_due(store: Store) -> None:
    def due(taken: TakenIn) -> list[DueRow]:
        return [DueRow(kind, name, START) for name in taken.added["certificate"] for kind in ("certificate", "observe")]

    store.take_in("h", "f", "1", {"a": {}, "b": {}}, {}, due=due)
    assert [row.subject for row in store.due(START, kind="certificate")] == ["a", "b"]
    store.take_in("h", "f", "2", {"a": {}}, {}, due=due)
    assert [(row.kind, row.subject) for row in store.due(START)] == [("certificate", "a"), ("observe", "a")]


def test_only_what_is_due_is_told_oldest_first(store: Store) -> None:
    minute = timedelta(minutes=1)
    store.set_due(
        [
            DueRow("certificate", "b", START),
            DueRow("certificate", "a", START - minute),
            DueRow("check", "target/fly", START + minute),
            DueRow("certificate", "b", START - 2 * minute),
        ]
    )
    assert [row.subject for row in store.due(START)] == ["b", "a"]
    assert [row.subject for row in store.due(START, limit=1)] == ["b"]
    assert store.due(START, kind="check") == []
    assert store.due_of("check") == [DueRow("check", "target/fly", START + minute)]
    assert store.next_due() == DueRow("certificate", "b", START - 2 * minute)
    assert store.next_due("check") == DueRow("check", "target/fly", START + minute)
    assert store.next_due("prune") is None
    store.clear_due("certificate", "b")
    store.set_due([DueRow("certificate", "a", START + minute)])
    store.set_due([])
    assert store.due(START) == []


def serve(store: Store, count: int) -> None:
    """`count` certificates that are all served as wanted until tomorrow."""
    store.take_in("h", "f", "d", {f"c{n}": {"names": [f"{n}.example"]} for n in range(count)}, {"fly": {}})
    store.set_due([DueRow("certificate", f"c{n}", START + timedelta(days=1, seconds=n)) for n in range(count)])
    version = add(store, draft(f"{count:x}", certificate=f"c{count}"))
    names = [f"{n}.example" for n in range(count)]
    store.put_deployments(
        [
            DeploymentRow(
                version_id=version.id,
                target="fly",
                name=name,
                certificate="c",
                key_type=KeyType.P256,
                phase=Phase.COMMITTED,
                since=START,
            )
            for name in names
        ]
    )
    store.see(
        [
            SeenRow(target="fly", name=name, edge="192.0.2.1", certificate="c", at=START, verdict="valid")
            for name in names
        ]
    )


def quiet_night(store: Store) -> int:
    before = store.rows_read
    assert store.taken_in("h") == "d"
    assert store.due(START) == []
    assert store.next_due("certificate") is not None
    assert store.next_due() is not None
    assert store.unsettled() == []
    assert store.failing_variants() == []
    assert store.findings("fail") == []
    assert store.open_orders() == []
    assert store.unremoved() == []
    assert store.orphans() == []
    assert store.last_look() == START
    assert list(store.count_deployments()) == [Phase.COMMITTED]
    return store.rows_read - before


def test_a_night_in_which_nothing_is_due_reads_the_same_rows_whatever_the_number_of_certificates(store: Store) -> None:
    serve(store, 10)
    few = quiet_night(store)
    serve(store, 5000)
    assert quiet_night(store) == few


def test_a_finding_keeps_since_when_it_is_so(store: Store, clock: TestClock) -> None:
    checked = Checked(at=START, target="fly", subject="target/fly", state="ok", what="accepted")
    assert store.put_finding("target", "fly", "ok", "credentials accepted", None, events=[checked])
    clock.advance(timedelta(days=1))
    assert not store.put_finding("target", "fly", "ok", "credentials still accepted", None, events=[checked])
    store.put_finding("solver", "dnsimple", "fail", "token refused (401)", "make a new one")
    store.put_finding("dns", "example.com", "warn", "CAA", None)
    assert [(f.kind, f.state, f.what) for f in store.findings()] == [
        ("solver", "fail", "token refused (401)"),
        ("dns", "warn", "CAA"),
        ("target", "ok", "credentials still accepted"),
    ]
    [found] = store.findings("ok")
    assert (found.since, found.at) == (START, START + timedelta(days=1))
    assert store.put_finding("target", "fly", "fail", "refused", None)
    assert store.findings("ok") == []
    assert len(store.history(kind="checked")) == 1


def test_events_carry_the_run_they_belong_to(store: Store, clock: TestClock) -> None:
    event = RunStarted(at=START, command="renew", actor="a", host="h", digest="d")
    store.record()
    store.record(event)
    store.begin_run("3k5z", command="renew", actor="a", host="h", reason="why not", digest="d", started=START)
    assert store.run == "3k5z"
    store.record(event, event)
    clock.advance(timedelta(seconds=3))
    store.end_run("3k5z", exit_code=1, summary="1 push failed")
    assert [row.run for row in store.history()] == ["3k5z", "3k5z", None]
    assert [row.run for row in store.history(limit=1)] == ["3k5z"]
    assert store.history(since=START + timedelta(seconds=1)) == []
    assert store.history(certificate="main") == []
    [run] = store.runs()
    assert (run.exit_code, run.summary, run.ended) == (1, "1 push failed", START + timedelta(seconds=3))
