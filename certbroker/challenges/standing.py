"""What stands in DNS of the records that a person creates once: a delegation, a standing permission."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import dns.exception
import dns.name
from dns.rdatatype import RdataType

from certbroker.challenges import holders, persist
from certbroker.challenges.lookup import Lookup
from certbroker.challenges.means import Means
from certbroker.challenges.persist import Verdict
from certbroker.errors import Unavailable
from certbroker.model import Method, Record


def texts(name: str, lookup: Lookup) -> tuple[str, ...]:
    """The TXT values that the world finds there, each with its character-strings joined. Raises Unavailable."""
    try:
        answer = lookup.query(dns.name.from_text(name), RdataType.TXT).resolve_chaining().answer
    except dns.exception.DNSException:
        raise Unavailable(f"the answer for {name} cannot be read") from None
    return tuple(b"".join(rdata.strings).decode("latin-1") for rdata in answer or ())


def permitted(name: str, lookup: Lookup, *, issuers: Collection[str], account_uri: str, now: datetime) -> Verdict:
    """Whether a standing permission (dns-persist-01) for `name` is published. Raises Unavailable."""
    found = texts(persist.owner(name), lookup)
    return persist.judge(found, name=name, issuers=issuers, account_uri=account_uri, now=now)


def delegated(owner: str, target: str, lookup: Lookup) -> Verdict:
    """Whether `owner` is a CNAME to `target`. Raises Unavailable, or NothingDone for a circle."""
    way = lookup.land(owner)
    if target in way.names:
        return Verdict("ok", "it stands")
    if way.end == owner:
        return Verdict("missing", f"{owner} is no CNAME")
    holder = holders.holder_of(way.end)
    held = f", held by {holder.name}" if holder else ""
    return Verdict("wrong", f"{owner} is a CNAME to {way.names[1]}{held}, and not to {target}")


def wanted(name: str, means: Means, lookup: Lookup, now: datetime) -> list[tuple[Verdict, Record]]:
    """The records that a person has to create once so that `name` can be proven, and how each stands.

    Raises Unavailable or NothingDone if DNS does not tell.
    """
    if means.method is Method.DNS_PERSIST_01:
        if means.account_uri is None or not means.issuers:
            return []  # what it has to say is not known yet
        found = permitted(name, lookup, issuers=means.issuers, account_uri=means.account_uri, now=now)
        return [(found, persist.record(name, means.issuers[0], means.account_uri))]
    delegation = means.delegation(name)
    if delegation is None:
        return []
    return [(delegated(delegation.name, delegation.values[0].removesuffix("."), lookup), delegation)]
