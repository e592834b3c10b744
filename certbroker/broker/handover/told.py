"""What a takeover or handback has to say, as values; the command line prints them, `--json` gives them as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from certbroker.broker.report import State, Trouble

STATES = {
    "open": State.NONE,
    "begun": State.FAIL,
    "waiting": State.WAIT,
    "done": State.OK,
    "undoing": State.FAIL,
    "undone": State.NONE,
}


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a step. "untouched": it failed, "not yet": it waits, and nothing was changed."""

    how: Literal["done", "waiting", "failed", "untouched", "not yet"]
    why: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class StepView:
    """One step as it stands. `before` and `after`: what the edges served, if this run carried it out."""

    number: int
    step: str
    state: State
    phase: str
    what: str
    way_back: str
    on_request: bool
    why: str = ""
    hint: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Handover:
    """The whole flow. `now`: what the edges serve at the end. `next`: what to type to go on."""

    certificate: str
    flow: str
    names: tuple[str, ...]
    steps: tuple[StepView, ...]
    remarks: tuple[str, ...]
    troubles: tuple[Trouble, ...]
    now: str
    summary: str
    next: str
    exit_code: int
