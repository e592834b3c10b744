"""Why renew, and when. Small rules; each answers in words or stays silent, and the first answer wins.

The words go unchanged to `plan`, `status`, the log and the history, so all of them always agree. Everything counts in
fractions of a lifetime, never in days: six-day certificates exist.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from certbroker.model import KeyType, Lifetime, Version, Window

BACKSTOP: Final = 2 / 3
"""Renew when this much of the life is over and the CA has not said when (Let's Encrypt integration guide)."""

LATEST: Final = 5 / 6
"""Renew when this much is over whatever the CA says: a window beyond it is a mistake."""

MINIMUM_BETWEEN_ORDERS: Final = timedelta(minutes=5)
"""No certificate is finalized twice within this time, whatever else is wrong: the floor that no bug gets under."""


ASK_AGAIN: Final = timedelta(hours=6)
"""When to ask a CA for renewal information that has not given any yet."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the rules look at for one variant. `every`: the time between two runs."""

    now: datetime
    every: timedelta
    key_type: KeyType
    names: tuple[str, ...]
    issuers: tuple[str, ...]
    have: Version | None
    window: Window | None = None
    before: tuple[Version, Window] | None = None
    """The version that `have` replaced, with what the CA had said of it; None if it had said nothing."""


Rule = Callable[[Situation], str | None]


def never_issued(s: Situation) -> str | None:
    return "never issued" if s.have is None else None


def revoked(s: Situation) -> str | None:
    return "it is revoked" if s.have and s.have.revoked_at else None


def names_added(s: Situation) -> str | None:
    """Literally: some platforms want each name they serve in the SAN itself, not under a star."""
    if s.have is None:
        return None
    missing = [name for name in s.names if name not in s.have.names]
    return f"not covered: {', '.join(missing)}" if missing else None


def issuer_left(s: Situation) -> str | None:
    if s.have is None or s.have.issuer in s.issuers:
        return None
    return f"issued by {s.have.issuer}, the file says {' or '.join(s.issuers)}"


def ca_asks(s: Situation) -> str | None:
    w = s.window
    if w is None or s.have is None or w.version_id != s.have.id or s.now < renewal_moment(s):
        return None
    if w.drawn > s.now:  # the backstop speaks for itself
        return None
    because = f" ({w.explanation_url})" if w.explanation_url else ""
    return f"the CA asks for renewal between {w.start:%a %d %b %H:%M} and {w.end:%a %d %b %H:%M} UTC{because}"


def late_in_life(s: Situation) -> str | None:
    if s.have is None or s.now < renewal_moment(s):
        return None
    over = (s.now - s.have.lifetime.starts) / s.have.lifetime.length
    return f"{min(over, 1):.0%} of its life is over, it ends {s.have.lifetime.ends:%a %d %b %H:%M} UTC"


RULES: Final[tuple[Rule, ...]] = (never_issued, revoked, names_added, issuer_left, ca_asks, late_in_life)


def reason_to_order(situation: Situation) -> str | None:
    """The first rule's words, or None if nothing is due."""
    return next((words for rule in RULES if (words := rule(situation))), None)


def renewal_moment(s: Situation) -> datetime:
    """When `have` is renewed if nothing else happens. It must not be None."""
    assert s.have is not None
    if s.have.revoked_at is not None:
        return s.now
    asked = s.window is not None and s.window.version_id == s.have.id
    return planned(s.have.lifetime, s.window.drawn if s.window and asked else None)


def planned(life: Lifetime, drawn: datetime | None) -> datetime:
    """When a version that is not revoked is renewed. `drawn`: our moment in the CA's window, if it gave one."""
    return life.at(BACKSTOP) if drawn is None else min(drawn, life.at(LATEST))


def in_a_loop(s: Situation) -> datetime | None:
    """Until when the CA is not believed that says of each new certificate that it shall be renewed at once.

    Once is believed, as in a mass revocation. Twice in a row, within a fiftieth of a life each, is a mistake that would order
    for ever. None: nothing of that kind.
    """
    if s.have is None or s.before is None or s.have.revoked_at or not ca_asks(s):
        return None
    older, asked = s.before
    young = older.lifetime.at(_YOUNG)
    if asked.drawn >= young or s.have.lifetime.starts >= young:
        return None
    until = s.have.lifetime.at(_YOUNG)
    return until if s.now < until else None


def last_safe_moment(s: Situation) -> datetime | None:
    """Until when an order may be put off for the CA's limits; None: nothing is served that could run out."""
    if s.have is None:
        return None
    return s.now if s.have.revoked_at else s.have.lifetime.at(LATEST)


def can_wait(until: datetime, latest: datetime | None, every: timedelta) -> bool:
    """Whether what may be put off until `latest` may wait for `until`, with two runs to spare; never where nothing is served."""
    return latest is not None and until + 2 * every <= latest


def time_to_ask(window: Window | None, finalized: datetime | None, now: datetime) -> bool:
    """Whether the CA is asked when to renew: when it said so, and of a version that is hours old and was never asked about."""
    if window is not None:
        return window.ask_again <= now
    return finalized is None or now - finalized >= ASK_AGAIN


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the file wants of an issuer's certificates beyond their names; it waits for the next renewal."""

    profile: str | None = None
    preferred_chain: str | None = None


def remarks(s: Situation, wishes: Wishes) -> tuple[str, ...]:
    """What differs from the file and waits for the next renewal."""
    if s.have is None:
        return ()
    found = (_surplus(s, s.have), _other_profile(s.have, wishes.profile), other_chain(s.have, wishes.preferred_chain))
    return tuple(text for text in found if text)


def left_out(have: Version) -> str:
    """A version of a key type that the file does not name any more: it is kept, and nothing else happens to it."""
    return f"{have.key_type} left the file: {have.label} is kept until {have.lifetime.ends:%a %d %b %Y}, not renewed and not pushed"


def _surplus(s: Situation, have: Version) -> str | None:
    surplus = [name for name in have.names if name not in s.names]
    return f"still covers {', '.join(surplus)}; left out at the next renewal" if surplus else None


def _other_profile(have: Version, profile: str | None) -> str | None:
    if profile is None or have.profile == profile:
        return None
    return f"profile {have.profile or 'default'} becomes {profile} at the next renewal"


def other_chain(have: Version, preferred: str | None) -> str | None:
    """Its chain does not end where the file prefers: that the CA has no such chain, or that it is asked for next time."""
    if preferred is None or have.root == preferred:
        return None
    if have.roots_seen and preferred not in have.roots_seen:
        return f"{have.issuer} offers no chain to {preferred}; it has {', '.join(have.roots_seen)}"
    return f"the chain to {have.root} becomes one to {preferred} at the next renewal"


_YOUNG: Final = 1 / 50
"""A certificate that has lived no longer than that is new."""

_STEPS: Final = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=100), timedelta(days=1))


def order_backoff(failures: int, asked: float | None = None, left: timedelta | None = None) -> timedelta:
    """How long to wait after the n-th failed order in a row: 1, 10, 100 minutes, then daily; never less than the CA asked (seconds).

    `left`: until the present certificate ends: no more than a share of it is waited, so that a CA that comes back late is in time.
    """
    return max(unhurried(_STEPS[min(failures, len(_STEPS)) - 1], left), timedelta(seconds=asked or 0))


def unhurried(wait: timedelta, left: timedelta | None) -> timedelta:
    """`wait`, but at most a quarter of what is left of the present certificate; never less than ten minutes for that."""
    return wait if left is None else min(wait, max(left / 4, _STEPS[1]))


_PUSH_STEPS: Final = (timedelta(0), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))


def push_backoff(failures: int, asked: float | None = None) -> timedelta:
    """The same for a target: the very next run tries again, then ever more rarely."""
    return max(_PUSH_STEPS[min(failures, len(_PUSH_STEPS)) - 1], timedelta(seconds=asked or 0))


_RESTORED_STEPS: Final = (timedelta(hours=1), timedelta(hours=6), timedelta(days=1))


def restored_backoff(failures: int) -> timedelta:
    """After a push that had to be put back: each new try may break an edge for a moment, so they are rare."""
    return _RESTORED_STEPS[min(failures, len(_RESTORED_STEPS)) - 1]
