"""What became of one certificate in a run, collected on the way and told at its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from certbroker.broker.report import Line
from certbroker.errors import CertbrokerError
from certbroker.model import Version
from certbroker.plan import Hold


@dataclass
class Done:
    """What became of one certificate in this run."""

    certificate: str
    held_by: str | None = None
    ordered: list[Version] = field(default_factory=list)
    order_errors: list[CertbrokerError] = field(default_factory=list)
    stepped_in: list[str] = field(default_factory=list)
    """Issuers that did not deliver, and who stepped in."""
    waits: list[str] = field(default_factory=list)
    """Why it is not ordered yet: a person has to act."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long the order ("") and each target took."""
    holds: list[Hold] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    verified: list[str] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)
    rehearsal: bool = False
    revoked: list[str] = field(default_factory=list)
    """What was revoked, in words."""
    imported: list[Version] = field(default_factory=list)
    said: list[Line] = field(default_factory=list)
    """What is to be known of what was imported."""
