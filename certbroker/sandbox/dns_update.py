"""Carrying out an RFC 2136 update on a zone: prerequisites, additions, deletions."""

from __future__ import annotations

import dns.rdataclass
import dns.rrset
import dns.update
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from certbroker.sandbox.zones import Zone


def apply(query: dns.update.UpdateMessage, zone: Zone, *, unseen: int = 0, visible_at: float = 0.0) -> Rcode:
    """All of it, or nothing and the reason. `unseen` and `visible_at`: see `Zone.add`."""
    if any(not rrset.name.is_subdomain(zone.origin) for rrset in [*query.prerequisite, *query.update]):
        return Rcode.NOTZONE
    for rrset in query.prerequisite:
        problem = _unmet(zone, rrset)
        if problem is not None:
            return problem
    for rrset in query.update:
        if rrset.deleting is None:
            for rdata in rrset:
                zone.add(rrset.name, rdata, unseen=unseen, visible_at=visible_at)
        elif rrset.deleting == dns.rdataclass.ANY:
            zone.remove(rrset.name, None if rrset.rdtype == RdataType.ANY else rrset.rdtype)
        else:
            for rdata in rrset:
                zone.remove(rrset.name, rrset.rdtype, rdata)
    return Rcode.NOERROR


def _unmet(zone: Zone, rrset: dns.rrset.RRset) -> Rcode | None:
    """The error of a prerequisite that does not hold (RFC 2136 3.2), or None."""
    any_type = rrset.rdtype == RdataType.ANY
    there = bool(zone.nodes.get(rrset.name) if any_type else zone.values(rrset.name, rrset.rdtype))
    if rrset.deleting == dns.rdataclass.NONE and there:
        return Rcode.YXDOMAIN if any_type else Rcode.YXRRSET
    if rrset.deleting == dns.rdataclass.ANY and not there:
        return Rcode.NXDOMAIN if any_type else Rcode.NXRRSET
    if rrset.deleting is None and set(rrset) != set(zone.values(rrset.name, rrset.rdtype)):
        return Rcode.NXRRSET
    return None
