"""One thing that needs somebody, or that somebody should know."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

Severity = Literal["page", "tell"]
"""`page`: users get a broken certificate, or will within 24 hours (less, where lives are short). `tell`: everything else."""


class Kind(StrEnum):
    """What sort of thing it is, the worst first."""

    BROKEN = "broken"
    """Users get something that they refuse."""
    LATE = "late"
    """Its last safe moment is over and nobody renewed it, for no reason that is known."""
    SILENCE = "silence"
    """No run began for longer than the file says."""
    ORDER = "order"
    """Certificates that cannot be ordered."""
    PUSH = "push"
    """A push to a target fails."""
    RESTORED = "restored"
    DRIFT = "drift"
    CREDENTIALS = "credentials"
    """A target, solver or issuer refuses what we show it."""
    LABEL = "label"
    """The DNS name at which we prove control is in other hands."""
    ISSUER = "issuer"
    """A CA is away, limits us or refuses, and another one steps in."""
    STORE = "store"
    VAULT = "vault"
    CHECK = "check"
    """Anything else that a check found."""
    HOLD = "hold"
    """An order that is held back, for a CA's limits, beyond the last safe moment."""
    WAITING = "waiting"
    """A person must act; nothing failed."""
    PIN = "pin"
    """A rollback ends soon: then what is wanted is served again."""
    ORPHAN = "orphan"
    """It left the file, is served all the same, and will end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """It holds while the store says so, and ends by itself when it does not."""

    key: str
    """Stays the same while the cause does: `push/fastly/1f0c9a2b`."""
    kind: Kind
    severity: Severity
    state: Literal["fail", "wait", "warn"]
    """fail: something is wrong; wait: nothing failed, a person must act; warn: worth a look."""
    subject: str
    """What it is about, in a few words: `main → fastly`, `solver dnsimple`, `main, shop and 3 more`."""
    certificates: tuple[str, ...] = ()
    """All that are hit, those that need it first leading."""
    target: str | None = None
    since: datetime
    what: str
    """What happened."""
    now: str
    """What is served now and until when."""
    hint: str
    """What to type."""
    act_by: datetime | None = None
    """The last safe moment of whatever depends on it; None: nothing that we know of."""
    ripe: bool = True
    """Worth telling somebody who did not ask: it lasted longer than one run, or no run will mend it."""


def cause(words: str) -> str:
    """Equal for the same trouble told again: numbers and ids differ from time to time."""
    plain = re.sub(r"[0-9a-f]*[0-9][0-9a-f-]*", "#", words.lower())
    return hashlib.sha256(plain.encode()).hexdigest()[:8]
