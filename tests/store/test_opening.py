"""Made, migrated or refused; and what a database says when it refuses."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.engine import Engine

from certbroker.errors import StoreError
from certbroker.store import Store, schema
from certbroker.store.engine import connect, parse
from tests.clock import TestClock
from tests.store.fixtures import BOX, add, draft
from tests.store.programs import run


def test_a_new_store_has_an_id_and_keeps_it(url: str, clock: TestClock) -> None:
    with Store.open(url, clock) as first, Store.open(url, clock) as second:
        assert first.id == second.id
        assert len(first.id) == 8
        assert int(first.id, 16) >= 0


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
