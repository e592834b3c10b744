"""The ways that somebody names: by what, and where its secret address is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from certbroker.secret import SecretRef


@dataclass(frozen=True, slots=True)
class Route:
    """A way to tell somebody. `url` leads to what only the sender may know: a token is part of it."""

    way: Literal["webhook", "slack", "smtp", "apprise"]
    url: SecretRef
    sender: str | None = None
    """smtp: whom the mail is from."""
    to: tuple[str, ...] = ()
    """smtp: whom it is for."""


class Routes(Protocol):
    """Whom to wake, and whom to tell all the rest."""

    @property
    def page(self) -> tuple[Route, ...]: ...
    @property
    def tell(self) -> tuple[Route, ...]: ...
