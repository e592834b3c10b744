from __future__ import annotations

import sqlite3
import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from certbroker.errors import StoreError
from certbroker.events import OrderStarted
from certbroker.failover import Cause, PassedOver
from certbroker.limits import Told
from certbroker.model import KeyType, Live, Owner, Phase, Record, Restorable, Window
from certbroker.store import (
    AlertRow,
    DeploymentRow,
    DueRow,
    HandoverRow,
    LabelRow,
    MuteRow,
    PinRow,
    SeenRow,
    Store,
    schema,
)
from certbroker.store.backup import dump, load
from tests.clock import START, TestClock
from tests.store.fixtures import BOX, add, draft
from tests.store.test_drifts import drift_row
from tests.store.test_journal import new_order


def fill(store: Store) -> None:
    """Something in every table, with every column used somewhere."""
    store.begin_run("3k5z", command="renew", actor="a", host="h", reason="why", digest="d", started=START)
    declared = {"names": ["example.com"], "targets": [["fly", ["example.com"]]]}
    store.take_in("h", "certbroker.toml", "d", {"main": declared, "old": {}}, {"fly": {}})
    store.take_in("h", "certbroker.toml", "e", {"main": declared}, {"fly": {}})
    order = store.start_order(new_order())
    store.put_box("order", str(order.id), BOX)
    store.put_box("account", "letsencrypt https://ca.example/dir", BOX)
    version = store.add_version(draft("01"), lambda _id: BOX, order_id=order.id)
    open_order = store.start_order(new_order(rehearsal=True))
    store.update_order(open_order.id, state="placed", body={"status": "pending"}, expires=START)
    row = store.plan_record(
        "challenge",
        order_id=open_order.id,
        certificate="main",
        target=None,
        solver="dnsimple",
        zone="example.com",
        name="_acme-challenge.example.com",
        value="v",
    )
    store.record_present(row.id, "7")
    store.put_account("letsencrypt", "https://ca.example/dir", "https://ca.example/acct/1", key_type=KeyType.P256)
    store.put_alert(
        AlertRow(
            key="push/fly",
            way="tell.0.webhook",
            kind="push",
            severity="tell",
            subject="main → fly",
            what="400",
            since=START,
            first=START,
            told=START,
        )
    )
    store.put_mute(MuteRow("fly", START + timedelta(days=2), "known", "anna", START))
    store.put_pins([PinRow("main", "fly", version.id, START, START + timedelta(days=9), "old clients")])
    store.agree("main", "fly", {"example.com": Live(Owner.FOREIGN, Restorable.KEPT, "x")})
    step = HandoverRow(
        certificate="main",
        flow="takeover",
        step="serve fly",
        number=2,
        do="serve",
        target="fly",
        what="ours is put in front",
        way_back="ours is taken away",
        on_request=False,
        phase="begun",
        since=START,
        undo={"names": ["example.com"]},
        why="w",
        hint="h",
    )
    store.put_handover([step])
    store.put_directory("https://ca.example/dir", {"newOrder": "https://ca.example/new"})
    store.put_window(Window(version.id, START, START + timedelta(days=1), START, START, START, "https://why.example"))
    store.put_deployments(
        [
            DeploymentRow(
                version_id=version.id,
                target="fly",
                name="example.com",
                certificate="main",
                key_type=KeyType.P256,
                phase=Phase.WAITING,
                since=START + timedelta(microseconds=1),
                before=Live(Owner.FOREIGN, Restorable.KEPT, serial=2**159),
                before_seen={"192.0.2.1": ""},
                records=(Record("_fly-ownership.example.com", "TXT", ("a", "b"), ";"),),
            )
        ]
    )
    store.see(
        [
            SeenRow(
                target="fly",
                name="a",
                edge="192.0.2.1",
                certificate="main",
                at=START,
                verdict="valid",
                seconds=0.25,
            )
        ]
    )
    store.put_drift("main", [drift_row("fly", "a", "replaced")])
    store.set_due([DueRow("certificate", "main", START)])
    store.put_finding("target", "fly", "warn", "reaches the whole organisation", "a smaller token")
    store.put_label(LabelRow("_acme-challenge.example.com", "held", "Fly", "x.flydns.net", START, START, "ours", START))
    store.order_failed("other", KeyType.P256, error="no", hint=None, try_again=START)
    passed = PassedOver("letsencrypt", Cause.AWAY, START, START + timedelta(hours=1), "503", 2)
    store.put_passed("other", KeyType.P256, passed)
    store.put_told("https://ca.example/dir", Told("example.com", START, START + timedelta(hours=1), "429"))
    store.record(OrderStarted(at=START, certificate="main", key_type="k", issuer="i", why="w"))
    store.lease("certificate/main", "run 3k5z")


def content(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Everything but the leases, in order of the keys."""
    return {
        table.name: [tuple(row) for row in store.rows(select(table).order_by(*table.primary_key))]
        for table in schema.metadata.sorted_tables
        if table is not schema.lease
    }


def test_a_backup_brings_back_everything_but_the_leases(
    store: Store, other_url: str, clock: TestClock, tmp_path: Path
) -> None:
    fill(store)
    before = content(store)
    assert all(before.values()), [name for name, rows in before.items() if not rows]
    path = tmp_path / "backup.db"
    dump(store, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.iterdir() if "backup" in file.name) == ["backup.db"]
    written = path.read_bytes()

    with load(path, other_url, clock) as restored:
        assert restored.id == store.id
        assert content(restored) == before
        assert restored.leases() == []
        assert add(restored, draft("02")).number == 2  # ids go on after those that came along
        restored.record(OrderStarted(at=START, key_type="k", issuer="i", why="w"))
    assert path.read_bytes() == written
    assert not [file for file in tmp_path.iterdir() if file.name.startswith("backup.db-")]
    assert content(store) == before


def test_a_backup_of_the_restored_store_is_the_same_again(
    store: Store, other_url: str, clock: TestClock, tmp_path: Path
) -> None:
    """SQLite to PostgreSQL to SQLite, where `other_url` is PostgreSQL's."""
    fill(store)
    dump(store, tmp_path / "first.db")
    with load(tmp_path / "first.db", other_url, clock) as between:
        dump(between, tmp_path / "second.db")
    with load(tmp_path / "second.db", f"sqlite:///{tmp_path}/last.db", clock) as last:
        assert content(last) == content(store)


def test_a_backup_never_overwrites(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "backup.db"
    path.write_text("precious")
    with pytest.raises(StoreError, match="is there already"):
        dump(store, path)
    assert path.read_text() == "precious"


def test_a_backup_that_cannot_be_written_leaves_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        dump(store, tmp_path / "file" / "backup.db")
    store.close()
    with pytest.raises(StoreError):
        dump(Store("sqlite:////proc/nothing/store.db", TestClock()), tmp_path / "backup.db")
    assert not [file for file in tmp_path.iterdir() if "backup" in file.name]


def test_a_store_that_holds_something_is_not_restored_into(
    store: Store, other_url: str, clock: TestClock, tmp_path: Path
) -> None:
    dump(store, tmp_path / "backup.db")
    with Store.open(other_url, clock) as other:
        other.put_finding("target", "fly", "ok", "fine")
        own = other.id
    with pytest.raises(StoreError, match="is not empty, nothing was restored"):
        load(tmp_path / "backup.db", other_url, clock)
    with Store.open(other_url, clock) as other:
        assert other.id == own
        assert [finding.what for finding in other.findings()] == ["fine"]


def test_an_empty_store_that_was_opened_before_takes_over_the_id(
    store: Store, other_url: str, clock: TestClock, tmp_path: Path
) -> None:
    Store.open(other_url, clock).close()
    dump(store, tmp_path / "backup.db")
    load(tmp_path / "backup.db", other_url, clock).close()
    with Store.open(other_url, clock) as other:
        assert other.id == store.id


def test_only_a_backup_is_restored(other_url: str, clock: TestClock, tmp_path: Path) -> None:
    letter, empty, newer = tmp_path / "letter", tmp_path / "empty", tmp_path / "newer.db"
    letter.write_text("this is a letter to my grandmother")
    empty.write_text("")
    Store.open(f"sqlite:///{newer}", clock).close()
    connection = sqlite3.connect(newer)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    for path, what in (
        (letter, "letter is not a database"),
        (empty, "is empty, not a backup"),
        (newer, "newer certbroker"),
        (tmp_path / "nothing", "cannot be read: No such file"),
    ):
        with pytest.raises(StoreError, match=what) as refused:
            load(path, other_url, clock)
        assert str(path) in str(refused.value)
    with Store.open(other_url, clock) as store:
        assert store.versions("main") == []


def test_a_backup_is_of_one_moment_while_others_write(store: Store, clock: TestClock, tmp_path: Path) -> None:
    """Each writer's transaction adds a version and its key: a backup has both or neither."""
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            add(store, draft(f"{n:06x}"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not store.versions("main"):
            pass
        for n in range(3):
            dump(store, tmp_path / f"{n}.db")
    finally:
        stop.set()
        writer.join()
    for n in range(3):
        with Store.open(f"sqlite:///{tmp_path}/{n}.db", clock) as copy:
            versions = copy.versions("main")
            assert [v.number for v in versions] == list(range(len(versions), 0, -1))
            assert sorted(int(owner) for _, owner, _ in copy.boxes()) == sorted(v.id for v in versions)
            assert copy.variant("main", KeyType.P256).wanted == versions[0]
