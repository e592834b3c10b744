"""Why and when each key type of a certificate renews, in the planner's words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from certbroker import policy
from certbroker.config import Config
from certbroker.model import Certificate, KeyType, Version, Window
from certbroker.standing.gathering import put_off
from certbroker.standing.words import minute
from certbroker.store import Store


@dataclass(frozen=True, slots=True)
class Renewal:
    """One key type of a certificate. `start` and `end`: the window that the CA asks for, if it told one."""

    key_type: KeyType
    version: Version | None
    due: str
    """Why it is due now; empty if it is not."""
    at: datetime | None
    why: str
    """Where that moment comes from."""
    start: datetime | None = None
    end: datetime | None = None
    explanation_url: str | None = None
    held: str = ""
    """That it is due and put off, until when and why; empty if it is not."""


def renewals(store: Store, config: Config, certificate: Certificate, now: datetime) -> Iterator[Renewal]:
    """In the order of the file. From the store alone."""
    variants = store.variants(certificate.name)
    for key in certificate.keys:
        version = variants[key].wanted if key in variants else None
        window = store.window(version.id) if version else None
        s = policy.Situation(now, config.every, key, certificate.names, certificate.issuers, version, window)
        due = policy.reason_to_order(s) or ""
        waits = put_off(variants[key], now) if key in variants else None
        held = waits.words() if waits else ""
        if version is None:
            yield Renewal(key, None, due, None, "", held=held)
            continue
        moment, why = policy.renewal_moment(s), whence(window)
        if window is None:
            yield Renewal(key, version, due, moment, why, held=held)
        else:
            yield Renewal(key, version, due, moment, why, window.start, window.end, window.explanation_url, held)


def whence(window: Window | None) -> str:
    """Where the moment of a renewal comes from."""
    if window is None:
        return "the CA gave no window; the backstop is two thirds of its life"
    return f"the CA asks for {minute(window.start)} to {minute(window.end)}"
