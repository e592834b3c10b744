"""Log, history and wide event have one schema, and it is written down."""

from __future__ import annotations

import io
import json
import re
import types
import typing
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from certbroker import events
from certbroker.events import Attempted, Event, Stepped
from certbroker.saying import Aside
from certbroker.standing.told import of_event, of_row
from certbroker.store import Store
from certbroker.telemetry import JsonLog
from certbroker.telemetry.spans import trace
from tests.clock import START, TestClock

KINDS = sorted(
    (each for each in vars(events).values() if isinstance(each, type) and issubclass(each, Event) and each.kind),
    key=lambda each: each.kind,
)
README = (Path(events.__file__).parent / "telemetry" / "README.md").read_text()
FLAT = {"id", "at", "level", "message", "run", "kind", "certificate", "target", "name"}


def sample(kind: type[Event]) -> Event:
    """One with a value in every field."""
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {f.name: _value(f.name, hints[f.name]) for f in fields(kind)}
    return kind(**values)


def _value(name: str, hint: Any) -> Any:
    if isinstance(hint, types.UnionType):
        hint = next(each for each in typing.get_args(hint) if each is not type(None))
    if typing.get_origin(hint) is tuple:
        return (f"one {name}", f"another {name}")
    made = {
        str: f"the {name}",
        int: 3,
        float: 1.23456,
        bool: True,
        datetime: datetime(2026, 12, 1, 2, 3, 4, tzinfo=UTC),
    }
    return "ab" * 16 if name == "trace" else made[hint]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_line_of_the_log_is_a_row_of_the_history(kind: type[Event], tmp_path: Path) -> None:
    event = sample(kind)
    told = io.StringIO()
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}", TestClock()) as store:
        store.begin_run("k3mz7q", command="renew", actor="a", host="b", reason=None, digest="", started=START)
        store.record(event)
        JsonLog(Aside(told, TestClock(), as_json=True), lambda: store.run)(event)
        (row,) = store.history()
    line = json.loads(told.getvalue())
    kept = json.loads(json.dumps(of_row(row)))
    assert kept.pop("id") == row.id
    assert line == kept
    assert list(line) == list(kept)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_no_field_of_a_kind_hides_one_that_all_have(kind: type[Event]) -> None:
    assert not FLAT & set(sample(kind).data())


def test_kinds_are_told_apart() -> None:
    assert len({kind.kind for kind in KINDS}) == len(KINDS) > 25


def test_a_wide_event_is_the_root_of_its_trace() -> None:
    event = sample(Attempted)
    assert isinstance(event, Attempted)
    (root,) = trace(event, (), "k3mz7q")
    assert {each.key for each in root.attributes} == {f"certbroker.{key}" for key in of_event(event, "k3mz7q")}


@pytest.mark.parametrize("kind", [Event, Attempted, Stepped], ids=lambda kind: kind.__name__)
def test_every_field_is_written_down(kind: type[Event]) -> None:
    documented = {
        name for row in re.findall(r"^\| (`.+?) \|", README, re.MULTILINE) for name in re.findall(r"`([a-z_]+)`", row)
    }
    assert {f.name for f in fields(kind)} <= documented
