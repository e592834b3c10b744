"""CAA preflight: would the CA be allowed to sign? (RFC 8659, with the parameters of RFC 8657.)

A record that forbids stops the order; a look-up that fails only warns, because it is the CA's look-up that counts. Where DNSSEC is
broken the CA's look-up fails too: that stops the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import dns.exception
import dns.flags
import dns.name
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.CAA import CAA

from certbroker.challenges.dnssec import BrokenDnssec
from certbroker.challenges.lookup import Lookup, shown
from certbroker.errors import Unavailable
from certbroker.model import Method, Record
from certbroker.names import base_name

CRITICAL: Final = 128
KNOWN: Final = frozenset({"issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"})


@dataclass(frozen=True, slots=True)
class CaaFinding:
    """`state`: "ok" allowed, "warn" not known, "fail" forbidden."""

    state: Literal["ok", "warn", "fail"]
    name: str
    what: str
    hint: str | None = None
    stands: bool = False
    """There is a set of records that is about this name."""


def preflight(
    name: str, *, issuers: Sequence[str], account_uri: str | None, wildcard: bool, method: Method, lookup: Lookup
) -> list[CaaFinding]:
    """One finding for `name`.

    Args:
        issuers: the CA's identities, from the directory's `caaIdentities`.
        account_uri: our account, for `accounturi`; None if there is none yet.
        method: how the name is to be proven, for `validationmethods`.
    """
    try:
        where, records, proven = _relevant(name, lookup)
    except BrokenDnssec as error:
        return [CaaFinding("fail", name, f"CAA of {name}: {error.what}", error.hint)]
    except Unavailable as error:
        return [CaaFinding("warn", name, f"CAA of {name} cannot be looked up: {error.what}", error.hint)]
    if not records:
        return [CaaFinding("ok", name, f"no CAA restricts {name}")]
    for record in records:
        tag = _tag(record)
        if record.flags & CRITICAL and tag not in KNOWN:
            what = f"{where} has a critical CAA property {tag}, which no CA may pass over"
            return [CaaFinding("fail", name, what, stands=True)]
    issue = [r for r in records if _tag(r) == "issue"]
    issuewild = [r for r in records if _tag(r) == "issuewild"]
    bearing = issuewild if wildcard and issuewild else issue
    if not bearing:
        return [CaaFinding("ok", name, f"CAA at {where} restricts nothing here", stands=True)]
    refusals = []
    for record in bearing:
        refusal = _refusal(record.value, issuers, account_uri, method)
        if refusal is None:
            signed = ", and DNSSEC proves it" if proven else ""
            return [CaaFinding("ok", name, f"CAA at {where} allows it{signed}", stands=True)]
        refusals.append(refusal)
    if not issuers:
        return [CaaFinding("warn", name, f"{where} has CAA, and the CA does not tell its identity", stands=True)]
    tag = _tag(bearing[0])
    hint = f'add to {where}:  CAA 0 {tag} "{issuers[0]}"'
    return [
        CaaFinding("fail", name, f"CAA at {where} forbids it: {'; '.join(dict.fromkeys(refusals))}", hint, stands=True)
    ]


def _relevant(name: str, lookup: Lookup) -> tuple[str, list[CAA], bool]:
    """The nearest CAA set going up, and whether the recursor proved it by DNSSEC (RFC 8659 section 3; aliases are followed at each step, by the recursor)."""
    step = dns.name.from_text(name)
    while step != dns.name.root:
        try:
            answer = lookup.query(step, RdataType.CAA)
            found = answer.resolve_chaining().answer
        except dns.exception.DNSException:
            raise Unavailable(f"the answer for {shown(step)} cannot be read") from None
        except Unavailable:
            if len(step.labels) > 2:
                raise
            return "", [], False  # a top level that does not answer is everybody's trouble, not this order's
        if found is not None and len(found):
            return shown(step), [r for r in found if isinstance(r, CAA)], bool(answer.flags & dns.flags.AD)
        step = step.parent()
    return "", [], False


def _tag(record: CAA) -> str:
    return str(record.tag.decode("ascii", "replace")).lower()


def _refusal(value: bytes, issuers: Sequence[str], account_uri: str | None, method: Method) -> str | None:
    """Why this property does not allow us; None if it does."""
    domain, *rest = (part.strip() for part in value.decode("latin-1").split(";"))
    if not domain:
        return "nobody may issue"
    if domain.lower().rstrip(".") not in {identity.lower() for identity in issuers}:
        return f"only {domain} may issue"
    for part in filter(None, rest):
        key, equals, wish = (piece.strip() for piece in part.partition("="))
        if not equals:
            return f"the parameter {key} is malformed"
        if key.lower() == "accounturi" and wish != account_uri:
            return f"only the account {wish} may order" + ("" if account_uri else ", and ours does not exist yet")
        if key.lower() == "validationmethods" and method not in [method.strip() for method in wish.split(",")]:
            return f"only validation by {wish}, and we use {method}"
    return None


def wish(name: str, issuer: str, account_uri: str | None, method: Method) -> Record:
    """The record that lets this CA alone sign for `name` (and its wildcard), for our account alone and by this method alone."""
    parts = [issuer, *([f"accounturi={account_uri}"] if account_uri else []), f"validationmethods={method}"]
    return Record(base_name(name), "CAA", (f'0 issue "{"; ".join(parts)}"',))
