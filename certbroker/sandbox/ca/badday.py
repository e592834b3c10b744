"""The CA's bad days, and its legal moods, each to be switched by a test. What breaks the line (resets, 503 HTML, silence)
is not here: `Simulator.faults` does that for every simulator."""

from __future__ import annotations

import email.utils
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

from certbroker.sandbox.ca.problem import Problem


@dataclass
class BadDays:
    """Everything off: an honest CA that answers at once."""

    rejected_nonces: float = 0.0
    """Share (0..1) of good nonces that are refused."""

    rate_limited: int = 0
    """So many of the next newOrders are answered 429."""
    rate_limit_seconds: int = 3600
    most_per_second: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Requests a second and at once, by the beginning of their path, the longest first; who is faster is answered 503."""
    refused_names: dict[str, Problem] = field(default_factory=dict)
    """newOrder refuses these names; several become subproblems."""
    terms_changed: bool = False
    """newOrder asks the owner to read new terms (userActionRequired)."""

    reuse_orders: bool = False
    """newOrder hands back a pending or ready order of the same account, names and profile."""
    reuse_authorizations: bool = False
    """New orders take over the account's valid authorizations."""

    offered: tuple[str, ...] | None = None
    """Only these challenge types are offered."""
    persist_identities: tuple[str, ...] | None = None
    """What a dns-persist-01 challenge says the CA goes by; None: as the directory."""
    validation_seconds: float = 0.0
    """From the answer to a challenge to its outcome."""
    validation_problems: dict[str, Problem] = field(default_factory=dict)
    """Validation fails for these names, whatever DNS says."""
    stuck_validations: bool = False
    """A started challenge stays `processing`."""

    finalize_seconds: float | None = None
    """None: finalize answers `valid`. Else the order is `processing` for so long, even if 0."""
    finalize_problem: Problem | None = None
    """The order ends `invalid` for this reason, after it was finalized."""

    retry_after: int | None = 1
    """Seconds named by `Retry-After` while an order is `processing`; None: the header is not sent."""
    retry_after_form: Literal["seconds", "date"] = "seconds"
    retry_after_zone: tzinfo = UTC
    """A date in another zone than UTC is written with its offset, which RFC 9110 forbids and servers do."""
    retry_after_on_authorizations: bool = False
    """Pebble does, boulder does not."""

    shown_status: dict[Literal["account", "order", "authorization", "challenge"], str] = field(default_factory=dict)
    """These objects claim another status than they have: `expired`, or one that no RFC knows."""
    identifier_type: str | None = None
    """Authorizations claim another identifier type than `dns`."""

    alternates_hidden: bool = False
    """No `Link: rel="alternate"` although there are some."""
    broken_alternates: int = 0
    """So many of the next alternates that are asked for are answered with garbage."""
    ari_seconds: int | None = 21600
    """`Retry-After` of renewal information; None: not sent."""

    def retry_after_header(self, now: datetime, seconds: int | None = None) -> dict[str, str]:
        """The header, in the form that is set."""
        wait = self.retry_after if seconds is None else seconds
        if wait is None:
            return {}
        if self.retry_after_form == "seconds":
            return {"Retry-After": str(wait)}
        moment = (now + timedelta(seconds=wait)).astimezone(self.retry_after_zone)
        return {"Retry-After": email.utils.format_datetime(moment, usegmt=self.retry_after_zone is UTC)}
