"""Where a deployment that made things worse can go back to, as a table."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from certbroker.deploy.way_back import Back, NoWay, is_back, way_back
from certbroker.model import KeyType, Lifetime, Live, Owner, Phase, Restorable, Version
from certbroker.probe import Verdict
from certbroker.store import DeploymentRow
from tests.deploy.test_verify import OLD, OTHER, seen
from tests.test_policy import START, version

NEW = version(id=2, number=2)
HELD = version(id=1, fingerprint=OLD)
NOW = START + timedelta(days=1)
GONE = replace(HELD, lifetime=Lifetime(START - timedelta(days=90), START))


def row(restorable: Restorable | None, before: Live | None = None) -> DeploymentRow:
    live = before or (Live(Owner.FOREIGN, restorable) if restorable else None)
    return DeploymentRow(
        version_id=2,
        target="fastly",
        name="example.com",
        certificate="main",
        key_type=KeyType.P256,
        phase=Phase.VERIFYING,
        since=START,
        before=live,
        restorable=restorable,
        before_seen={"192.0.2.1": OLD, "192.0.2.2": ""},
    )


def expired(restorable: Restorable) -> Live:
    return Live(Owner.FOREIGN, restorable, ends=NOW)


@pytest.mark.parametrize(
    ("before", "known", "way"),
    [
        pytest.param(row(Restorable.OURS), HELD, Back(HELD, "v1"), id="our version"),
        pytest.param(row(Restorable.KEPT), None, Back(None, "the certificate that was there before"), id="kept"),
        pytest.param(row(Restorable.MANAGED), None, Back(None, "the platform's own certificate"), id="managed"),
        pytest.param(row(Restorable.NO), None, "has not kept", id="nothing kept"),
        pytest.param(row(None), None, "served nothing there before", id="nothing there"),
        pytest.param(row(Restorable.OURS), replace(HELD, revoked_at=START), "v1.* is revoked", id="revoked"),
        pytest.param(row(Restorable.KEPT), replace(HELD, revoked_at=START), "v1.* is revoked", id="ours by another's hand"),
        pytest.param(row(Restorable.OURS), GONE, "v1.* has expired", id="expired"),
        pytest.param(row(Restorable.KEPT, expired(Restorable.KEPT)), None, "has expired", id="a foreign one that expired"),
        pytest.param(row(Restorable.OURS), None, "does not hold the version", id="forgotten"),
        pytest.param(row(Restorable.OURS), NEW, "v2 itself was there", id="the same"),
    ],
)  # fmt: skip
def test_nothing_goes_back_to_what_is_expired_revoked_or_not_there(
    before: DeploymentRow, known: Version | None, way: Back | str
) -> None:
    found = way_back(before, NEW, known, NOW)
    if isinstance(way, Back):
        assert found == way
    else:
        assert isinstance(found, NoWay)
        assert re.search(way, found.why)


def test_it_is_back_when_every_address_that_served_something_valid_serves_it_again() -> None:
    ours, managed = row(Restorable.OURS), row(Restorable.MANAGED)
    assert is_back(ours, [seen(Verdict.VALID, OLD)], NEW) == []
    assert is_back(ours, [seen(Verdict.VALID, OTHER)], NEW) == ["192.0.2.1 serves something else than before"]
    assert is_back(managed, [seen(Verdict.VALID, OTHER)], NEW) == []
    assert is_back(managed, [seen(Verdict.INVALID, OTHER)], NEW) == ["192.0.2.1 serves nothing valid"]
    assert is_back(ours, [seen(Verdict.REFUSED)], NEW) == ["192.0.2.1 serves nothing valid"]
    pushed = version(id=2, number=2, fingerprint=OTHER)
    assert is_back(managed, [seen(Verdict.VALID, OTHER)], pushed) == ["192.0.2.1 still serves v2"]
    assert is_back(ours, [], NEW) == ["192.0.2.1 is not looked at any more"]
