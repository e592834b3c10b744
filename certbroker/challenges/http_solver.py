"""The contract of a solver for http-01 (RFC 8555 section 8.3): who can answer where the CA asks. Small enough to read aloud.

The CA asks `http://NAME/.well-known/acme-challenge/TOKEN` on port 80, and wants the key authorization. It follows redirects, also
to https, and does not look at the certificate there. Whether it will find our answer is not tried from here beforehand: a machine
often cannot reach its own public address (split-horizon DNS, no hairpin NAT), so what we saw would mean little either way; a
failed challenge tells, in the CA's words, what the CA saw.

As solvers of TXT records do, these raise only `ProviderError`s, do not retry, and need no memory of their own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol, Self

from certbroker.errors import Rejected
from certbroker.model import Standing

if TYPE_CHECKING:
    from pydantic import BaseModel

    from certbroker.challenges.solver import SolverContext

FOLDER: Final = ".well-known/acme-challenge"
"""Below the root of the name."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,200}")


class HttpSolver(Protocol):
    """One configured `[solver.NAME]` that answers over HTTP. Thread-safe; one run, one instance."""

    puts: ClassVar[Literal["http"]]
    settings: ClassVar[type[BaseModel]]
    """Its own settings model; the core validates the table `[solver.NAME]` (its own keys taken out) with it."""

    @classmethod
    def open(cls, settings: Any, context: SolverContext) -> Self:
        """Make the instance. No network, no secret is resolved here."""
        ...

    def present(self, name: str, token: str, key_authorization: str) -> str:
        """Answer for `name` (a DNS name or an IP address) from now on. Twice equals once. Returns a handle for the journal."""
        ...

    def clean_up(self, name: str, token: str, key_authorization: str, handle: str | None) -> None:
        """Stop. Already gone is fine; what holds another key authorization is not ours and stays."""
        ...

    def check(self, *, write: bool = False) -> Standing:
        """Whether it could answer; leaves nothing behind. Asked before an order, too."""
        ...


def token_of(key_authorization: str) -> str:
    """The token that a key authorization (RFC 8555 section 8.1) begins with.

    Raises Rejected if it could be anything but one segment of a path: it comes from outside, and becomes a file's name.
    """
    token = key_authorization.partition(".")[0]
    if not _TOKEN.fullmatch(token):
        raise Rejected("the CA's token is none that can be part of a URL's path")
    return token
