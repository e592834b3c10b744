"""What is asked of an issuer, and what can come of it."""

from __future__ import annotations

from dataclasses import dataclass

from certbroker.challenges import Means
from certbroker.challenges.means import PLAIN
from certbroker.errors import IssuanceError, LeaseHeld, NothingDone, ProviderError
from certbroker.model import KeyType, Version
from certbroker.steps import Exemption

Refusal = IssuanceError | ProviderError | NothingDone | LeaseHeld
"""What can come of a request instead of a version."""


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What the planner wants from a CA. `replaces` is the version the CA is told it replaces (RFC 9773)."""

    certificate: str
    key_type: KeyType
    names: tuple[str, ...]
    why: str
    replaces: Version | None = None
    key_of: Version | None = None
    """The version whose private key it keeps; None: it gets a new one."""
    rehearsal: bool = False
    means: Means = PLAIN
    """How its names are to be proven; the account is filled in."""
    exempt: Exemption | None = None
    """What the CA's limits do not count of it, for the ledger."""


@dataclass(frozen=True, slots=True)
class CaaProblem:
    """What a CAA record says against an order. `forbids`: the CA would refuse; else it is worth a look."""

    forbids: bool
    what: str
    hint: str
