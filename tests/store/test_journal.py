"""Orders, published records, accounts, directories, windows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from certbroker.events import OrderStarted
from certbroker.model import KeyType, Window
from certbroker.store import NewOrderRow, PublishedRow, Purpose, Store
from tests.clock import START, TestClock
from tests.store.fixtures import add, draft

P256 = KeyType.P256


def new_order(*, key_type: KeyType = P256, rehearsal: bool = False) -> NewOrderRow:
    return NewOrderRow(
        certificate="main",
        key_type=key_type,
        issuer="letsencrypt",
        directory="https://ca.example/dir",
        account_uri="https://ca.example/acct/1",
        names=("example.com", "*.example.com"),
        profile=None,
        replaces="AA.BB",
        rehearsal=rehearsal,
        why="never issued",
    )


def test_an_order_is_planned_then_changed_step_by_step(store: Store, clock: TestClock) -> None:
    order = store.start_order(new_order())
    assert order.state == "planned"
    assert order.names == ("example.com", "*.example.com")
    assert (order.started, order.updated) == (START, START)
    clock.advance(timedelta(seconds=3))
    store.update_order(order.id, state="placed", uri="https://ca.example/order/1", body={"status": "pending"})
    store.update_order(order.id, replaces=None, expires=START + timedelta(days=7))
    expected = replace(
        order,
        state="placed",
        uri="https://ca.example/order/1",
        body={"status": "pending"},
        replaces=None,
        expires=START + timedelta(days=7),
        updated=START + timedelta(seconds=3),
    )
    assert store.order(order.id) == expected
    assert store.open_orders_of("main", P256, rehearsal=False) == [expected]


def test_open_orders_are_told_apart_by_key_type_and_rehearsal(store: Store) -> None:
    failed = store.start_order(new_order())
    store.update_order(failed.id, state="failed", error="no")
    real = store.start_order(new_order())
    rehearsal = store.start_order(new_order(rehearsal=True))
    rsa = store.start_order(new_order(key_type=KeyType.RSA2048))
    assert store.open_orders_of("main", P256, rehearsal=False) == [real]
    assert store.open_orders_of("main", P256, rehearsal=True) == [rehearsal]
    assert store.open_orders_of("main", KeyType.RSA2048, rehearsal=False) == [rsa]
    assert store.open_orders_of("main", KeyType.P384, rehearsal=False) == []
    assert store.open_orders() == [real, rehearsal, rsa]


def test_an_event_lies_in_the_history_with_what_it_tells(store: Store) -> None:
    event = OrderStarted(at=START, certificate="main", key_type="ecdsa-p256", issuer="letsencrypt", why="never issued")
    order = store.start_order(new_order(), events=[event])
    store.update_order(order.id, [replace(event, why="again")], state="placed")
    assert [(row.kind, row.certificate, row.data["why"]) for row in store.history()] == [
        ("order-started", "main", "again"),
        ("order-started", "main", "never issued"),
    ]


def plan(store: Store, value: str, purpose: Purpose = "challenge", order_id: int | None = None) -> PublishedRow:
    return store.plan_record(
        purpose,
        order_id=order_id,
        certificate="main",
        target=None,
        solver="dnsimple",
        zone="example.com",
        name="_acme-challenge.example.com",
        value=value,
    )


def test_records_are_known_until_they_are_removed(store: Store) -> None:
    order = store.start_order(new_order())
    first, second = plan(store, "one", order_id=order.id), plan(store, "two", order_id=order.id)
    ownership = plan(store, "app-1", "ownership")
    store.record_present(first.id, "handle-7")
    assert [(row.id, row.state, row.handle) for row in store.unremoved()] == [
        (first.id, "present", "handle-7"),
        (second.id, "planned", None),
        (ownership.id, "planned", None),
    ]
    assert store.unremoved("ownership") == [ownership]
    assert [row.id for row in store.unremoved(order_id=order.id)] == [first.id, second.id]
    store.record_removed(first.id)
    assert [row.id for row in store.unremoved("challenge")] == [second.id]


def test_planning_the_same_value_again_gives_the_same_row_until_it_is_removed(store: Store) -> None:
    first = plan(store, "one")
    assert plan(store, "one") == first
    assert plan(store, "one", "ownership").id != first.id
    store.record_removed(first.id)
    assert plan(store, "one").id != first.id


def test_an_account_and_a_directory_are_remembered_with_their_time(store: Store, clock: TestClock) -> None:
    directory = "https://ca.example/dir"
    assert store.account("letsencrypt", directory) is None
    assert store.directory(directory) is None
    store.put_account("letsencrypt", directory, "https://ca.example/acct/1", key_type=KeyType.P256)
    store.put_directory(directory, {"newOrder": "https://ca.example/new", "meta": {"profiles": {"a": "b"}}})
    clock.advance(timedelta(days=1))
    store.put_directory(directory, {"newOrder": "https://ca.example/newer"})
    account = store.account("letsencrypt", directory)
    assert account is not None
    assert (account.uri, account.made) == ("https://ca.example/acct/1", START)
    assert store.account("other", directory) is None
    assert store.directory(directory) == ({"newOrder": "https://ca.example/newer"}, START + timedelta(days=1))


def test_a_window_is_bound_to_its_version(store: Store) -> None:
    made = add(store, draft("01"))
    window = Window(made.id, START, START + timedelta(days=2), START + timedelta(days=1), START, START, None)
    store.put_window(window)
    moved = replace(window, start=START - timedelta(days=9), explanation_url="https://ca.example/why")
    store.put_window(moved)
    assert store.window(made.id) == moved
    assert store.window(made.id + 1) is None
