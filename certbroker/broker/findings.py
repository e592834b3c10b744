"""A finding: one answer of a check about one subject. Kept in the store, so `status`, alerts and the exit code know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from certbroker import events
from certbroker.broker.desk import Desk
from certbroker.broker.report import State
from certbroker.errors import VaultError
from certbroker.store import FindingState

_STATES: Final[dict[State, FindingState]] = {State.OK: "ok", State.WARN: "warn", State.FAIL: "fail"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer: ok, warn or fail, about one subject."""

    state: State
    kind: str
    name: str
    what: str
    hint: str = ""
    now: str = ""


def remember(desk: Desk, finding: Finding) -> bool:
    """Into the store; True (and an event) if the state changed."""
    now = desk.world.clock.now()
    event = events.Checked(
        at=now, subject=f"{finding.kind}/{finding.name}", state=finding.state.value, what=finding.what
    )
    changed = desk.store.put_finding(
        finding.kind, finding.name, _STATES[finding.state], finding.what, finding.hint or None, events=[event]
    )
    if changed:
        desk.emit(event)
    return changed


def unopened(desk: Desk, error: VaultError) -> Finding:
    """What was sealed cannot be opened."""
    return Finding(State.FAIL, "vault", desk.vault_url, error.what, error.hint or "")
