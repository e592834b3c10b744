"""What is remembered comes back as it was; a file that is not ours is left alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from certbroker.errors import UsageError
from certbroker.notices import AlertRow
from certbroker.watch.judging import judge
from certbroker.watch.memory import FORGOTTEN, Memory
from tests.clock import START
from tests.watch.given import inventory, looks, silent

TOLD = inventory()
FOUND = judge(TOLD, looks(TOLD, silent()), START + timedelta(days=12), within=timedelta(days=100)).conditions


def row(told: timedelta = timedelta()) -> AlertRow:
    return AlertRow(
        key="check/fly",
        way="tell.0.slack",
        kind="check",
        severity="tell",
        subject="main → fly",
        what="gone",
        since=START,
        first=START,
        told=START + told,
    )


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    memory = Memory.open(path, "here")
    assert (memory.before, memory.told, memory.inventory) == ((), (), None)
    memory.tell(row())
    memory.keep(FOUND, TOLD, START)
    again = Memory.open(path, "here")
    assert (again.before, again.told, again.inventory) == (FOUND, (row(),), TOLD)
    assert len(FOUND) == 3
    assert path.stat().st_mode & 0o777 == 0o600
    again.over(row())
    again.keep((), None, START)
    last = Memory.open(path, "here")
    assert (last.before, last.told, last.inventory) == ((), (), None)


def test_what_nobody_was_told_of_for_long_is_forgotten(tmp_path: Path) -> None:
    memory = Memory.open(tmp_path / "state.json", "here")
    memory.tell(row())
    memory.keep((), None, START + FORGOTTEN)
    assert memory.told == ()


def test_a_file_that_is_empty_remembers_nothing(tmp_path: Path) -> None:
    (tmp_path / "state.json").touch()
    assert Memory.open(tmp_path / "state.json", "here").before == ()


@pytest.mark.parametrize(
    "text",
    [
        TOLD.text(),
        b"{}",
        b"[]",
        b"no json",
        b'{"certbroker_watch": 2, "about": "here"}',
        b'{"certbroker_watch": 1, "about": "there"}',
        b'{"certbroker_watch": 1, "about": "here", "told": [{"key": "x"}]}',
    ],
)
def test_a_file_that_is_something_else_is_left_as_it_is(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(text)
    with pytest.raises(UsageError) as caught:
        Memory.open(path, "here")
    assert caught.value.hint
    assert path.read_bytes() == text


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        Memory.open(tmp_path, "here")


def test_without_a_file_it_lasts_as_long_as_we_do() -> None:
    memory = Memory.open(None, "here")
    memory.tell(row())
    memory.keep(FOUND, TOLD, START)
    assert (memory.before, memory.told) == (FOUND, (row(),))
