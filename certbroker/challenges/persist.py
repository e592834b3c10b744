"""The record of dns-persist-01: a TXT that a person publishes once, and that proves a name from then on. Pure.

draft-ietf-acme-dns-persist-01, as boulder and Pebble read it; the draft may still move. The record names the CA and our account, in the
syntax of CAA's issue-value (RFC 8659 section 4.2).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from certbroker.model import Record
from certbroker.names import base_name

LABEL: Final = "_validation-persist"
WILDCARD: Final = "wildcard"

_LABEL: Final = "[A-Za-z0-9](?:-*[A-Za-z0-9])*"
_ISSUER: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_TAG: Final = re.compile(_LABEL)
_VALUE: Final = re.compile(r"[\x21-\x3a\x3c-\x7e]*")
_WSP: Final = " \t"


@dataclass(frozen=True, slots=True)
class Permit:
    """What one record says: this CA may take it as proof when this account asks."""

    issuer: str
    account_uri: str
    wildcard: bool = False
    """Also for `*.name`."""
    until: datetime | None = None

    def __str__(self) -> str:
        parts = [self.issuer, f"accounturi={self.account_uri}"]
        parts += [f"policy={WILDCARD}"] if self.wildcard else []
        parts += [f"persistUntil={int(self.until.timestamp())}"] if self.until else []
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether what stands will do: "ok", "missing" (nothing for this CA), or "wrong", and why in words."""

    state: Literal["ok", "missing", "wrong"]
    why: str


def owner(name: str) -> str:
    """Where the record of `name` (perhaps a wildcard) stands. Every name needs its own."""
    return f"{LABEL}.{base_name(name)}"


def record(name: str, issuer: str, account_uri: str) -> Record:
    """What a person is to publish for `name`, which may be a wildcard."""
    return Record(owner(name), "TXT", (str(Permit(issuer, account_uri, name.startswith("*."))),))


def issuer_of(value: str) -> str | None:
    """The CA that a record speaks of, lower case, whatever else is wrong with it; None if it is no such record."""
    first = value.split(";", 1)[0].strip(_WSP)
    return first.lower() if _ISSUER.fullmatch(first) else None


def read(value: str) -> Permit:
    """One TXT, its character-strings joined. Raises ValueError in words, where a CA refuses it too."""
    first, *rest = value.split(";")
    issuer = first.strip(_WSP)
    if not _ISSUER.fullmatch(issuer):
        raise ValueError("does not begin with the domain of a CA")
    found: dict[str, str] = {}
    for part in rest:
        tag, equals, text = (piece.strip(_WSP) for piece in part.partition("="))
        if not (tag or equals or text):
            raise ValueError("has an empty parameter, perhaps a semicolon at its end")
        if not equals or not _TAG.fullmatch(tag):
            raise ValueError("has a parameter that is not tag=value")
        if not _VALUE.fullmatch(text):
            raise ValueError(f"has a {tag} with a character that may not stand there")
        if tag.lower() in found:
            raise ValueError(f"has {tag} twice")
        found[tag.lower()] = text
    if not found.get("accounturi"):
        raise ValueError("has no accounturi")
    return Permit(issuer, found["accounturi"], found.get("policy", "").lower() == WILDCARD, _until(found))


def _until(found: dict[str, str]) -> datetime | None:
    text = found.get("persistuntil")
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError("has a persistUntil that is no number of seconds")
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (OverflowError, ValueError, OSError):
        raise ValueError("has a persistUntil that no clock reaches") from None


def judge(values: Sequence[str], *, name: str, issuers: Collection[str], account_uri: str, now: datetime) -> Verdict:
    """Whether one of `values`, which stand at `owner(name)`, proves `name` to the CA that goes by one of `issuers`."""
    ours = {issuer.lower() for issuer in issuers}
    about_us = [value for value in values if issuer_of(value) in ours]
    if not about_us:
        return Verdict("missing", "no record there names this CA")
    refusals = [_refusal(value, name=name, account_uri=account_uri, now=now) for value in about_us]
    if None in refusals:
        return Verdict("ok", "it stands")
    return Verdict("wrong", "; ".join(dict.fromkeys(filter(None, refusals))))


def _refusal(value: str, *, name: str, account_uri: str, now: datetime) -> str | None:
    try:
        permit = read(value)
    except ValueError as error:
        return f"the record {error}"
    if permit.account_uri != account_uri:
        return f"the record is for the account {permit.account_uri}"
    if permit.until is not None and permit.until <= now:
        return f"the record has ended, on {permit.until:%d %b %Y at %H:%M} UTC"
    if name.startswith("*.") and not permit.wildcard:
        return f"the record lacks policy={WILDCARD}, which {name} needs"
    return None
