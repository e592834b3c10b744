"""Whether DNS leads a name to the edges of a target."""

from __future__ import annotations

from collections.abc import Iterable

import dns.exception
import dns.name
from dns.rdatatype import RdataType

from certbroker.challenges.lookup import Lookup
from certbroker.errors import Unavailable
from certbroker.model import Edge
from certbroker.names import probe_name


def points_at(lookup: Lookup, name: str, edges: Iterable[Edge]) -> bool:
    """Every address of `name` (for a wildcard: of a name under it) is one of these, and there is one. Raises Unavailable."""
    wanted = {edge.host for edge in edges}
    found: set[str] = set()
    for kind in (RdataType.A, RdataType.AAAA):
        try:
            chain = lookup.query(dns.name.from_text(probe_name(name)), kind).resolve_chaining()
        except dns.exception.DNSException:
            raise Unavailable(f"the answer for {name} cannot be read") from None
        if {str(rrset[0].target).rstrip(".").lower() for rrset in chain.cnames} & wanted:
            return True
        found |= {rdata.address for rdata in chain.answer or ()}
    return bool(found) and found <= wanted
