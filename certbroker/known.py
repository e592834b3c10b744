"""All that bears on how one certificate stands: the rows of the store that say it, put together (`store/known.py`). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from certbroker.model import KeyType, Lifetime, Phase
from certbroker.safe import DEFAULT, Allowance


@dataclass(frozen=True, slots=True)
class Place:
    """A target that is to serve `names` of it. `standby`: users are not sent there."""

    target: str
    names: tuple[str, ...]
    standby: bool = False


@dataclass(frozen=True, slots=True)
class Issued:
    """A version, as far as it matters here. `renews`: when it is to be renewed if nothing else happens."""

    id: int
    label: str
    fingerprint: str
    life: Lifetime
    revoked_at: datetime | None = None
    renews: datetime | None = None
    took: timedelta | None = None
    """From the start of its order until we had it."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """A key type: what is wanted of it, and how its last order failed, if it did."""

    wanted: Issued | None = None
    error: str | None = None
    failing_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """One version on one target for one name: a row of the saga."""

    version: Issued
    target: str
    name: str
    phase: Phase
    since: datetime
    begun: datetime | None = None
    failures: int = 0
    why: str = ""
    hint: str = ""
    before_ends: datetime | None = None
    """When what the platform served before the push ends, if it told."""


@dataclass(frozen=True, slots=True)
class Look:
    """The last look at one edge for one name; `verdict` is the probe's word."""

    target: str
    name: str
    edge: str
    at: datetime
    verdict: str
    fingerprint: str | None = None
    ends: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Drift:
    """What stands there was observed not to be as wanted."""

    target: str
    name: str
    what: str
    hint: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Pinned:
    """A person rolled the target back to `version`."""

    version: Issued
    until: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """All that the store knows of one certificate that bears on how it stands."""

    certificate: str
    places: tuple[Place, ...] = ()
    keys: tuple[KeyType, ...] = ()
    """In the order of the file: a target gets the first that it accepts."""
    orderings: Mapping[KeyType, Ordering] = field(default_factory=dict)
    puts: tuple[Put, ...] = ()
    looks: tuple[Look, ...] = ()
    drifts: tuple[Drift, ...] = ()
    pins: Mapping[str, Pinned] = field(default_factory=dict)
    """By target."""
    waits: str | None = None
    """What a person must do before it can be ordered."""
    allowance: Allowance = DEFAULT
