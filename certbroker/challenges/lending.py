"""A label that leads into somebody else's zone, ours for a while: its CNAME is taken away and put back as it was."""

from __future__ import annotations

from dataclasses import dataclass

from certbroker.challenges.locate import Locator
from certbroker.challenges.opened import Opened
from certbroker.challenges.records import Landing
from certbroker.challenges.solver import TTL, Alias, Lends
from certbroker.errors import CertbrokerError, NothingDone, ProviderError


@dataclass(frozen=True, slots=True)
class Lent:
    """A CNAME of ours to move, with all that puts it back. All of it can be JSON."""

    solver: str
    zone: str
    name: str
    target: str
    ttl: int


class Lending:
    """What the solvers of a run can do about CNAMEs."""

    def __init__(self, locator: Locator, opened: Opened) -> None:
        self._locator = locator
        self._opened = opened

    def of(self, name: str) -> Lent | None:
        """The CNAME at `name`, if a solver of ours can take it away and put it back; None if not, or if none stands there.

        Raises ProviderError if DNS or a service does not answer.
        """
        try:
            at = self._locator.own(name)
            solver = self._opened.in_dns(at.solver)
        except NothingDone:
            return None
        if not isinstance(solver, Lends):
            return None
        alias = solver.alias(at.zone, name)
        return Lent(at.solver, at.zone, name, alias.target, alias.ttl) if alias else None

    def planned(self, name: str, target: str) -> Lent | None:
        """A CNAME that is to stand at `name`; None if no solver of ours can write it. Raises ProviderError."""
        try:
            at = self._locator.own(name)
            solver = self._opened.in_dns(at.solver)
        except NothingDone:
            return None
        return Lent(at.solver, at.zone, name, target, TTL) if isinstance(solver, Lends) else None

    def writes_below(self, name: str) -> bool:
        """Whether a solver of ours can write a TXT at names below `name`."""
        try:
            self._locator.own(f"x.{name}")
        except (NothingDone, ProviderError):
            return False
        return True

    def take_away(self, lent: Lent) -> None:
        """Twice equals once; a proof for that name is written there from now on. Raises ProviderError or NothingDone."""
        self._solver(lent).take_away(lent.zone, lent.name, Alias(lent.target, lent.ttl))
        self._locator.settle(Landing(lent.name, lent.name, lent.zone, lent.solver))

    def put_back(self, lent: Lent) -> None:
        """Twice equals once. Raises ProviderError or NothingDone."""
        self._solver(lent).put_back(lent.zone, lent.name, Alias(lent.target, lent.ttl))
        self._locator.forget(lent.name)

    def _solver(self, lent: Lent) -> Lends:
        solver = self._opened.in_dns(lent.solver)
        if not isinstance(solver, Lends):
            raise NothingDone(f"the solver {lent.solver} of the file is another one now")
        return solver


def by_hand(lent: Lent, error: CertbrokerError) -> NothingDone:
    """What a person has to do where we could not."""
    return NothingDone(
        f"the CNAME {lent.name} could not be put back: {error.what}",
        hint=f"put it back: {lent.name}.  CNAME  {lent.target}.",
    )
