"""A problem document (RFC 8555 section 6.7, RFC 7807), and which of our errors it is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from certbroker.errors import IssuanceError, IssuerUnavailable, RateLimited
from certbroker.session import LONGEST_WAIT

PREFIX: Final = "urn:ietf:params:acme:error:"
DETAIL_CHARACTERS: Final = 500
"""How much of one foreign sentence we repeat: a CA's rate-limit text with its link fits."""

_DOMAIN: Final = re.compile(r'too many certificates \(\d+\) already issued for "([a-zA-Z0-9.-]{1,253})"')
_WHEN: Final = re.compile(r"retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:Z| UTC)")
_LINK: Final = re.compile(r"https://[!-~]{1,2000}")

MOST_BELOW: Final = 100
"""Subproblems that are read: one for each name of the longest order."""

DEEPEST: Final = 32
"""Levels of JSON. What the RFCs define has five."""

HINTS: Final[Mapping[str, str]] = {
    "caa": "the zone's CAA records must allow this CA: see `certbroker check`",
    "dns": "the CA could not look the name up: the zone and its delegation must answer on the internet",
    "dnssec": "the zone's DNSSEC is broken: repair it or take the DS record out of the parent zone",
    "rejectedIdentifier": "this CA does not sign this name: take it out, or name another issuer",
    "userActionRequired": "open the address the CA gives and agree to its new terms",
    "invalidProfile": "the file names a profile that this CA does not have",
    "badCSR": "this CA does not sign this kind of key or these names together",
    "badPublicKey": "this CA does not take this kind of key",
}


def unknown_account(error: BaseException | None) -> bool:
    """Whether the CA says that there is no such account."""
    return isinstance(error, IssuanceError) and error.problem_type == PREFIX + "accountDoesNotExist"


def account_lost(ca: str) -> str:
    """A hint: what to do where the CA does not know our account any more, or has ended it."""
    return (
        f"if that is so for good: certbroker account deactivate {ca} --yes forgets it here too, and the next order makes "
        "another; mind CAA records with accounturi"
    )


def printable(text: object) -> str:
    """Foreign text that cannot move a terminal's cursor, on one line, of bounded length."""
    clean = "".join(c if c.isprintable() else " " for c in str(text)[: DETAIL_CHARACTERS * 2])
    clean = " ".join(clean.split())
    return clean if len(clean) <= DETAIL_CHARACTERS else clean[: DETAIL_CHARACTERS - 1] + "…"


def decoded(body: bytes) -> Any:
    """JSON from a stranger: no deeper than `DEEPEST`, every number finite, so that it can be walked, shown and stored.

    Raises:
        ValueError: it is none, or none of this kind.
    """
    try:
        value = json.loads(body)
    except RecursionError:
        raise ValueError("too deep") from None
    level = [value]
    for _ in range(DEEPEST):
        if any(isinstance(item, float) and not math.isfinite(item) for item in level):
            raise ValueError("a number without an end")
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return value
    raise ValueError("too deep")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. `name` is the identifier it is about, if it says so."""

    type: str = ""
    detail: str = ""
    name: str = ""
    subproblems: tuple[Problem, ...] = ()
    link: str = ""
    """The page where a person lifts a pause, whole: it may be longer than what we repeat of the sentence."""
    instance: str = ""
    """Where a person does what the CA wants done (`userActionRequired`, RFC 8555 section 6.7)."""

    @property
    def code(self) -> str:
        """The type without its prefix, e.g. `rateLimited`."""
        return self.type.removeprefix(PREFIX)

    @classmethod
    def read(cls, value: Any) -> Problem | None:
        """From decoded JSON; None if it is no object. Members that are not what they should be are left out."""
        if not isinstance(value, Mapping):
            return None
        identifier = value.get("identifier")
        name = identifier.get("value") if isinstance(identifier, Mapping) else None
        below = value.get("subproblems")
        return cls(
            type=printable(value["type"]) if isinstance(value.get("type"), str) else "",
            detail=printable(value.get("detail") or value.get("title") or ""),
            name=printable(name) if isinstance(name, str) else "",
            subproblems=tuple(p for p in map(cls._leaf, below[:MOST_BELOW]) if p) if isinstance(below, list) else (),
            link=_link(value.get("detail")),
            instance=found[0] if (found := _LINK.findall(str(value.get("instance") or ""))) else "",
        )

    @classmethod
    def _leaf(cls, value: Any) -> Problem | None:
        """A subproblem has none of its own (RFC 8555 section 6.7.1)."""
        if not isinstance(value, Mapping):
            return None
        return cls.read({key: member for key, member in value.items() if key != "subproblems"})

    @property
    def agreed(self) -> str:
        """The type; for several names refused at once, the one that all of them were refused for (RFC 8555 section 6.7.1)."""
        below = {each.type for each in self.subproblems}
        if self.code in ("", "malformed", "compound") and len(below) == 1:
            return below.pop() or self.type
        return self.type

    def __str__(self) -> str:
        """Its sentence, then each subproblem with its name."""
        said = self.detail or self.code or "no reason given"
        parts = [said, *(f"{below.name}: {below}" if below.name else str(below) for below in self.subproblems)]
        return "; ".join(parts)


def rate_limited(what: str, problem: Problem, retry_after: float | None) -> RateLimited:
    """The error for `problem`. One that waiting does not lift has a link to the page where a person does."""
    hint = "nothing to do but wait; more names in one certificate need fewer orders"
    if problem.link:
        hint = f"waiting does not help: open {problem.link} and confirm, then: certbroker renew NAME"
    return RateLimited(
        what,
        retry_after=retry_after,
        hint=hint,
        problem_type=problem.type or None,
        link=problem.link or None,
        subject=_counted(problem.detail),
    )


def _counted(detail: str) -> str | None:
    """What boulder's sentence says it counts: "" for the account's orders, a domain for its certificates, else None."""
    if "too many new orders" in detail:
        return ""
    found = _DOMAIN.search(detail)
    return found[1].lower() if found else None


def _said_when(detail: str, now: datetime) -> float | None:
    """Seconds until the moment that boulder's sentence ends in, for a reply that lost its `Retry-After` on the way."""
    found = _WHEN.search(detail)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00")
    except ValueError:
        return None
    return min(max(0.0, (moment - now).total_seconds()), LONGEST_WAIT)


def _link(detail: object) -> str:
    """The self-service page that a CA names for names it has paused; every other limit links to its documentation."""
    if not isinstance(detail, str):
        return ""
    links = [found.rstrip(".,;)") for found in _LINK.findall(detail)]
    lifts = [link for link in links if "unpause" in link] or (links if "paused" in detail.lower() else [])
    return next(iter(lifts), "")


def _hint(problem: Problem) -> str | None:
    if problem.code == "userActionRequired" and problem.instance:
        return f"open {problem.instance} and agree to what the CA wants there, then: certbroker renew"
    return HINTS.get(problem.agreed.removeprefix(PREFIX))


def refusal(
    ca: str, doing: str, status: int, content_type: str, body: bytes, retry_after: float | None, now: datetime
) -> IssuanceError:
    """The error for an answer that is not 2xx.

    Args:
        ca: how the file calls the issuer.
        doing: what we asked for, after "refused", e.g. "the order".
        retry_after: seconds, as the answer's header asks.
        now: when the answer came.
    """
    try:
        problem = Problem.read(decoded(body)) or Problem()
    except ValueError:
        problem = Problem()
    known = bool(problem.type or problem.detail)
    kind = problem.agreed or None
    about = f"{problem.name}: " if problem.name and problem.name not in problem.detail else ""
    said = (
        f': "{about}{problem}"' if known else f" with {printable(content_type) or 'no content type'} where JSON belongs"
    )
    error: IssuanceError
    if problem.code == "rateLimited" or status == 429:
        wait = _said_when(problem.detail, now) if retry_after is None else retry_after
        error = rate_limited(f"{ca} limits {doing} ({status}){said}", problem, wait)
    elif status >= 500 or status in (408, 425):
        error = IssuerUnavailable(f"{ca} answered {status} to {doing}{said}", retry_after=retry_after)
        error.problem_type = kind
    else:
        error = IssuanceError(f"{ca} refused {doing} ({status}){said}", hint=_hint(problem), problem_type=kind)
        if unknown_account(error):
            error.hint = account_lost(ca)
        error.retry_after = retry_after
    error.status = status
    return error
