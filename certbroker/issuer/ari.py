"""ACME Renewal Information (RFC 9773): the CA says when a certificate shall be replaced."""

from __future__ import annotations

import random
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from certbroker.errors import IssuanceError
from certbroker.issuer.messages import moment, usable
from certbroker.keys import Leaf
from certbroker.model import Window

ASK_AGAIN: Final = timedelta(hours=6)
"""When the CA does not say when to ask again (RFC 9773 section 4.3.3)."""

SOONEST: Final = timedelta(minutes=1)
LATEST: Final = timedelta(days=1)
"""`Retry-After` is believed between these two (RFC 9773 section 4.3.2)."""


def certificate_id(leaf: Leaf) -> str | None:
    """The certID of RFC 9773 section 4.1: authority key identifier and serial. None if the leaf names no authority key."""
    if not leaf.authority_key_id or leaf.serial < 0:
        return None
    serial = leaf.serial.to_bytes(leaf.serial.bit_length() // 8 + 1, "big")  # DER INTEGER: room for the sign bit
    return f"{_base64url(leaf.authority_key_id)}.{_base64url(serial)}"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The CA's answer."""

    start: datetime
    end: datetime
    explanation_url: str | None

    @classmethod
    def read(cls, ca: str, value: Mapping[str, Any]) -> Suggestion:
        """Raises IssuanceError if it is no window that ends after it starts (RFC 9773 section 4.2)."""
        window = value.get("suggestedWindow")
        start = moment(window.get("start")) if isinstance(window, Mapping) else None
        end = moment(window.get("end")) if isinstance(window, Mapping) else None
        if start is None or end is None:
            raise IssuanceError(f"{ca} answered the renewal information without a readable window")
        if end <= start:
            raise IssuanceError(f"{ca} answered the renewal information with a window that ends before it starts")
        explanation = value.get("explanationURL")
        return cls(start, end, explanation if usable(explanation) else None)

    def draw(self, chance: random.Random, every: timedelta) -> datetime:
        """A moment in the window that a run every `every` surely meets before the end; a narrow window's start."""
        room = (self.end - self.start) - 2 * every
        if room <= timedelta():
            return self.start
        return self.start + timedelta(seconds=chance.uniform(0, room.total_seconds()))


def heard(
    old: Window | None,
    found: Suggestion,
    version_id: int,
    now: datetime,
    retry_after: float | None,
    chance: random.Random,
    every: timedelta,
) -> Window:
    """The answer as it is kept: our moment is drawn once a window, and again only if the window moved."""
    moved = old is None or (old.start, old.end) != (found.start, found.end)
    drawn = found.draw(chance, every) if old is None or moved else old.drawn
    return Window(version_id, found.start, found.end, drawn, now, ask_again(now, retry_after), found.explanation_url)


def unheard(old: Window, now: datetime, wait: float | None) -> Window:
    """No answer, or none that can be read: the old one holds. `wait`: seconds, as far as it is known."""
    return replace(old, asked_at=now, ask_again=ask_again(now, wait))


def ask_again(now: datetime, retry_after: float | None) -> datetime:
    """When to ask next."""
    if retry_after is None:
        return now + ASK_AGAIN
    seconds = min(max(retry_after, SOONEST.total_seconds()), LATEST.total_seconds())
    return now + timedelta(seconds=seconds)


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
