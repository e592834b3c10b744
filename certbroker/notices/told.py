"""What was told, and what nobody wants to hear: rows of whatever remembers them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """A condition that was told on a way. `since`: when it began; `first` and `told`: when it was told first and last."""

    key: str
    way: str
    kind: str
    severity: Literal["page", "tell"]
    subject: str
    what: str
    since: datetime
    first: datetime
    told: datetime


@dataclass(frozen=True, slots=True)
class MuteRow:
    """Nobody is told of `what` (a certificate, a target, a condition's key) until then."""

    what: str
    until: datetime
    why: str
    actor: str
    at: datetime
