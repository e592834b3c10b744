from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from certbroker.errors import StoreError
from certbroker.events import Issued
from certbroker.model import KeyType, RevocationReason, Version
from certbroker.secret import Sealed
from certbroker.store import NewOrderRow, Store, Variant
from tests.clock import START, TestClock
from tests.store.fixtures import BOX, add, draft

P256 = KeyType.P256


def order_row(**changes: object) -> NewOrderRow:
    values: dict[str, object] = {
        "certificate": "main",
        "key_type": P256,
        "issuer": "letsencrypt",
        "directory": "https://ca.example/dir",
        "account_uri": "https://ca.example/acct/1",
        "names": ("example.com", "*.example.com"),
        "profile": "tlsserver",
        "replaces": None,
        "rehearsal": False,
        "why": "never issued",
        **changes,
    }
    return NewOrderRow(**values)  # type: ignore[arg-type]


def test_a_variant_that_was_never_ordered_has_all_defaults(store: Store) -> None:
    assert store.variant("main", P256) == Variant("main", P256)
    assert store.variants("main") == {}


def test_a_version_comes_back_as_it_was_issued(store: Store) -> None:
    made = add(store, draft("ab"))
    assert made.number == 1
    assert made.serial == 2**159 + 0xAB
    assert store.version(made.id) == made
    assert store.by_fingerprint(made.fingerprint) == made
    assert store.variant("main", P256).wanted == made
    assert store.version(made.id + 1) is None
    assert store.by_fingerprint("f" * 64) is None


def test_the_roots_that_versions_are_judged_by_are_those_that_are_not_the_systems(store: Store) -> None:
    add(store, draft("ab"))
    ours = [add(store, replace(draft(text), roots_pem="a private CA")) for text in ("ac", "ad")]
    assert store.roots() == {made.id: "a private CA" for made in ours}


def test_versions_are_counted_per_certificate_and_key_type(store: Store) -> None:
    numbers = [
        add(store, draft("01")).number,
        add(store, draft("02")).number,
        add(store, draft("03", key_type=KeyType.RSA2048)).number,
        add(store, draft("04", certificate="other")).number,
        add(store, draft("05")).number,
    ]
    assert numbers == [1, 2, 1, 1, 3]
    assert [v.fingerprint[:2] for v in store.versions("main")] == ["05", "03", "02", "01"]
    assert [v.number for v in store.versions("main", P256)] == [3, 2, 1]
    assert store.all_fingerprints("main") == {f.ljust(64, "0") for f in ("01", "02", "03", "05")}
    assert {key: v.wanted.number for key, v in store.variants("main").items() if v.wanted} == {
        P256: 3,
        KeyType.RSA2048: 1,
    }


def test_a_rehearsal_is_kept_and_never_wanted(store: Store) -> None:
    wanted = add(store, draft("01"))
    rehearsal = add(store, draft("02", rehearsal=True))
    assert rehearsal.rehearsal
    assert rehearsal.number == 2
    assert store.variant("main", P256).wanted == wanted


def test_a_rehearsal_does_not_end_a_row_of_failures(store: Store) -> None:
    store.order_failed("main", P256, error="the CA is away", hint=None, try_again=None)
    add(store, draft("02", rehearsal=True))
    assert store.variant("main", P256).failures == 1


def test_the_order_ends_and_its_key_moves_in_the_transaction_that_adds_the_version(store: Store) -> None:
    order = store.start_order(order_row())
    store.put_box("order", str(order.id), BOX)
    seen: list[int] = []

    def make_box(version_id: int) -> Sealed:
        seen.append(version_id)
        return Sealed("k", b"w", str(version_id).encode())

    made = store.add_version(draft("01"), make_box, order_id=order.id, events=lambda v: [issued(v)])
    assert seen == [made.id]
    assert store.box("order", str(order.id)) is None
    assert store.box("version", str(made.id)) == Sealed("k", b"w", str(made.id).encode())
    done = store.order(order.id)
    assert done is not None
    assert (done.state, done.version_id) == ("done", made.id)
    assert store.open_orders_of("main", P256, rehearsal=False) == []
    assert [row.data["version"] for row in store.history(kind="issued")] == ["v1"]


def issued(version: Version) -> Issued:
    return Issued(
        at=START,
        certificate=version.certificate,
        version=version.label,
        key_type=version.key_type.value,
        issuer=version.issuer,
        fingerprint=version.fingerprint,
        ends=version.lifetime.ends,
        seconds=1.5,
    )


def test_a_version_whose_key_cannot_be_sealed_was_never_there(store: Store) -> None:
    order = store.start_order(order_row())
    store.put_box("order", str(order.id), BOX)

    def refuse(_version_id: int) -> Sealed:
        raise OSError("no key")

    with pytest.raises(OSError, match="no key"):
        store.add_version(draft("01"), refuse, order_id=order.id)
    assert store.versions("main") == []
    assert store.variants("main") == {}
    assert store.box("order", str(order.id)) == BOX
    assert store.open_orders_of("main", P256, rehearsal=False) == [order]
    assert list(store.boxes()) == [("order", str(order.id), BOX)]


def test_the_same_certificate_is_not_held_twice(store: Store) -> None:
    add(store, draft("01"))
    with pytest.raises(StoreError, match="holds the certificate 010000000000 already"):
        add(store, draft("01", certificate="other"))
    assert store.versions("other") == []


def test_failures_are_counted_since_the_first_and_forgotten_by_success(store: Store, clock: TestClock) -> None:
    later = START + timedelta(hours=1)
    store.mark_finalizing("main", P256)
    store.order_failed("main", P256, error="first", hint="wait", try_again=later)
    clock.advance(timedelta(minutes=5))
    store.order_failed("main", P256, error="second", hint=None, try_again=later)
    expected = Variant("main", P256, failures=2, failing_since=START, try_again=later, finalized=START, error="second")
    assert store.variant("main", P256) == expected
    assert store.failing_variants() == [("main", P256, expected)]

    made = add(store, draft("01"))
    assert store.variant("main", P256) == Variant("main", P256, wanted=made, finalized=START)
    assert store.failing_variants() == []


def test_a_cleared_order_keeps_what_is_wanted(store: Store) -> None:
    made = add(store, draft("01"))
    store.order_failed("main", P256, error="no", hint=None, try_again=None)
    assert store.variant("main", P256).wanted == made
    store.order_cleared("main", P256)
    assert store.variant("main", P256) == Variant("main", P256, wanted=made)


def test_a_revocation_is_dated_once_a_compromise_stays_one_and_the_certificate_is_due(store: Store) -> None:
    made = add(store, draft("01"))
    store.revoked(made.id, START, RevocationReason.SUPERSEDED)
    store.revoked(made.id, START + timedelta(days=1), RevocationReason.KEY_COMPROMISE)
    store.revoked(made.id, START + timedelta(days=2), RevocationReason.UNSPECIFIED)
    known = store.version(made.id)
    assert known is not None
    assert known.revoked_at == START
    assert known.compromised
    assert [(row.kind, row.subject) for row in store.due(START + timedelta(days=2))] == [("certificate", "main")]


def test_many_boxes_are_all_found_and_replaced_only_where_they_still_stand(store: Store) -> None:
    for n in range(3):
        store.put_box("order", f"{n}", BOX)
    store.put_box("account", "le https://ca.example/dir", BOX)
    assert [(kind, owner) for kind, owner, _ in store.boxes()] == [
        ("account", "le https://ca.example/dir"),
        ("order", "0"),
        ("order", "1"),
        ("order", "2"),
    ]
    other = BOX._replace(kid="new")
    assert store.replace_box("order", "1", BOX, other)
    assert not store.replace_box("order", "1", BOX, other)
    assert not store.replace_box("order", "9", BOX, other)
    assert store.box("order", "1") == other
    store.drop_box("order", "1")
    store.drop_box("order", "1")
    assert store.box("order", "1") is None
