"""Problem documents (RFC 7807) as ACME uses them (RFC 8555 6.7): what every refusal of the CA looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

URN: Final = "urn:ietf:params:acme:error:"
STATUS: Final = {
    "unauthorized": 403,
    "caa": 403,
    "orderNotReady": 403,
    "externalAccountRequired": 403,
    "userActionRequired": 403,
    "alreadyReplaced": 409,
    "rateLimited": 429,
    "serverInternal": 500,
}
"""The HTTP status of the types that are not plain 400s."""


class Problem(Exception):
    """Raised to refuse a request, or kept as the reason why something became invalid.

    Args:
        kind: the type without its URN prefix, e.g. `malformed`.
        status: HTTP status; by default the usual one of the type.
        name: the identifier it is about, for subproblems.
        extra: further members of the document.
        headers: sent beside it.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        status: int | None = None,
        name: str | None = None,
        subproblems: Sequence[Problem] = (),
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status or STATUS.get(kind, 400)
        self.name = name
        self.subproblems = tuple(subproblems)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": URN + self.kind, "detail": self.detail, "status": self.status, **self.extra}
        if self.name is not None:
            found["identifier"] = {"type": "dns", "value": self.name}
        if self.subproblems:
            found["subproblems"] = [problem.document() for problem in self.subproblems]
        return found
