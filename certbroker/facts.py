"""What the planner is handed: everything known about one certificate at one moment, and what part of it a run is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from certbroker.failover import PassedOver
from certbroker.model import Certificate, KeyType, Live, Phase, Version, Window
from certbroker.policy import Wishes


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order in the journal that is not over. `placed`: the CA has it; `signing`: and the signing request too."""

    issuer: str
    placed: bool = True
    signing: bool = False


@dataclass(frozen=True, slots=True)
class VariantFacts:
    """What the store knows of certificate x key type."""

    wanted: Version | None = None
    window: Window | None = None
    before: tuple[Version, Window] | None = None
    """The version that the wanted one replaced, with what the CA had said of it."""
    key_revoked: bool = False
    """A version with the key of the wanted one is revoked."""
    finalized: datetime | None = None
    failures: int = 0
    try_again: datetime | None = None
    error: str | None = None
    held_until: datetime | None = None
    """It was due, and was put off until then."""
    open_orders: tuple[OpenOrder, ...] = ()
    """What earlier runs left behind, the newest first; one of them goes on whatever the rules say."""
    passed: tuple[PassedOver, ...] = ()
    """Issuers of its list that are, or were, passed over."""


@dataclass(frozen=True, slots=True)
class DeploymentFacts:
    """How far the wanted version is on (target, name)."""

    version_id: int
    phase: Phase
    try_again: datetime | None = None
    deadline: datetime | None = None
    why: str | None = None
    drifted: bool = False
    """It stands, and was observed to be not as wanted for a cause that a push can help."""
    drift: str = ""
    """How it was observed to differ, in words; also where no push can help."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A person rolled the target back to `version`: it stays there until `until`."""

    version: Version
    until: datetime
    why: str


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """One target of this certificate. `live` is None where nobody looked (offline, or nothing to do)."""

    name: str
    key_types: tuple[KeyType, ...]
    accept_untrusted: bool = False
    deployments: Mapping[str, DeploymentFacts] = field(default_factory=dict)
    live: Mapping[str, Live] | None = None
    trouble: str | None = None
    """Why it cannot be asked or written now."""
    heal: bool = False
    """The owner wants drift put right there unasked, also where a person did it."""
    agreed: frozenset[str] = frozenset()
    """Names at which what is there now may be replaced though it is not ours: the owner said so once."""
    theirs: bool = False
    """A person gave it back to the platform's own certificate."""
    pin: Pin | None = None
    """In force: neither lifted nor over, and its version is not revoked."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known about one certificate at `now`."""

    now: datetime
    every: timedelta
    certificate: Certificate
    variants: Mapping[KeyType, VariantFacts]
    targets: Mapping[str, TargetFacts]
    left_out: tuple[Version, ...] = ()
    """Versions of key types that the file does not name any more."""
    wishes: Mapping[str, Wishes] = field(default_factory=dict)
    """What the file wants of each issuer."""
    limited: tuple[PassedOver, ...] = ()
    """Issuers of a list that said so of our account, or of these names, on the occasion of another order."""
    test_issuers: frozenset[str] = frozenset()
    """Issuers known to be test CAs."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What part of the plan this run is about."""

    order: bool = True
    by_hand: str | None = None
    """`issue`: order now, for this reason."""
    targets: frozenset[str] | None = None
    ignore_backoff: bool = False
    tried: frozenset[tuple[KeyType, str]] = frozenset()
    """Issuers that were passed over for this certificate in this very run: `ignore_backoff` does not mean them."""
    yes: bool = False
    """The owner agreed to replace what is not ours."""
    heal: bool = False
    """`push`: also what drifted; `renew` only shows it."""
    take_over: frozenset[str] = frozenset()
    """Targets where ours also takes the place of the platform's own certificate."""
    store_id: str = ""
