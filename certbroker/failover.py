"""Who steps in when the issuer that the file prefers does not deliver: small decisions, each with its words.

A list of issuers is an order of preference. One that is away, that limits us, or that does not sign such a certificate by
its own policy is passed over for a while and the next one is asked. A mistake that is ours (a proof that is not there, CAA,
terms nobody agreed to) would only be made twice: then nobody steps in. A limit has an end, and what can wait for it waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certbroker.errors import CertbrokerError, ChallengeFailed, IssuanceError, IssuerUnavailable, RateLimited
from certbroker.policy import can_wait, unhurried

OWN_POLICY: Final = frozenset({"rejectedIdentifier", "unsupportedIdentifier", "badCSR", "badPublicKey"})
"""RFC 8555 section 6.7: this CA does not sign such names or keys; another one may.

Not among them: `caa`, `dns`, `connection`, `unauthorized`, `incorrectResponse` (the world must be put right),
`externalAccountRequired`, `userActionRequired`, `invalidProfile`, `malformed` (the file, or we)."""

SIGNING: Final = timedelta(hours=1)
"""An order that was sent to be signed is waited for so long before anybody else is asked: its certificate may be there already."""

PAUSED: Final = timedelta(days=1)
"""How long nobody asks again where waiting does not help: a person lifts it, by the link that the CA gave."""

_REFUSED: Final = timedelta(days=1)
_STEPS: Final = (timedelta(minutes=10), timedelta(minutes=100), timedelta(days=1))
_SAME_TROUBLE: Final = timedelta(days=2)
"""Passed over again within so long after its time: the same trouble goes on, and it is asked ever more rarely."""


class Cause(StrEnum):
    """Why an issuer is passed over."""

    AWAY = "away"
    LIMITED = "limits us"
    PAUSED = "has paused us"
    """A limit that waiting does not lift: a person does."""
    REFUSED = "refuses"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An issuer that is not asked for this certificate and key type before `until`."""

    issuer: str
    cause: Cause
    since: datetime
    until: datetime
    why: str
    times: int = 1
    """How often in a row."""

    def words(self) -> str:
        """For people: `letsencrypt is away since Thu 26 Nov 09:00 UTC, asked again from Thu 26 Nov 10:00 UTC`."""
        said = f"{self.issuer} is away" if self.cause is Cause.AWAY else f"{self.issuer} {self.cause.value}"
        return f"{said} since {minute(self.since)}, asked again from {minute(self.until)}"


def cause_of(error: CertbrokerError) -> Cause | None:
    """Why the next issuer may do better; None if the trouble would come along."""
    if isinstance(error, RateLimited):
        return Cause.PAUSED if error.link else Cause.LIMITED
    if isinstance(error, IssuerUnavailable):
        return Cause.AWAY
    if isinstance(error, IssuanceError) and not isinstance(error, ChallengeFailed):
        code = (error.problem_type or "").rpartition(":")[2]
        return Cause.REFUSED if code in OWN_POLICY else None
    return None


def pass_over(
    issuer: str,
    error: CertbrokerError,
    now: datetime,
    *,
    before: PassedOver | None = None,
    signing: datetime | None = None,
    left: timedelta | None = None,
) -> PassedOver | None:
    """What to remember of this failure; None if the issuer is not to be passed over for it.

    Args:
        before: what was remembered of the same issuer, certificate and key type.
        signing: when its order was sent to be signed, if it is still under way.
        left: until the present certificate ends.
    """
    cause = cause_of(error)
    if cause is None or (signing is not None and now < signing + SIGNING):
        return None
    goes_on = before is not None and before.cause is cause and now < before.until + _SAME_TROUBLE
    first = before if goes_on else None
    times = first.times + 1 if first else 1
    rest = _REFUSED if cause is Cause.REFUSED else _STEPS[min(times, len(_STEPS)) - 1]
    until = now + max(unhurried(rest, left), asked(error) or timedelta())
    return PassedOver(issuer, cause, first.since if first else now, until, error.what, times)


def asked(error: CertbrokerError) -> timedelta | None:
    """How long to leave this CA alone, as far as it said: to the second, or a day where a person has to lift it."""
    wait = None if error.retry_after is None else timedelta(seconds=error.retry_after)
    if isinstance(error, RateLimited) and error.link:
        return max(wait or PAUSED, PAUSED)
    return wait


def in_force(passed: Sequence[PassedOver], now: datetime) -> Mapping[str, PassedOver]:
    """By issuer: who is passed over at `now`."""
    return {each.issuer: each for each in passed if each.until > now}


def in_turn(issuers: Sequence[str], away: Mapping[str, PassedOver], begun: Sequence[str] = ()) -> Sequence[str]:
    """The issuers that may be asked, who is asked first first; none if all of them are passed over.

    Args:
        issuers: in the order of preference.
        away: who is passed over now.
        begun: where an order is under way, the newest first: it is gone on with rather than begun anew elsewhere.
    """
    free = [issuer for issuer in issuers if issuer not in away]
    going_on = [issuer for issuer in begun if issuer in free]
    return list(dict.fromkeys([*going_on, *free]))


def worth_waiting_for(
    issuers: Sequence[str], away: Mapping[str, PassedOver], chosen: str, latest: datetime | None, every: timedelta
) -> PassedOver | None:
    """The issuer that the file prefers to `chosen`, that only limits us, and is free again in time; None if there is none.

    Args:
        latest, every: as `policy.can_wait` has them.
    """
    preferred = [away[issuer] for issuer in issuers[: issuers.index(chosen)] if issuer in away]
    soon = [p for p in preferred if p.cause is Cause.LIMITED and can_wait(p.until, latest, every)]
    return min(soon, key=lambda each: each.until, default=None)


def stepped_in(issuers: Sequence[str], away: Mapping[str, PassedOver], chosen: str) -> str | None:
    """Why `chosen` is asked and not the one that the file prefers: in words, or None if nothing is unusual."""
    before = [away[issuer] for issuer in issuers[: issuers.index(chosen)] if issuer in away]
    if not before:
        return None
    return f"{'; '.join(each.words() for each in before)}; {chosen} steps in"


def minute(moment: datetime) -> str:
    """`Thu 26 Nov 09:00 UTC`."""
    return f"{moment:%a} {moment.day} {moment:%b %H:%M} UTC"
