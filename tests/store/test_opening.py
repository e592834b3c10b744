"""Made, migrated or refused; and what a database says when it refuses."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import Engine

from certbroker.errors import StoreError
from certbroker.secret import Sealed
from certbroker.store import Store, schema
from certbroker.store.engine import connect, parse
from tests.clock import TestClock
from tests.store.fixtures import BOX, add, draft


def test_a_new_store_has_an_id_and_keeps_it(url: str, clock: TestClock) -> None:
    with Store.open(url, clock) as first, Store.open(url, clock) as second:
        assert first.id == second.id
        assert len(first.id) == 8
        assert int(first.id, 16) >= 0


def test_the_file_and_its_folder_are_for_us_alone(tmp_path: Path, clock: TestClock) -> None:
    path = tmp_path / "a" / "b" / "store.db"
    with Store.open(f"sqlite:///{path}", clock) as store:
        store.put_box("order", "1", BOX)
        modes = {
            file.name: stat.S_IMODE(file.stat().st_mode)
            for file in (path.parent.parent, path.parent, *path.parent.iterdir())
        }
    assert modes == {"a": 0o700, "b": 0o700, "store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


def shape(engine: Engine) -> dict[str, Any]:
    """Everything a database tells about its tables."""
    with engine.connect() as connection:
        looked = inspect(connection)
        return {
            table: {
                "columns": {
                    c["name"]: (str(c["type"]), c["nullable"], c["default"]) for c in looked.get_columns(table)
                },
                "key": looked.get_pk_constraint(table)["constrained_columns"],
                "foreign": sorted(
                    (f["constrained_columns"], f["referred_table"], f["referred_columns"])
                    for f in looked.get_foreign_keys(table)
                ),
                "indexes": sorted(
                    (str(i["name"]), i["column_names"], bool(i["unique"])) for i in looked.get_indexes(table)
                ),
                "unique": sorted(u["column_names"] for u in looked.get_unique_constraints(table)),
            }
            for table in looked.get_table_names()
            if table != "alembic_version"
        }


def test_the_migrations_make_what_the_schema_says(url: str, clock: TestClock, other_url: str) -> None:
    Store.open(url, clock).close()
    migrated, direct = connect(parse(url)), connect(parse(other_url))
    try:
        schema.metadata.create_all(direct)
        assert shape(migrated) == shape(direct)
        with migrated.connect() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == schema.REVISION
    finally:
        migrated.dispose()
        direct.dispose()


def run(program: str, *words: str, first: Path | None = None) -> str:
    """What a program of its own prints; `first` goes before everything else where it looks for modules."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join(str(folder) for folder in (first, root) if folder is not None)
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    ).stdout


def test_opening_a_store_that_is_up_to_date_does_not_import_alembic(url: str, clock: TestClock) -> None:
    Store.open(url, clock).close()
    program = (
        "import sys; from certbroker.store import Store; from certbroker.world import SystemClock; "
        "Store.open(sys.argv[1], SystemClock()).close(); print('alembic' in sys.modules)"
    )
    assert run(program, url) == "False\n"


def test_many_threads_that_open_a_new_store_at_once_make_one(url: str, clock: TestClock) -> None:
    start, ids = threading.Barrier(6), list[str]()

    def open_it() -> None:
        start.wait()
        with Store.open(url, clock) as store:
            ids.append(store.id)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6
    assert len(set(ids)) == 1


def test_a_newer_store_is_refused_and_left_as_it_was(url: str, clock: TestClock) -> None:
    Store.open(url, clock).close()
    engine = connect(parse(url))
    try:
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        before = shape(engine)
        with pytest.raises(StoreError, match="newer certbroker \\(revision 9999") as refused:
            Store.open(url, clock)
        assert refused.value.hint is not None
        assert "upgrade" in refused.value.hint
        assert shape(engine) == before
        with engine.connect() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    finally:
        engine.dispose()


def test_a_database_of_something_else_is_refused(url: str, clock: TestClock) -> None:
    parsed = parse(url)
    if parsed.database and parsed.get_backend_name() == "sqlite":
        Path(parsed.database).parent.mkdir(parents=True)
    engine = connect(parsed)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE meta (a INTEGER)"))
    engine.dispose()
    with pytest.raises(StoreError, match="tables that are not certbroker's"):
        Store.open(url, clock)


def test_threads_share_one_store(store: Store) -> None:
    problems: list[BaseException] = []

    def work(n: int) -> None:
        try:
            for m in range(5):
                made = add(store, draft(f"{n:02d}{m:02d}", certificate=f"c{n % 3}"))
                assert store.version(made.id) == made
                store.put_box("order", f"{n}", BOX)
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            problems.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    for certificate, count in (("c0", 15), ("c1", 15), ("c2", 10)):
        assert [v.number for v in store.versions(certificate)] == list(range(count, 0, -1))


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


class TestSqliteRefusals:
    """Each in our words, with what to do; the store afterwards is what it was."""

    def test_a_file_that_is_no_database(self, tmp_path: Path, clock: TestClock) -> None:
        path = tmp_path / "store.db"
        path.write_text("this is a letter to my grandmother, and longer than a header")
        with pytest.raises(StoreError, match="is not a database") as refused:
            Store.open(f"sqlite:///{path}", clock)
        assert refused.value.hint is not None
        assert path.read_text().startswith("this is a letter")

    def test_a_folder_in_its_place(self, tmp_path: Path, clock: TestClock) -> None:
        with pytest.raises(StoreError, match="cannot be opened"):
            Store.open(f"sqlite:///{tmp_path}", clock)

    def test_a_place_that_cannot_be_made(self, tmp_path: Path, clock: TestClock) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreError, match="cannot be made: Not a directory"):
            Store.open(f"sqlite:///{tmp_path}/file/store.db", clock)

    def test_a_store_that_another_process_keeps_locked(self, tmp_path: Path, clock: TestClock) -> None:
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

    def test_a_store_that_may_only_be_read(self, clock: TestClock) -> None:
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

    def test_a_disk_that_is_full_leaves_no_half_written_version(self, tmp_path: Path) -> None:
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

    def test_a_damaged_file(self, tmp_path: Path, clock: TestClock) -> None:
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
