"""Issuers that are passed over: one row each, ended by a version from them, and forgotten in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from certbroker.failover import Cause, PassedOver
from certbroker.model import KeyType
from certbroker.store import Store
from tests.clock import START
from tests.store.fixtures import add, draft

P256 = KeyType.P256
LATER = PassedOver("letsencrypt", Cause.LIMITED, START, START + timedelta(hours=3), "429", 1)


def test_the_last_word_on_an_issuer_stands(store: Store) -> None:
    store.put_passed("main", P256, LATER)
    store.put_passed("main", P256, replace(LATER, times=2, cause=Cause.AWAY))
    store.put_passed("main", KeyType.RSA2048, LATER)
    assert store.passed("main", P256) == [replace(LATER, times=2, cause=Cause.AWAY)]
    assert store.passed("main", KeyType.RSA2048) == [LATER]
    assert store.passed("other", P256) == []


def test_a_version_from_that_issuer_ends_it_and_a_rehearsal_does_not(store: Store) -> None:
    other = replace(LATER, issuer="google")
    for passed in (LATER, other):
        store.put_passed("main", P256, passed)
    add(store, draft("01", rehearsal=True))
    assert store.passed("main", P256) == [other, LATER]
    add(store, draft("02"))
    assert store.passed("main", P256) == [other]


def test_it_is_forgotten_a_month_after_its_time(store: Store) -> None:
    store.put_passed("main", P256, LATER)
    store.prune(LATER.until + timedelta(days=30), keep_versions=1)
    assert store.passed("main", P256) == [LATER]
    store.prune(LATER.until + timedelta(days=31), keep_versions=1)
    assert store.passed("main", P256) == []
