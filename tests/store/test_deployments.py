from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from certbroker.events import Moved
from certbroker.model import KeyType, Live, Owner, Phase, Record, Restorable, Version
from certbroker.store import DeploymentRow, SeenRow, Store
from tests.clock import START
from tests.store.fixtures import add, draft


def row(version: Version, target: str = "fastly", name: str = "example.com", **changes: object) -> DeploymentRow:
    made = DeploymentRow(
        version_id=version.id,
        target=target,
        name=name,
        certificate=version.certificate,
        key_type=version.key_type,
        phase=Phase.PENDING,
        since=START,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_deployment_comes_back_with_everything_it_held(store: Store) -> None:
    version = add(store, draft("01"))
    record = Record("_fly-ownership.example.com", "TXT", ("app-1", "org-2"), ";")
    full = row(
        version,
        phase=Phase.WAITING,
        before=Live(Owner.FOREIGN, Restorable.KEPT, "act-1", serial=2**150, ends=START, pending=(record,)),
        before_seen={"192.0.2.1": "ab" * 32, "edge:8443": ""},
        restorable=Restorable.KEPT,
        pushed=START,
        deadline=START + timedelta(hours=1),
        failures=2,
        try_again=START + timedelta(minutes=10),
        why="ownership not proven",
        hint="publish it",
        records=(record,),
    )
    store.put_deployments([full, row(version, name="*.example.com")])
    assert store.deployment(version.id, "fastly", "example.com") == full
    assert store.deployments("main") == [row(version, name="*.example.com"), full]
    assert store.deployment(version.id, "fly", "example.com") is None
    emptied = replace(full, before=None, before_seen={}, records=(), why=None, phase=Phase.COMMITTED)
    store.put_deployments([emptied])
    assert store.deployment(version.id, "fastly", "example.com") == emptied
    assert store.deployments("nothing") == []


def test_only_deployments_of_wanted_versions_are_counted_or_open(store: Store) -> None:
    old, rehearsal, new = add(store, draft("01")), add(store, draft("03", rehearsal=True)), add(store, draft("02"))
    store.put_deployments(
        [
            row(old, phase=Phase.FAILED),
            row(rehearsal, phase=Phase.FAILED),
            row(new, phase=Phase.VERIFYING),
            row(new, "fly", phase=Phase.COMMITTED),
            row(new, "folder", phase=Phase.DELIVERED),
            row(new, "fly", "www.example.com", phase=Phase.COMMITTED),
        ]
    )
    assert store.unsettled() == [row(new, phase=Phase.VERIFYING)]
    assert store.count_deployments() == {Phase.VERIFYING: 1, Phase.COMMITTED: 2, Phase.DELIVERED: 1}


def test_what_was_last_pushed_and_last_proven_may_differ(store: Store) -> None:
    old, new = add(store, draft("01")), add(store, draft("02"))
    later = START + timedelta(days=40)
    store.put_deployments([row(old, phase=Phase.COMMITTED, pushed=START)])
    assert store.last_committed("fastly", "example.com") == old
    store.put_deployments([row(new, phase=Phase.VERIFYING, since=later, pushed=later)])
    assert store.last_committed("fastly", "example.com") == old
    assert store.last_pushed("fastly", "example.com") == new
    assert store.last_pushed("fastly", "www.example.com") is None
    assert store.kept_fingerprints("main", "fastly") == {old.fingerprint, new.fingerprint}
    store.put_deployments([row(new, phase=Phase.COMMITTED, since=later, pushed=later)])
    assert store.last_committed("fastly", "example.com") == new
    assert store.kept_fingerprints("main", "fastly") == {new.fingerprint}


def test_a_move_is_recorded_with_the_phase_it_tells_of(store: Store) -> None:
    version = add(store, draft("01"))
    moved = Moved(
        at=START,
        certificate="main",
        target="fastly",
        name="example.com",
        version="v1",
        fingerprint=version.fingerprint,
        before=None,
        phase="pending",
    )
    store.put_deployments([row(version)], events=[moved])
    assert [(one.kind, one.target, one.name, one.data["phase"]) for one in store.history(target="fastly")] == [
        ("deployment", "fastly", "example.com", "pending")
    ]


def test_the_last_look_at_each_edge_is_kept(store: Store) -> None:
    def look(edge: str, at: datetime, verdict: str = "valid") -> SeenRow:
        return SeenRow(
            target="fastly", name="example.com", edge=edge, certificate="main", at=at, verdict=verdict, ends=START
        )

    assert store.last_look() is None
    store.see([look("192.0.2.1", START), look("2001:db8::1", START)])
    later = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))
    store.see([look("2001:db8::1", later, "refused")])
    store.see([])
    assert store.seen("main") == [look("192.0.2.1", START), look("2001:db8::1", later, "refused")]
    assert store.last_look() == later
    assert store.seen("other") == []


def test_text_from_outside_may_hold_anything(store: Store) -> None:
    version = add(store, draft("01"))
    store.put_deployments([row(version, why="a\0b \ud800 ü", phase=Phase.FAILED)])
    found = store.deployment(version.id, "fastly", "example.com")
    assert found is not None
    assert found.why == "a\N{REPLACEMENT CHARACTER}b ? ü"


def test_key_types_share_a_target_without_meeting(store: Store) -> None:
    ecdsa, rsa = add(store, draft("01")), add(store, draft("02", key_type=KeyType.RSA2048))
    store.put_deployments([row(ecdsa, phase=Phase.COMMITTED), row(rsa, phase=Phase.FAILED)])
    assert [(one.key_type, one.phase) for one in store.unsettled()] == [(KeyType.RSA2048, Phase.FAILED)]


def test_every_version_whose_push_was_begun_may_be_what_is_there(store: Store) -> None:
    old, new = add(store, draft("01")), add(store, draft("02"))
    store.put_deployments([row(old, pushed=START), row(new), row(new, "fly", pushed=START)])
    assert store.begun("fastly", "example.com") == [new, old]
    assert store.begun("fly", "example.com") == [new]
    assert store.begun("fly", "www.example.com") == []
