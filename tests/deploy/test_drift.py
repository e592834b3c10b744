"""What names the cause of a drift: every combination of wanted, said and seen, for each kind of platform, as grids.

The kinds differ in what they read back: Fastly tells serial and end, Fly only the end and nobody's name, a folder everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker import registry
from certbroker.deploy.causes import Cause
from certbroker.deploy.drift import Said, Unasked, Wanted, compare
from certbroker.model import KeyType, Lifetime, Live, Owner, Phase, Record, Restorable, Version
from certbroker.probe import Seen, Verdict
from certbroker.store import DeploymentRow
from tests.deploy.test_verify import seen
from tests.test_policy import START, version

KINDS = ("fastly", "files", "fly")
FOREIGN, PREVIOUS = "ef" * 32, "12" * 32
OLDER = version(
    fingerprint="cd" * 32, serial=4, lifetime=Lifetime(START - timedelta(days=60), START + timedelta(days=30))
)
NEWER_BY_HAND = version(fingerprint=FOREIGN, serial=77, lifetime=Lifetime(START, START + timedelta(days=120)))
OLDER_BY_HAND = replace(NEWER_BY_HAND, lifetime=Lifetime(START - timedelta(days=9), START + timedelta(days=10)))
NEW = version(id=2, number=2)
HERE = "192.0.2.1"

GRID = """
said          none             wanted       older         before        foreign       invalid       refused       unreachable
wanted        nobody-can-look  well         stale         stale         other-cdn     broken        broken        unreachable
silent        nobody-can-look  well         stale         stale         replaced      broken        broken        unreachable
pending       not-active       not-active   not-active    not-active    not-active    not-active    not-active    not-active
older         not-active       not-active   not-active    not-active    not-active    not-active    not-active    not-active
by-hand       replaced         replaced     replaced      replaced      replaced      replaced      replaced      replaced
newer-by-hand replaced         replaced     replaced      replaced      replaced      replaced      replaced      replaced
managed       managed          managed      managed       managed       managed       managed       managed       managed
other-store   other-store      other-store  other-store   other-store   other-store   other-store   other-store   other-store
nothing       removed          removed      removed       removed       removed       removed       removed       removed
unasked       unasked          well         stale         stale         replaced      broken        broken        unasked
"""
"""After the push of the wanted version."""

BEFORE_THE_PUSH = """
said          none             wanted       older         before        foreign       invalid       refused       unreachable
wanted        nobody-can-look  well         stale         stale         other-cdn     broken        broken        unreachable
pending       not-active       not-active   not-active    not-active    not-active    not-active    not-active    not-active
older         never-pushed     never-pushed never-pushed  never-pushed  never-pushed  never-pushed  never-pushed  never-pushed
by-hand       never-pushed     never-pushed never-pushed  never-pushed  never-pushed  never-pushed  never-pushed  never-pushed
newer-by-hand never-pushed     never-pushed never-pushed  never-pushed  never-pushed  never-pushed  never-pushed  never-pushed
managed       never-pushed     never-pushed never-pushed  never-pushed  never-pushed  never-pushed  never-pushed  never-pushed
other-store   other-store      other-store  other-store   other-store   other-store   other-store   other-store   other-store
nothing       never-pushed     never-pushed never-pushed  never-pushed  never-pushed  never-pushed  never-pushed  never-pushed
unasked       unasked          well         never-pushed  never-pushed  never-pushed  never-pushed  never-pushed  unasked
"""
"""The same while no push has been taken: a push that was cut may have arrived all the same."""

CANNOT_SAY: Mapping[str, tuple[str, ...]] = {
    "fastly": ("silent", "pending"),
    "files": ("silent", "pending", "managed"),
    "fly": ("other-store",),  # it has no tags: what another store wrote is somebody's
}


def cells(grid: str) -> Iterator[tuple[str, str, str]]:
    head, *lines = grid.strip().splitlines()
    for line in lines:
        row, *causes = line.split()
        yield from ((row, column, cause) for column, cause in zip(head.split()[1:], causes, strict=True))


ROWS = [
    pytest.param(kind, pushed, row, column, cause, id=f"{kind}-{'pushed' if pushed else 'unpushed'}-{row}-{column}")
    for kind in KINDS
    for pushed, grid in ((True, GRID), (False, BEFORE_THE_PUSH))
    for row, column, cause in cells(grid)
    if row not in CANNOT_SAY[kind]
]


def wanted(*, pushed: bool = True) -> Wanted:
    row = DeploymentRow(
        version_id=NEW.id,
        target="here",
        name="example.com",
        certificate="main",
        key_type=KeyType.P256,
        phase=Phase.COMMITTED if pushed else Phase.FAILED,
        since=START,
        pushed=START if pushed else None,
        before_seen={HERE: PREVIOUS},
    )
    return Wanted(NEW, row, {NEW.fingerprint: NEW, OLDER.fingerprint: OLDER})


def said(kind: str, word: str, *, pushed: bool) -> Said:
    """What `Saga.inspect` makes of what a platform of that kind can tell."""
    match word:
        case "nothing":
            return None
        case "unasked":
            return Unasked("it is away")
        case "silent":
            return Live(Owner.OURS, Restorable.OURS)
        case "managed":
            ends = START + timedelta(days=70) if "ends" in reads_back(kind) and kind == "fly" else None
            return Live(Owner.MANAGED, Restorable.MANAGED, ends=ends)
        case "wanted" | "pending":
            live = replace(read(kind, NEW, Owner.OURS), fingerprint=NEW.fingerprint)  # filled in from the store
            stands = Record("_x.example.com", "TXT", ("y",))
            return replace(live, pending=(stands,) if word == "pending" else ())
        case "older":
            if kind == "fly" and pushed:  # the store thinks that v2 is there: what is not v2 is nobody's at first
                return read(kind, OLDER, Owner.FOREIGN)
            return replace(read(kind, OLDER, Owner.OURS), fingerprint=OLDER.fingerprint)
        case "by-hand":
            return read(kind, OLDER_BY_HAND, Owner.FOREIGN)
        case "newer-by-hand":
            return read(kind, NEWER_BY_HAND, Owner.FOREIGN)
        case _:
            return replace(read(kind, NEWER_BY_HAND, Owner.OTHER_STORE), store="89abcdef")


def reads_back(kind: str) -> frozenset[str]:
    return registry.provider(kind).traits.reads_back


def read(kind: str, there: Version, owner: Owner) -> Live:
    told = reads_back(kind)
    return Live(
        owner,
        Restorable.KEPT,
        fingerprint=there.fingerprint if "fingerprint" in told else None,
        serial=there.serial if "serial" in told else None,
        issued_by=there.issued_by if "issued_by" in told else None,
        ends=there.lifetime.ends if "ends" in told else None,
    )


def look(word: str, host: str = HERE) -> list[Seen]:
    match word:
        case "none":
            return []
        case "wanted":
            return [replace(seen(Verdict.VALID, NEW.fingerprint, host), ends=NEW.lifetime.ends)]
        case "older":
            return [replace(seen(Verdict.VALID, OLDER.fingerprint, host), ends=OLDER.lifetime.ends)]
        case "before":
            return [seen(Verdict.VALID, PREVIOUS, host)]
        case "foreign":
            return [replace(seen(Verdict.VALID, FOREIGN, host), ends=NEWER_BY_HAND.lifetime.ends)]
        case "invalid":
            return [seen(Verdict.INVALID, NEW.fingerprint, host)]
        case "refused":
            return [seen(Verdict.REFUSED, None, host)]
        case _:
            return [seen(Verdict.UNREACHABLE, None, host)]


@pytest.mark.parametrize(("kind", "pushed", "row", "column", "cause"), ROWS)
def test_the_cause_of_every_combination(kind: str, pushed: bool, row: str, column: str, cause: str) -> None:
    assert compare(wanted(pushed=pushed), said(kind, row, pushed=pushed), look(column)).cause == cause


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_tried_in_all_that_it_can_say(kind: str) -> None:
    mine = [row.values for row in ROWS if row.values[0] == kind]
    assert len(mine) >= 27
    said_ones = {row for row, _, _ in cells(GRID)}
    assert {values[2] for values in mine} == said_ones - set(CANNOT_SAY[kind])
    assert {str(values[4]) for values in mine} | {"never-issued", "managed", "other-store"} == {*Cause}


def test_nothing_wanted_is_never_issued_whatever_is_served() -> None:
    assert compare(None, None, look("foreign")).cause is Cause.NEVER_ISSUED


def test_the_worst_edge_is_the_cause_and_named_alone() -> None:
    there = said("files", "wanted", pushed=True)
    stale = look("older", "192.0.2.2")
    found = compare(wanted(), there, [*look("wanted"), *stale])
    assert found.cause is Cause.STALE
    assert found.shown_by == tuple(stale)
    broken = look("refused", "192.0.2.3")
    found = compare(wanted(), there, [*look("wanted"), *stale, *broken, *look("foreign", "192.0.2.4")])
    assert found.cause is Cause.BROKEN
    assert found.shown_by == tuple(broken)


def test_an_edge_that_could_be_reached_before_the_push_is_missed() -> None:
    there = said("fastly", "wanted", pushed=True)
    gone = look("unreachable", HERE)
    found = compare(wanted(), there, [*look("wanted", "192.0.2.2"), *gone])
    assert found.cause is Cause.UNREACHABLE
    assert found.shown_by == tuple(gone)


def test_what_the_platform_says_it_serves_is_no_other_cdn() -> None:
    """The end that Fly tells of the certificate it calls ours is the one that the edge shows: then nobody is in front."""
    same_end = replace(look("foreign")[0], ends=NEW.lifetime.ends)
    live = Live(Owner.OURS, Restorable.OURS, ends=NEW.lifetime.ends)
    assert compare(wanted(), live, [same_end]).cause is Cause.REPLACED


@given(st.lists(st.sampled_from(["wanted", "older", "before", "foreign", "invalid", "refused"]), min_size=1))
def test_an_edge_that_cannot_be_reached_changes_nothing_beside_one_that_can(words: list[str]) -> None:
    looks = [each for number, word in enumerate(words) for each in look(word, f"198.51.100.{number}")]
    away = look("unreachable", "203.0.113.1")
    there = said("fastly", "wanted", pushed=True)
    assert compare(wanted(), there, looks) == compare(wanted(), there, [*away, *looks])


def test_each_cause_is_fine_or_unknown_or_a_drift() -> None:
    for cause in Cause:
        assert cause.fine + cause.unknown + cause.healable <= 1
    assert {cause for cause in Cause if not (cause.fine or cause.unknown or cause.healable)} == {
        Cause.OTHER_STORE,
        Cause.OTHER_CDN,
        Cause.NEVER_ISSUED,
    }
