"""What only SQLite does: files and modes, its refusals, its query plans; and addresses before anything is opened."""

from __future__ import annotations

import resource
import sqlite3
import stat
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError

from certbroker.errors import StoreError
from certbroker.secret import Sealed
from certbroker.store import Store
from certbroker.store.engine import connect, parse
from certbroker.store.refusal import explain
from tests.clock import TestClock
from tests.store.fixtures import BOX
from tests.store.programs import run


def test_the_file_and_its_folder_are_for_us_alone(tmp_path: Path, clock: TestClock) -> None:
    path = tmp_path / "a" / "b" / "store.db"
    with Store.open(f"sqlite:///{path}", clock) as store:
        store.put_box("order", "1", BOX)
        modes = {
            file.name: stat.S_IMODE(file.stat().st_mode)
            for file in (path.parent.parent, path.parent, *path.parent.iterdir())
        }
    assert modes == {"a": 0o700, "b": 0o700, "store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


def test_the_questions_of_a_quiet_night_are_answered_from_an_index(store: Store) -> None:
    questions = {
        "select * from due where at <= '2026' order by at, kind, subject": "due_at",
        "select * from due order by at limit 1": "due_at",
        "select * from due where kind = 'certificate' order by at limit 1": "due_kind",
        "select * from variant where failing_since is not null order by failing_since": "variant_failing",
        "select * from finding where state = 'fail'": "finding_state",
        "select * from published where state in ('planned', 'present') order by id": "published_state",
        "select * from acme_order where state in ('planned', 'placed')": "acme_order_state",
        "select * from declared where gone is not null order by gone, kind, name": "declared_gone",
        "select max(at) from seen": "seen_at",
        "select * from deployment d where phase in ('pending', 'pushed', 'verifying', 'waiting', 'failed') and exists "
        "(select * from variant v where v.certificate = d.certificate and v.key_type = d.key_type and v.wanted = "
        "d.version_id) order by certificate, target, name": "deployment_phase",
        "select * from history where certificate = 'a' order by at desc limit 10": "history_certificate",
        "select * from deployment where target = 'a' and name = 'b' order by since desc limit 1": "deployment_place",
        "select * from standing s where exists (select target from standing_cell c where c.certificate = s.certificate "
        "and c.standby is 0) and act_by < '9999' order by act_by, certificate limit 1": "standing_act_by",
    }
    assert store.file is not None
    connection = sqlite3.connect(store.file)
    try:
        for question, index in questions.items():
            plan = " ".join(row[3] for row in connection.execute(f"explain query plan {question}"))
            assert index in plan, (question, plan)
    finally:
        connection.close()


def test_a_file_that_is_no_database(tmp_path: Path, clock: TestClock) -> None:
    path = tmp_path / "store.db"
    path.write_text("this is a letter to my grandmother, and longer than a header")
    with pytest.raises(StoreError, match="is not a database") as refused:
        Store.open(f"sqlite:///{path}", clock)
    assert refused.value.hint is not None
    assert path.read_text().startswith("this is a letter")


def test_a_folder_in_its_place(tmp_path: Path, clock: TestClock) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        Store.open(f"sqlite:///{tmp_path}", clock)


def test_a_place_that_cannot_be_made(tmp_path: Path, clock: TestClock) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made: Not a directory"):
        Store.open(f"sqlite:///{tmp_path}/file/store.db", clock)


def test_a_store_that_another_process_keeps_locked(tmp_path: Path, clock: TestClock) -> None:
    path = tmp_path / "store.db"
    with Store.open(f"sqlite:///{path}?timeout=0.05", clock) as store:
        other = sqlite3.connect(path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked by another process") as refused:
                store.put_box("order", "1", BOX)
            assert refused.value.__cause__ is None
            assert list(store.boxes()) == []  # reading goes on meanwhile
        finally:
            other.close()
        store.put_box("order", "1", BOX)


def test_a_store_that_may_only_be_read(clock: TestClock) -> None:
    """As another user if we are root, whom no mode stops."""
    program = (
        "import os, sys\n"
        "from certbroker.errors import StoreError\n"
        "from certbroker.store import Store\n"
        "from certbroker.world import SystemClock\n"
        "from tests.store.fixtures import BOX\n"
        "url = 'sqlite:///' + sys.argv[1] + '/store.db'\n"
        "keep = Store.open(url, SystemClock())\n"
        "keep.put_box('order', '1', BOX)\n"
        "for name in os.listdir(sys.argv[1]): os.chmod(os.path.join(sys.argv[1], name), 0o444)\n"
        "os.chmod(sys.argv[1], 0o555)\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "store = Store.open(url, SystemClock())\n"
        "print(len(list(store.boxes())))\n"
        "try: store.put_box('order', '2', BOX)\n"
        "except StoreError as error: print(error, '|', error.hint)\n"
        "store.close()\n"
        "keep.close()\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        done = run(program, folder)
        Path(folder).chmod(0o755)
    count, message = done.splitlines()
    assert count == "1"
    assert "may not be written | look at the owner and mode" in message


def test_a_disk_that_is_full_leaves_no_half_written_version(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: what does not fit is refused by the system's write."""
    path = tmp_path / "store.db"
    program = (
        "import resource, sys\n"
        "from certbroker.errors import StoreError\n"
        "from certbroker.store import Sealed, Store\n"
        "from certbroker.world import SystemClock\n"
        "from tests.store.fixtures import add, draft\n"
        "store = Store.open('sqlite:///' + sys.argv[1], SystemClock())\n"
        "add(store, draft('01'))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))\n"
        "try: store.add_version(draft('02'), lambda id: Sealed('k', b'w', bytes(2_000_000)))\n"
        "except StoreError as error: print(error, '|', error.hint)\n"
        "print([v.label for v in store.versions('main')], len(list(store.boxes())))\n"
        "store.close()\n"
    )
    message, rest = run(program, str(path)).splitlines()
    assert "disk" in message
    assert rest == "['v1'] 1"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 600_000


def test_a_disk_without_a_free_block_is_called_by_its_name() -> None:
    """SQLite says "unable to open" where it cannot make the files that help it. /proc has no block to give."""
    cause = sqlite3.OperationalError("unable to open database file")
    cause.sqlite_errorname = "SQLITE_CANTOPEN"
    error = DBAPIError("SELECT 1", {}, cause)
    here, there = Path("/nowhere/store.db"), Path("/proc/store.db")
    assert str(explain("sqlite:///x", error, here)) == "the store sqlite:///x cannot be opened"
    assert "disk is" in str(explain("sqlite:///x", error, there))


def test_a_damaged_file(tmp_path: Path, clock: TestClock) -> None:
    path = tmp_path / "store.db"
    with Store.open(f"sqlite:///{path}", clock) as store:
        for n in range(50):
            store.put_box("order", str(n), Sealed("k", b"w", bytes(3000)))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged") as refused:
        Store.open(f"sqlite:///{path}", clock)
    assert "restore" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("not an address", "cannot be read"),
        ("mysql://root:hunter2@host/db", "does not know"),
        ("sqlite:///relative.db", "absolute path"),
        ("sqlite://", "absolute path"),
        ("sqlite:////tmp/x.db?timeout=soon", "not a number of seconds"),
        ("postgresql://u:hunter2@host:port/db", "cannot be read"),
    ],
)
def test_an_address_that_cannot_be_is_refused_without_quoting_its_password(
    url: str, what: str, clock: TestClock
) -> None:
    with pytest.raises(StoreError, match=what) as refused:
        Store.open(url, clock)
    assert "hunter2" not in f"{refused.value} {refused.value.hint} {refused.value.__cause__}"


def test_a_server_that_is_not_there_is_told_without_the_password(clock: TestClock) -> None:
    pytest.importorskip("psycopg")
    url = "postgresql://owner:hunter2@127.0.0.1:1/certbroker?sslpassword=hunter2"
    with pytest.raises(StoreError, match="cannot be reached") as refused:
        Store.open(url, clock)
    assert "postgresql://owner:***@127.0.0.1:1/certbroker" in str(refused.value)
    assert "hunter2" not in f"{refused.value} {refused.value.hint}"


def test_without_the_driver_the_hint_says_what_to_install(clock: TestClock, tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('not here')\n")
    program = (
        "from certbroker.errors import StoreError\n"
        "from certbroker.store import Store\n"
        "from certbroker.world import SystemClock\n"
        "try: Store.open('postgresql://u:hunter2@127.0.0.1/x', SystemClock())\n"
        "except StoreError as error: print(error, '|', error.hint)\n"
    )
    assert run(program, first=tmp_path) == (
        "the driver for PostgreSQL is not installed | pip install 'certbroker[postgres]'\n"
    )


def test_a_shown_address_names_neither_driver_nor_password(tmp_path: Path, clock: TestClock) -> None:
    with Store.open(f"sqlite:///{tmp_path}/store.db", clock) as store:
        assert store.url == f"sqlite:///{tmp_path}/store.db"
    pytest.importorskip("psycopg")
    assert (
        Store("postgresql://u:hunter2@h:5/d?password=hunter2", clock).url == "postgresql://u:***@h:5/d?password=hidden"
    )


def test_statements_in_the_log_do_not_show_what_they_carry(tmp_path: Path) -> None:
    engine = connect(parse(f"sqlite:///{tmp_path}/store.db"))
    assert engine.hide_parameters
    engine.dispose()
    assert not create_engine("sqlite://").hide_parameters  # it is our doing
