"""A store to test with. `tests/interop/test_postgres_store.py` runs the same tests with `url` on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from certbroker.model import KeyType, Lifetime, Version
from certbroker.secret import Sealed
from certbroker.store import NewVersion, Store
from tests.clock import START, TestClock

BOX = Sealed("2026-11-abcd", b"wrapped", b"box")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/store.db?timeout=60"


@pytest.fixture
def other_url(tmp_path: Path) -> str:
    """A second, empty place of the same kind."""
    return f"sqlite:///{tmp_path}/other.db"


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def store(url: str, clock: TestClock) -> Iterator[Store]:
    with Store.open(url, clock) as opened:
        yield opened


def draft(
    fingerprint: str, *, certificate: str = "main", key_type: KeyType = KeyType.P256, rehearsal: bool = False
) -> NewVersion:
    """A version that looks issued; `fingerprint` is filled up to 64 digits."""
    return NewVersion(
        certificate=certificate,
        key_type=key_type,
        issuer="letsencrypt",
        profile="tlsserver",
        fingerprint=fingerprint.ljust(64, "0"),
        serial=2**159 + int(fingerprint, 16),
        issued_by="YE1",
        names=("example.com", "*.example.com"),
        lifetime=Lifetime(START, START + timedelta(days=45)),
        chain_pem="-----BEGIN CERTIFICATE-----\n",
        roots_pem=None,
        trusted=True,
        rehearsal=rehearsal,
        account_uri="https://ca.example/acct/1",
    )


def add(store: Store, new: NewVersion) -> Version:
    return store.add_version(new, lambda _id: BOX)
