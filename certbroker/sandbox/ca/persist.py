"""dns-persist-01 as the sandbox judges it: draft-ietf-acme-dns-persist-01, read as strictly as boulder and Pebble do."""

from __future__ import annotations

import string
from collections.abc import Sequence

_WORD = frozenset(string.ascii_letters + string.digits + "-")


def refusal(values: Sequence[str], *, identity: str, account: str, wildcard: bool, now: float) -> str | None:
    """Why none of the TXT values at `_validation-persist.<name>` is good enough; None if one is. `now`: Unix seconds."""
    said = []
    for value in values:
        pieces = [piece.strip(" \t") for piece in value.split(";")]
        if pieces[0].lower() != identity.lower():
            continue
        why = _why_not(pieces[1:], account, wildcard, now)
        if why is None:
            return None
        said.append(why)
    return "; ".join(said) or "no record names this CA"


def _why_not(parameters: Sequence[str], account: str, wildcard: bool, now: float) -> str | None:
    seen: dict[str, str] = {}
    for parameter in parameters:
        tag, sign, value = parameter.partition("=")
        tag, value = tag.strip(" \t").lower(), value.strip(" \t")
        if (
            not sign
            or not tag
            or set(tag) - _WORD
            or "-" in (tag[0], tag[-1])
            or any(not "!" <= each <= "~" for each in value)
        ):
            return f"malformed parameter {parameter!r}"
        if tag in seen:
            return f"duplicate parameter {tag!r}"
        seen[tag] = value
    if seen.get("accounturi") != account:
        return "accounturi mismatch"
    if wildcard and seen.get("policy", "").lower() != "wildcard":
        return "policy mismatch"
    until = seen.get("persistuntil")
    if until is not None and (not until.isdigit() or int(until) < now):
        return "persistUntil is over or malformed"
    return None
