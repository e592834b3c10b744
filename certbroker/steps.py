"""What a plan is made of: each step a value with its reason in words, and nothing done yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from certbroker.model import Assignment, Certificate, KeyType, Version

Exemption = Literal["window", "names"]
"""From a CA's limits: a renewal inside the window that it suggested is from all, one for the same names from some."""


@dataclass(frozen=True, slots=True)
class Order:
    """Ask `issuer` for a certificate. `replaces` is the version the CA is told it replaces."""

    certificate: str
    key_type: KeyType
    issuer: str
    names: tuple[str, ...]
    why: str
    replaces: Version | None = None
    instead: str | None = None
    """Why it is asked of this issuer and not of the one that the file prefers."""
    key_of: Version | None = None
    """Whose private key it keeps; None: it gets a new one."""
    key_why: str | None = None
    """Why, where the file wants keys to be kept."""
    exempt: Exemption | None = None
    latest: datetime | None = None
    """It can wait until then; None: as long as it must."""
    begun: bool = False
    """The CA has it already: to go on with it takes nothing of its limits."""
    otherwise: Order | None = None
    """The same at the issuer that the file names next, for where this one has no room in time."""


@dataclass(frozen=True, slots=True)
class Push:
    """Make `assignment.target` serve `version` (None: the one that this plan orders) for the assignment's names."""

    assignment: Assignment
    key_type: KeyType
    version: Version | None
    why: str
    foreign: tuple[str, ...] = ()
    """Names at which it replaces a certificate that is not ours."""
    take_over: bool = False
    """Also where the platform's own certificate is served and would be left alone."""


@dataclass(frozen=True, slots=True)
class Verify:
    """Look whether the edges serve what was pushed."""

    assignment: Assignment
    version: Version


@dataclass(frozen=True, slots=True)
class Restore:
    """Go on putting back what a push of `version` made worse."""

    assignment: Assignment
    version: Version


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that is not done now. `person`: somebody must act; else time does."""

    certificate: str
    target: str | None
    why: str
    person: bool = False
    hint: str | None = None
    until: datetime | None = None
    failed: bool = False
    pinned: bool = False
    """A person rolled it back, and a person lifts that."""
    key_type: KeyType | None = None
    """Which order is held, if it is one."""
    names: tuple[str, ...] = ()
    """Only these of the target's names; empty: all of them."""
    awaited: str | None = None
    """The issuer whose limits it waits for, if it is that: nothing failed, and nobody has to act."""

    @property
    def put_off(self) -> bool:
        """An order that nothing is wrong with, for which it is too early."""
        return self.target is None and self.until is not None and not self.failed


Step = Order | Push | Verify | Restore | Hold


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps for one certificate, in the order they are done; `remarks` need no step."""

    certificate: Certificate
    steps: tuple[Step, ...]
    remarks: tuple[str, ...] = ()
    next_look: datetime | None = None
    """When something is due again if these steps succeed."""

    @property
    def orders(self) -> tuple[Order, ...]:
        return tuple(step for step in self.steps if isinstance(step, Order))

    @property
    def pushes(self) -> tuple[Push, ...]:
        return tuple(step for step in self.steps if isinstance(step, Push))

    @property
    def holds(self) -> tuple[Hold, ...]:
        return tuple(step for step in self.steps if isinstance(step, Hold))

    @property
    def restores(self) -> tuple[Restore, ...]:
        return tuple(step for step in self.steps if isinstance(step, Restore))

    @property
    def verifies(self) -> tuple[Verify, ...]:
        return tuple(step for step in self.steps if isinstance(step, Verify))
