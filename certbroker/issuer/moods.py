"""What a CA said of one order that holds for others."""

from __future__ import annotations

from dataclasses import dataclass, field

from certbroker import limits
from certbroker.errors import IssuanceError, IssuerUnavailable, RateLimited
from certbroker.issuer.order import Work
from certbroker.issuer.request import OrderRequest
from certbroker.issuer.waiting import AGAIN
from certbroker.names import base_name


@dataclass
class Moods:
    """What the CA said of some orders that holds for the others too: it is not knocked at once for each."""

    away: list[IssuerUnavailable] = field(default_factory=list)
    limited: list[RateLimited] = field(default_factory=list)

    def against(self, request: OrderRequest) -> IssuanceError | None:
        """Why this one is not worth a try in this run: as many before it, in a row, found the CA away, or it meets their limit."""
        if len(self.away) >= AGAIN:
            return self.away[-1]
        return next((error for error in self.limited if _concerns(error, request)), None)

    def note(self, work: Work) -> None:
        outcome = work.outcome
        self.away = [*self.away, outcome] if isinstance(outcome, IssuerUnavailable) else []
        if isinstance(outcome, RateLimited):
            self.limited.append(outcome)


def _concerns(error: RateLimited, request: OrderRequest) -> bool:
    if error.subject is None or request.exempt == "window":
        return False
    return limits.concerns(error.subject, map(base_name, request.names))
