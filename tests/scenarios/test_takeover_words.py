"""Every word of a takeover and a handback, whole: what happened, what is served now and until when, what to type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from certbroker.store import HandoverRow
from certbroker.testkit.simulator import Fault, Response
from tests.golden import golden
from tests.scenarios.test_takeover import flydns, managed, prove
from tests.scenarios.test_words import told
from tests.scenarios.town import Town, town

MASKS = [
    (r"\b(?=[A-Za-z]*\d)[A-Za-z0-9]{22}\b", "ID-OF-22-LETTERS-OR-SO"),
    (r"\b[a-z2-7]{7}\.flydns\.net", "ID.flydns.net"),
    (r"\b[0-9a-f]{17}\.fastly-validations\.com", "ID.fastly-validations.com"),
]


def said(place: Town, *argv: str, ends: int = 0) -> str:
    text = told(place, *argv, ends=ends)
    for pattern, stands in MASKS:
        text = re.sub(pattern, stands, text)
    return text + "\n"


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Town]:
    """Fly and Fastly manage both names, and Fastly allows what nobody has documented."""
    with town(tmp_path / "town") as place:
        yield managed(place, moves=True)


def test_there(both: Town) -> None:
    words = said(both, "takeover", "main") + said(both, "takeover", "main", "--all")
    words += said(both, "takeover", "main", "--all", "--retire") + said(both, "takeover", "main")
    golden("words/takeover.txt", words)


def test_back(both: Town) -> None:
    both.run("takeover", "main", "--all")
    words = said(both, "takeover", "main", "--undo", "3", ends=2) + said(both, "takeover", "main", "--undo")
    words += said(both, "renew", ends=3)
    words += said(both, "takeover", "main", "--all")
    golden("words/takeover-undo.txt", words)


def test_refused(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        managed(place, moves=False)
        place.platform("fastly").add_configuration("second")
        golden("words/takeover-refused.txt", said(place, "takeover", "main", "--all", ends=1))


def test_what_stands_in_the_way(both: Town) -> None:
    """Before anything is touched: what proves no name, a platform that is away, steps out of order."""
    dnsimple, fly = both.house.dnsimple, both.platform("fly")
    words = said(both, "takeover", "main", "--step", "3", ends=2) + said(
        both, "takeover", "main", "--step", "9", ends=2
    )
    words += said(both, "takeover", "main", "--undo", ends=2) + said(both, "takeover", "main", "--retire", ends=2)
    fly.faults.append(Fault(Response.html(503, "later"), times=99))
    words += said(both, "takeover", "main")
    fly.faults.clear()
    dnsimple.faults.append(Fault(Response.of(401, {"message": "Authentication failed"}), times=99))
    words += said(both, "takeover", "main", "--step", "1", ends=1)
    dnsimple.faults.clear()
    both.configure(certificates=both.certificate(targets=("folder",)))
    words += said(both, "takeover", "main") + said(both, "handback", "main", "--target", "folder")
    words += said(both, "handback", "main", "--target", "fly-blue", ends=2)
    golden("words/takeover-stopped.txt", words)


def test_handed_back(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        managed(place, moves=True)
        place.run("takeover", "main", "--all", "--retire")
        place.house.dns.add(
            "example.com", "CAA", '0 issue "sandbox.certbroker.test; accounturi=https://ca.example/acct/1"'
        )
        words = said(place, "handback", "main", "--target", "fly-blue")
        words += said(place, "handback", "main", "--target", "fly-blue", "--all", ends=3)
        place.house.dns.remove("example.com", "CAA")
        words += said(place, "handback", "main", "--target", "fly-blue", "--step", "2", ends=2)
        prove(place)
        words += said(place, "handback", "main", "--target", "fly-blue", "--all")
        words += said(place, "handback", "main", "--target", "fly-blue", "--undo")
        golden("words/handback.txt", words)


def test_a_label_that_was_lent_by_a_run_that_died(both: Town) -> None:
    records = both.house.dnsimple.zones["example.com"].records
    for identity in [i for i, each in records.items() if each["name"] == "_acme-challenge"]:
        del records[identity]
    both.house.dns.remove("_acme-challenge.example.com", "CNAME")
    lent = {
        "solver": "dnsimple",
        "zone": "example.com",
        "name": "_acme-challenge.example.com",
        "target": flydns(both),
        "ttl": 300,
    }
    row = HandoverRow(
        certificate="main",
        flow="takeover",
        step="order",
        number=1,
        do="order",
        target=None,
        what="order main",
        way_back="",
        on_request=False,
        phase="begun",
        since=both.clock.now(),
        undo={"lent": [lent]},
    )
    with both.store() as store:
        store.put_handover([row])
    both.house.dnsimple.faults.append(Fault(Response.of(401, {"message": "Authentication failed"}), times=1))
    words = said(both, "renew", ends=1)
    both.house.dnsimple.faults.clear()
    both.later(hours=1)
    words += said(both, "renew", ends=1)
    assert both.house.dns.values("_acme-challenge.example.com", "CNAME") == [f"{flydns(both)}."]
    golden("words/takeover-lent.txt", words)
