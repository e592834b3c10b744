"""What is served somewhere, as seen or as the broker last knew, and when it ends. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from certbroker.safe import soon
from certbroker.watch.inventory import AtTarget, Entry, Expected
from certbroker.watch.looking import Look


@dataclass(frozen=True, slots=True)
class Served:
    """A version at a target, with its life and its last safe moment."""

    target: str
    standby: bool
    label: str
    starts: datetime
    ends: datetime
    act_by: datetime
    instead: str = ""
    """What is wanted there, where that is another one."""

    @property
    def length(self) -> timedelta:
        return self.ends - self.starts


def as_told(entry: Entry, at: AtTarget) -> Served:
    """The last of what may be served is what was there for sure."""
    version = version_of(entry, at.serves[-1])
    assert version is not None
    return _known(entry, at, version)


def _known(entry: Entry, at: AtTarget, version: Expected) -> Served:
    instead = "" if version.fingerprint == at.serves[0] else labels(entry, at.serves[:1])
    return Served(at.target, at.standby, version.label, version.starts, version.ends, version.act_by, instead)


def as_seen(look: Look) -> Served:
    """Of a look that agrees. A renewal that the inventory cannot know of has the time that a person would be woken for."""
    seen, version = look.seen, version_of(look.entry, look.seen.fingerprint)
    if version is not None:
        return _known(look.entry, look.at, version)
    assert seen.starts is not None
    assert seen.ends is not None
    act_by = seen.ends - soon(seen.ends - seen.starts)
    return Served(look.at.target, look.at.standby, "a newer one", seen.starts, seen.ends, act_by)


def version_of(entry: Entry, fingerprint: str | None) -> Expected | None:
    """One of those that may be served somewhere."""
    return next((each for each in entry.versions if each.fingerprint == fingerprint), None)


def labels(entry: Entry, fingerprints: Sequence[str]) -> str:
    """`v2 or v1`."""
    found = [version.label for each in fingerprints if (version := version_of(entry, each))]
    return " or ".join(found)
