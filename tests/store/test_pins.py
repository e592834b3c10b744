"""Pins: what a person rolled back stays known, and is never forgotten with old versions."""

from __future__ import annotations

from datetime import timedelta

from certbroker.store import PinRow, Store
from tests.clock import START
from tests.store.fixtures import add, draft


def pin(target: str, version_id: int, why: str = "") -> PinRow:
    return PinRow("main", target, version_id, START, START + timedelta(days=30), why)


def test_a_target_has_one_pin_and_loses_it_alone(store: Store) -> None:
    first, second = add(store, draft("01")), add(store, draft("02"))
    store.put_pins([pin("fly", first.id), pin("fastly", first.id)])
    store.put_pins([pin("fly", second.id, "better")])
    assert store.pins("main") == [pin("fastly", first.id), pin("fly", second.id, "better")]
    assert store.pins("other") == []
    store.lift_pins("main", ["fly"])
    assert store.pins() == [pin("fastly", first.id)]


def test_a_pinned_version_is_kept(store: Store) -> None:
    versions = [add(store, draft(f"{number:02x}")) for number in range(1, 6)]
    store.put_pins([pin("fly", versions[0].id)])
    store.prune(START, keep_versions=1)
    assert {v.id for v in store.versions("main")} == {versions[0].id, versions[-1].id}
    store.lift_pins("main", ["fly"])
    store.prune(START, keep_versions=1)
    assert {v.id for v in store.versions("main")} == {versions[-1].id}
