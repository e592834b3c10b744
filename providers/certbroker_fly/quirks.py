"""Where the real Fly is inconsistent, undocumented or unlucky: the simulator can be it either way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class Quirks:
    """How this Fly behaves where the real one is inconsistent, undocumented or unlucky. The defaults are the likely ones."""

    status_style: Literal["production", "docs"] = "production"
    """The words of the top-level `status`: what production was seen to send, or what the documentation prints."""
    blanks: Literal["empty", "missing", "null"] = "empty"
    """How members without content are sent: empty arrays, left out, or null."""
    fractions: bool = False
    """Times with fractions of a second."""
    newest_first: bool = False
    """The order of the list; else by name."""
    extra_member: bool = False
    """Members and enum words that no document knows."""
    repost_conflicts: int = 0
    """So many uploads for a hostname that has a custom certificate already are answered 409."""
    one_app_per_name: bool = False
    """A custom certificate for a hostname that another app holds is refused, with `refusal_status`."""
    refusal_status: Literal[409, 422] = 422
    wildcards: bool = True
    """`*.a` in the certificate covers the hostname `x.a`."""
    old_keys: bool = True
    """PKCS#1 and SEC1 keys are taken."""
    malformed_status: Literal[400, 422] = 422
    """The answer to a body that is no JSON or lacks a member."""
    hides_apps: bool = False
    """An app that the token may not see is 404, not 403."""
    readonly_checks: bool = False
    """A read-only token may trigger a check."""
    rechecks_after: timedelta | None = timedelta(minutes=5)
    """A read this long after the last look at DNS looks again by itself; None: only a check looks."""
    ownership_lost: Literal["keep", "drop"] = "keep"
    """What becomes of an active custom certificate when a later look finds no proof."""
    expired_falls_back: bool = False
    """The edge serves Fly's own certificate once the custom one has expired."""
    warning: str | None = "No Fly-managed certificate: TLS connections to this hostname will fail."
    """Said when a custom certificate is deleted and none of Fly's is there."""
    rate_limit: bool = False
    """One request a second per app and action, three at once; then 429."""
    retry_after: bool = True
    """Whether that 429 says when to come back."""
    propagation: Mapping[str, timedelta] = field(default_factory=dict)
    """How long an edge address takes to serve a change; at once if it is not named."""
