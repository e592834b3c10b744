"""What an observation keeps: one row a place, no longer than it is true, and never against a deployment that moved since."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from certbroker.events import Drifted
from certbroker.model import KeyType, Phase
from certbroker.store import DeploymentRow, DriftChange, DriftRow, FindingState, Store
from tests.clock import START, TestClock
from tests.store.fixtures import add, draft

LATER = START + timedelta(hours=1)


def drift_row(target: str, name: str = "a", cause: str = "replaced", **more: object) -> DriftRow:
    words = {"wanted": "v1", "said": "not ours", "served": "2 × v1", "what": f"{name} {cause}", "now": "n", "hint": "h"}
    state: FindingState = "warn" if cause == "unasked" else "fail"
    row = DriftRow(
        target=target, name=name, certificate="main", cause=cause, state=state, since=START, at=START, **words
    )
    return replace(row, **more)  # type: ignore[arg-type]


def deployed(store: Store, phase: Phase, **more: object) -> None:
    version = store.version(1) or add(store, draft("01"))
    row = DeploymentRow(
        version_id=version.id,
        target="fly",
        name="a",
        certificate="main",
        key_type=KeyType.P256,
        phase=phase,
        since=START - timedelta(hours=1),
        pushed=START - timedelta(hours=1),
    )
    store.put_deployments([replace(row, **more)])  # type: ignore[arg-type]


def test_what_differs_is_told_once_and_what_is_over_goes(store: Store) -> None:
    told: list[DriftChange] = []

    def events(change: DriftChange) -> list[Drifted]:
        told.append(change)
        return [Drifted(at=START, certificate="main", cause=row.cause, what=row.what) for row in change.begun]

    first = [drift_row("fly"), drift_row("fastly", cause="stale")]
    store.put_drift("main", first, told=events)
    again = [replace(row, since=LATER, at=LATER) for row in first]
    assert store.put_drift("main", again, told=events) == DriftChange()
    assert [(row.target, row.since, row.at) for row in store.drifts()] == [
        ("fastly", START, LATER),
        ("fly", START, LATER),
    ]
    worse = replace(again[0], cause="broken")
    change = store.put_drift("main", [worse], told=events)
    assert (change.begun, [row.target for row in change.over]) == ((worse,), ["fastly"])
    assert [change for change in told if change != DriftChange()] == [DriftChange(begun=tuple(first)), change]
    assert [row.data["cause"] for row in store.history(kind="drifted")] == ["broken", "stale", "replaced"]
    assert store.put_drift("main", []).over == (worse,)
    assert store.drifts() == []


def test_a_look_at_some_targets_says_nothing_of_the_others(store: Store) -> None:
    store.put_drift("main", [drift_row("fly"), drift_row("fastly")])
    store.put_drift("main", [], targets=["fly"])
    assert [row.target for row in store.drifts("main")] == ["fastly"]
    assert store.drifts("other") == []


def test_that_nobody_could_find_out_does_not_hide_what_was_found(store: Store) -> None:
    store.put_drift("main", [drift_row("fly", cause="removed")])
    assert store.put_drift("main", [drift_row("fly", cause="unasked", at=LATER)]) == DriftChange()
    assert [row.cause for row in store.drifts()] == ["removed"]
    store.put_drift("main", [])
    store.put_drift("main", [drift_row("fly", cause="unasked")])
    assert [row.cause for row in store.drifts()] == ["unasked"]


def test_a_deployment_that_moved_since_the_look_has_the_newer_word(store: Store) -> None:
    deployed(store, Phase.COMMITTED, since=LATER)
    store.put_drift("main", [drift_row("fly")])
    assert store.drifts() == []


def test_a_deployment_that_moves_ends_what_was_seen_before(store: Store) -> None:
    for moved in ({"phase": Phase.VERIFYING}, {"phase": Phase.FAILED}, {"phase": Phase.DELIVERED, "pushed": LATER}):
        deployed(store, Phase.COMMITTED)
        store.put_drift("main", [drift_row("fly"), drift_row("fastly")])
        deployed(store, Phase.COMMITTED)
        assert len(store.drifts()) == 2, "nothing moved"
        deployed(store, **moved)
        assert [row.target for row in store.drifts()] == ["fastly"]


def test_what_leaves_the_file_is_not_told_any_more(store: Store) -> None:
    store.take_in("h", "certbroker.toml", "d", {"main": {}, "other": {}}, {})
    store.put_drift("main", [drift_row("fly")])
    store.put_drift("other", [replace(drift_row("fly", "b"), certificate="other")])
    store.take_in("h", "certbroker.toml", "e", {"other": {}}, {})
    assert [row.certificate for row in store.drifts()] == ["other"]


def test_only_what_stands_and_is_known_to_differ_is_counted(store: Store, clock: TestClock) -> None:
    deployed(store, Phase.COMMITTED)
    assert store.count_drifted() == {}
    store.put_drift("main", [drift_row("fly"), drift_row("fastly")])
    assert store.count_drifted() == {Phase.COMMITTED: 1}
    store.put_drift("main", [drift_row("fastly")])
    store.put_drift("main", [drift_row("fly", cause="unasked")])
    assert store.count_drifted() == {}, "nobody could find out"
