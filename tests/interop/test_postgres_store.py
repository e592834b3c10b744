"""The whole suite of the store once more, on a real PostgreSQL; and what only a server can refuse."""

# ruff: noqa: F403 - the tests themselves are what is imported

from __future__ import annotations

from collections.abc import Iterator

import pytest

from certbroker.errors import StoreError
from certbroker.store import Store
from tests.clock import TestClock
from tests.postgres import Postgres, postgres
from tests.store.fixtures import BOX, clock, store
from tests.store.test_backup import *
from tests.store.test_declared_and_due import *
from tests.store.test_deployments import *
from tests.store.test_drifts import *
from tests.store.test_hosts_and_leaving import *
from tests.store.test_journal import *
from tests.store.test_leases import *
from tests.store.test_measured import *
from tests.store.test_opening import *
from tests.store.test_retention import *
from tests.store.test_standings import *
from tests.store.test_versions import *

__all__ = ["clock", "store"]

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture
def url(server: Postgres) -> Iterator[str]:
    address = server.database()
    yield address
    server.drop(address)


@pytest.fixture
def other_url(server: Postgres) -> Iterator[str]:
    address = server.database()
    yield address
    server.drop(address)


def test_a_wrong_password_is_told_without_it(url: str, server: Postgres, clock: TestClock) -> None:
    wrong = url.replace(server.password, "hunter2")
    with pytest.raises(StoreError, match="password authentication failed") as refused:
        Store.open(wrong, clock)
    assert "hunter2" not in f"{refused.value} {refused.value.hint}"
    assert ":***@" in str(refused.value)


def test_a_database_that_does_not_exist_is_told(server: Postgres, clock: TestClock) -> None:
    with pytest.raises(StoreError, match='database "nowhere" does not exist'):
        Store.open(server.url("nowhere"), clock)


def test_a_server_that_may_only_be_read_is_told(url: str, server: Postgres, clock: TestClock) -> None:
    Store.open(url, clock).close()
    name = url.rpartition("/")[2]
    server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with Store.open(url, clock) as store:
        assert list(store.boxes()) == []
        with pytest.raises(StoreError, match="may not be written"):
            store.put_box("order", "1", BOX)


def test_a_row_that_another_session_keeps_locked_is_told(url: str, server: Postgres, clock: TestClock) -> None:
    import psycopg

    with Store.open(url + "?timeout=0.1", clock) as store:
        store.put_box("order", "1", BOX)
        with psycopg.connect(url) as other:
            other.execute("SELECT * FROM sealed FOR UPDATE")
            with pytest.raises(StoreError, match="locked by another process"):
                store.drop_box("order", "1")
        assert store.box("order", "1") == BOX


def test_a_connection_that_was_cut_is_made_again(url: str, server: Postgres, clock: TestClock) -> None:
    with Store.open(url, clock) as store:
        name = url.rpartition("/")[2]
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        store.put_box("order", "1", BOX)
        assert store.box("order", "1") == BOX
