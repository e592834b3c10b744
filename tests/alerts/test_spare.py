"""What is kept beside a store that refuses: whole or not at all, in the same blocks, and never in the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbroker.alerts.spare import MOST_WORDS, SIZE, Kept, Spare
from certbroker.standing import First
from certbroker.store import AlertRow
from tests.clock import START

ROW = AlertRow(
    key="store/broker-1",
    way="tell.0.slack",
    kind="store",
    severity="tell",
    subject="store",
    what="it is full",
    since=START,
    first=START,
    told=START,
)
FIRST = First("main", START, START, START)

rows = st.builds(
    replace,
    st.just(ROW),
    key=st.sampled_from(["store/broker-1", "push/fly/1", "late/main"]),
    way=st.sampled_from(["tell.0.slack", "page.0.webhook"]),
    what=st.text(),
)


def test_what_is_kept_is_read_again_and_the_file_never_grows(tmp_path: Path) -> None:
    path = tmp_path / "state" / "store.db.told"
    spare = Spare(path)
    assert not spare.write(Kept(START)), "no folder is made while something is wrong"
    assert spare.prepare(Kept())
    assert path.stat().st_mode & 0o777 == 0o600
    for kept in (Kept(START, FIRST, (ROW,), (("late/main", "tell.0.slack"),)), Kept(first=FIRST), Kept()):
        assert spare.write(kept)
        assert spare.read() == kept
        assert path.stat().st_size == SIZE


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff" * SIZE, b'{"since": "some day"}'])
def test_what_cannot_be_read_was_never_kept(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "told"
    path.write_bytes(damage)
    assert Spare(path).read() == Kept()
    assert Spare(path).write(Kept(START))
    assert Spare(path).read() == Kept(START)


def test_what_there_is_no_room_for_is_not_kept_by_halves(tmp_path: Path) -> None:
    spare, kept = Spare(tmp_path / "told"), Kept()
    for number in range(100):
        more = kept.telling(replace(ROW, key=f"late/{number}", what="x" * 1000))
        if not spare.holds(more):
            break
        kept = more
        assert spare.write(kept)
    assert 30 < len(kept.told) < 100
    assert not spare.write(more)
    assert spare.read() == kept
    assert {len(row.what) for row in kept.told} == {MOST_WORDS}


def test_a_link_that_somebody_put_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / "told").symlink_to(tmp_path / "other")
    assert not Spare(tmp_path / "told").write(Kept(START))
    assert (tmp_path / "other").read_text() == "mine"


@given(st.lists(rows, max_size=4), st.lists(st.tuples(st.booleans(), rows), max_size=8))
def test_laid_over_the_store_it_says_what_a_store_that_listens_would(
    stored: list[AlertRow], since: list[tuple[bool, AlertRow]]
) -> None:
    before = {(row.key, row.way): row for row in stored}
    listening, kept = dict(before), Kept()
    for over, row in since:
        if over:
            listening.pop((row.key, row.way), None)
            kept = kept.ending(row.key, row.way)
        else:
            listening[row.key, row.way] = replace(row, what=row.what[:MOST_WORDS])
            kept = kept.telling(row)
    told = kept.laid_over(before.values())
    assert {(row.key, row.way): row for row in told} == listening
    assert len(told) == len(listening)
