"""Who may look, and what a browser may do with a page. Plain ASGI, around everything."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from certbroker.secret import Secret

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
OPEN: Final = ("/healthz",)
"""Says nothing but that it lives, so that whoever watches it needs no token."""


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Whom to let in. Without a token and a header everybody who reaches us: only right on loopback."""

    hosts: Collection[str]
    """Names under which we are spoken to, without port: any other `Host` is somebody's trick (DNS rebinding)."""
    token: Secret | None = None
    trusted_header: str | None = None
    """A header that a proxy in front sets for whom it has let in, and takes away from everybody else."""

    def lets_in(self, headers: Headers) -> bool:
        """By token or by the proxy's header, whichever is configured."""
        if self.trusted_header and headers.get(self.trusted_header, "").strip():
            return True
        if self.token is None:
            return self.trusted_header is None
        return _same(_shown(headers.get("authorization", "")), self.token.reveal())

    def answers_to(self, host: str) -> bool:
        """Whether that `Host` is one of ours."""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        return name.lower().rstrip(".") in self.hosts


class Guard:
    """Refuses other methods than GET and HEAD, other hosts, and whom the doorkeeper does not know."""

    def __init__(self, app: ASGIApp, doorkeeper: Doorkeeper) -> None:
        self._app = app
        self._doorkeeper = doorkeeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = self._refused(scope)
        await (refused or self._app)(scope, receive, guarded)

    def _refused(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("this page only shows\n", 405, {"allow": "GET, HEAD"})
        if not self._doorkeeper.answers_to(headers.get("host", "")):
            return PlainTextResponse("no such host here; [dashboard] hosts in the file names them\n", 421)
        if scope["path"] not in OPEN and not self._doorkeeper.lets_in(headers):
            return PlainTextResponse("a token is needed\n", 401, {"www-authenticate": 'Basic realm="certbroker"'})
        return None


def _shown(authorization: str) -> str:
    """The token that was shown: a Bearer's, or the password of any user of Basic (RFC 7617)."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _same(shown: str, token: str) -> bool:
    """In the same time, wherever they differ and however long they are."""
    return hmac.compare_digest(sha256(shown.encode()).digest(), sha256(token.encode()).digest())
