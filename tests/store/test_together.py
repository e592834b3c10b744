"""Many writes of one thread as one transaction."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from certbroker.store import Store
from tests.store.fixtures import BOX
from tests.store.test_journal import P256, new_order


class Died(BaseException):
    """As a run that is ended."""


def die_half_way(store: Store) -> None:
    with store.together():
        store.start_order(new_order())
        store.put_box("order", "2", BOX)
        raise Died


def test_what_is_written_together_is_kept_together_or_not_at_all(store: Store) -> None:
    with store.together():
        first = store.start_order(new_order())
        store.update_order(first.id, state="placed")
    with pytest.raises(Died):
        die_half_way(store)
    assert [(row.id, row.state) for row in store.open_orders()] == [(first.id, "placed")]
    assert list(store.boxes()) == []


def test_a_thread_reads_what_it_wrote_and_others_see_it_only_at_the_end(store: Store) -> None:
    with ThreadPoolExecutor(1) as other:
        with store.together(), store.together():
            store.start_order(new_order())
            assert len(store.open_orders_of("main", P256, rehearsal=False)) == 1
            assert other.submit(store.open_orders).result(10) == []
        assert len(other.submit(store.open_orders).result(10)) == 1
