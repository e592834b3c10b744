"""DNS zones in memory: what an authoritative server knows, and how it answers (RFC 1034 4.3.2, RFC 4592 wildcards).

No sockets and no locks here: `certbroker.sandbox.dns` has those.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rrset
from dns.name import Name
from dns.rdata import Rdata
from dns.rdatatype import RdataType

IN: Final = dns.rdataclass.IN
TEXT_OCTETS: Final = 255
"""Longest single character-string of a TXT record (RFC 1035 3.3.14); longer values are split and joined by the reader."""


class Kind(enum.Enum):
    """What a zone says to a question."""

    ANSWER = "answer"
    CNAME = "cname"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    REFERRAL = "referral"


@dataclass(frozen=True, slots=True)
class Found:
    """`rrsets` is the answer, the CNAME, or the NS set of the child zone."""

    kind: Kind
    rrsets: tuple[dns.rrset.RRset, ...] = ()


@dataclass
class _Value:
    """One record. It is unseen for the next `unseen` questions and before `visible_at` (monotonic seconds)."""

    rdata: Rdata
    unseen: int = 0
    visible_at: float = 0.0


def to_name(text: str) -> Name:
    """Always absolute: `example.com` and `example.com.` are the same name."""
    return dns.name.from_text(text.lower(), dns.name.root)


def to_rdata(rdtype: RdataType, text: str) -> Rdata:
    """A record's value from its zone-file form; a TXT value is taken as it is, without quotes."""
    if rdtype == RdataType.TXT:
        raw = text.encode()
        pieces = [raw[at : at + TEXT_OCTETS] for at in range(0, len(raw), TEXT_OCTETS)] or [b""]
        return dns.rdtypes.ANY.TXT.TXT(IN, RdataType.TXT, pieces)
    return dns.rdata.from_text(IN, rdtype, text, origin=dns.name.root, relativize=False)


def to_text(rdata: Rdata) -> str:
    """The inverse of `to_rdata`."""
    if isinstance(rdata, dns.rdtypes.ANY.TXT.TXT):
        return b"".join(rdata.strings).decode(errors="replace")
    return rdata.to_text()


@dataclass
class Zone:
    """One zone. `nodes` maps a name to its records by type; SOA and NS of the apex are among them."""

    origin: Name
    nameservers: tuple[str, ...]
    ttl: int
    serial: int = 1
    nodes: dict[Name, dict[RdataType, list[_Value]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._write_soa()
        for server in self.nameservers:
            self.add(self.origin, to_rdata(RdataType.NS, server))

    def _write_soa(self) -> None:
        text = f"{self.nameservers[0]} hostmaster.{self.origin} {self.serial} 3600 600 86400 {self.ttl}"
        self.nodes.setdefault(self.origin, {})[RdataType.SOA] = [_Value(to_rdata(RdataType.SOA, text))]

    def _changed(self) -> None:
        self.serial += 1
        self._write_soa()

    def add(self, name: Name, rdata: Rdata, *, unseen: int = 0, visible_at: float = 0.0) -> bool:
        """Add one value. False if it was there, or stands against a CNAME (RFC 2136 3.4.2.2: ignored without a word)."""
        node = self.nodes.setdefault(name, {})
        clash = any(kind != RdataType.CNAME for kind in node) if rdata.rdtype == RdataType.CNAME else False
        if clash or (rdata.rdtype != RdataType.CNAME and RdataType.CNAME in node):
            return False
        values = node.setdefault(rdata.rdtype, [])
        if any(value.rdata == rdata for value in values):
            return False
        if rdata.rdtype == RdataType.CNAME:
            values.clear()
        values.append(_Value(rdata, unseen, visible_at))
        self._changed()
        return True

    def remove(self, name: Name, rdtype: RdataType | None = None, rdata: Rdata | None = None) -> bool:
        """Remove one value, all of a type, or (both None) all of a name. False if nothing of it was there."""
        node = self.nodes.get(name, {})
        gone = False
        for kind in [rdtype] if rdtype is not None else list(node):
            if kind == RdataType.SOA or (name == self.origin and kind == RdataType.NS and rdtype is None):
                continue  # an apex without SOA or NS is no zone (RFC 2136 3.4.2.3)
            kept = [value for value in node.get(kind, []) if rdata is not None and value.rdata != rdata]
            gone = gone or len(kept) != len(node.get(kind, []))
            if kept:
                node[kind] = kept
            else:
                node.pop(kind, None)
        if not node:
            self.nodes.pop(name, None)
        if gone:
            self._changed()
        return gone

    def values(self, name: Name, rdtype: RdataType) -> list[Rdata]:
        """Everything written under that name, seen or not."""
        return [value.rdata for value in self.nodes.get(name, {}).get(rdtype, [])]

    def rrset(self, owner: Name, rdtype: RdataType, values: list[Rdata]) -> dns.rrset.RRset:
        found = dns.rrset.RRset(owner, IN, rdtype)
        found.update_ttl(self.ttl)
        for rdata in values:
            found.add(rdata)
        return found

    def soa(self) -> dns.rrset.RRset:
        return self.rrset(self.origin, RdataType.SOA, self.values(self.origin, RdataType.SOA))

    def glue(self, servers: dns.rrset.RRset) -> Iterator[dns.rrset.RRset]:
        """The addresses we know of the hosts in an NS set."""
        for rdata in servers:
            host = to_name(rdata.to_text())
            for rdtype in (RdataType.A, RdataType.AAAA):
                if values := self.values(host, rdtype):
                    yield self.rrset(host, rdtype, values)

    def answer(self, name: Name, rdtype: RdataType, now: float) -> Found:
        """What this zone says about `name`, which is in it. `now` is monotonic seconds."""
        seen = {owner: kinds for owner in self.nodes if (kinds := self._seen(owner, now))}
        self._count(name, rdtype)
        cut = self._cut(name, rdtype, seen)
        if cut is not None:
            return Found(Kind.REFERRAL, (self.rrset(cut, RdataType.NS, seen[cut][RdataType.NS]),))
        node = seen.get(name)
        if node is None and not any(owner.is_subdomain(name) for owner in seen):
            node = seen.get(dns.name.Name((b"*", *self._closest(name, seen).labels)))
            if node is None:
                return Found(Kind.NXDOMAIN)
        if not node:
            return Found(Kind.NODATA)  # an empty non-terminal exists (RFC 4592 2.2.2)
        if rdtype == RdataType.ANY:
            return Found(Kind.ANSWER, tuple(self.rrset(name, kind, values) for kind, values in node.items()))
        if rdtype in node:
            return Found(Kind.ANSWER, (self.rrset(name, rdtype, node[rdtype]),))
        if RdataType.CNAME in node:
            return Found(Kind.CNAME, (self.rrset(name, RdataType.CNAME, node[RdataType.CNAME]),))
        return Found(Kind.NODATA)

    def _seen(self, owner: Name, now: float) -> dict[RdataType, list[Rdata]]:
        node: dict[RdataType, list[Rdata]] = {}
        for rdtype, values in self.nodes[owner].items():
            if shown := [value.rdata for value in values if value.unseen <= 0 and value.visible_at <= now]:
                node[rdtype] = shown
        return node

    def _count(self, name: Name, rdtype: RdataType) -> None:
        for value in self.nodes.get(name, {}).get(rdtype, []):
            value.unseen -= 1

    def _cut(self, name: Name, rdtype: RdataType, seen: dict[Name, dict[RdataType, list[Rdata]]]) -> Name | None:
        """The highest delegation between the apex and `name`; the DS of a cut belongs to the parent."""
        for size in range(len(self.origin) + 1, len(name) + 1):
            owner = name.split(size)[1]
            if RdataType.NS in seen.get(owner, {}) and not (owner == name and rdtype == RdataType.DS):
                return owner
        return None

    def _closest(self, name: Name, seen: dict[Name, dict[RdataType, list[Rdata]]]) -> Name:
        """The closest encloser: the longest existing ancestor (RFC 4592 3.3.1)."""
        parent = name.parent()
        while parent != self.origin and not any(owner.is_subdomain(parent) for owner in seen):
            parent = parent.parent()
        return parent
