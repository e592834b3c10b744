"""A real DNS server on loopback: UDP and TCP on one port, authoritative for zones made through its methods.

It takes RFC 2136 updates (signed with TSIG if it has keys), and can serve as the recursor too. Its knobs play the bad
days: refusing, failing for some names, showing new records late, and saying nothing at all.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import dns.update
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from certbroker.sandbox.dns_tcp import TcpServer
from certbroker.sandbox.dns_update import apply
from certbroker.sandbox.zones import Kind, Zone, to_name, to_rdata, to_text
from certbroker.world import Clock, SystemClock

PLAIN_UDP_OCTETS: Final = 512
"""Largest UDP answer to a question without EDNS (RFC 1035 4.2.1)."""
LONGEST_CHAIN: Final = 8
"""CNAMEs followed in one answer."""
FORWARD_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Question:
    """One question that was asked, in text without the final dot."""

    name: str
    type: str
    tcp: bool
    recursion: bool


class DnsServer:
    """`with DnsServer(...) as dns:` serves until the block ends.

    Args:
        host, port: where to listen; port 0 takes a free one.
        recursive: answer as a recursor too (RA): follow CNAMEs through every zone it knows, and ask `forward`ed ones.
        keys: TSIG key names to base64 secrets (HMAC-SHA256 or what the signer says). With keys, unsigned updates are refused.
        clock: for `lag_seconds`.
        ttl: of every record.

    Knobs, to be set at any time:
        silent: take every question and answer none.
        refuse: answer REFUSED to all.
        servfail: names answered with SERVFAIL.
        lag_queries: a new value shows itself only after so many questions for its name and type.
        lag_seconds: ... and only after so many seconds.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        recursive: bool = False,
        keys: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        ttl: int = 60,
    ) -> None:
        self.host = host
        self.port = port
        self.recursive = recursive
        self.silent = False
        self.refuse = False
        self.servfail: set[str] = set()
        self.lag_queries = 0
        self.lag_seconds = 0.0
        self.questions: list[Question] = []
        self.updates = 0
        self._ttl = ttl
        self._clock = clock or SystemClock()
        self._keyring = dns.tsigkeyring.from_text(dict(keys or {}))
        self._zones: dict[Name, Zone] = {}
        self._forward: dict[Name, str] = {}
        self._lock = threading.RLock()
        self._tcp: TcpServer | None = None
        self._udp: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    # what it knows

    def add_zone(self, name: str, *, ns: Iterable[str] = (), address: str | None = None) -> None:
        """Become authoritative for `name`. A nameserver inside the zone (default `ns1.<name>`) gets `address`, ours by default."""
        servers = tuple(ns) or (f"ns1.{name}",)
        zone = Zone(to_name(name), servers, self._ttl)
        where = address or self.host
        kind = RdataType.AAAA if ":" in where else RdataType.A
        for server in servers:
            if to_name(server).is_subdomain(zone.origin):
                zone.add(to_name(server), to_rdata(kind, where))
        with self._lock:
            self._zones[zone.origin] = zone

    def forward(self, name: str, address: str) -> None:
        """As a recursor, ask `address` ("host:port") for everything at or under `name` that no zone of ours is closer to."""
        with self._lock:
            self._forward[to_name(name)] = address

    def add(self, name: str, rdtype: str, value: str) -> None:
        """Add one value. Raises ValueError if no zone holds the name or a CNAME stands against it."""
        with self._lock:
            zone, owner = self._holder(name), to_name(name)
            rdata = to_rdata(dns.rdatatype.from_text(rdtype), value)
            there = rdata in zone.values(owner, rdata.rdtype)
            visible = self._clock.monotonic() + self.lag_seconds if self.lag_seconds else 0.0
            if not zone.add(owner, rdata, unseen=self.lag_queries, visible_at=visible) and not there:
                raise ValueError(f"a CNAME stands alone, at {name} too")

    def remove(self, name: str, rdtype: str, value: str | None = None) -> None:
        """Remove one value, or all of that type."""
        with self._lock:
            kind = dns.rdatatype.from_text(rdtype)
            self._holder(name).remove(to_name(name), kind, None if value is None else to_rdata(kind, value))

    def set(self, name: str, rdtype: str, *values: str) -> None:
        """These values and no others of that type. One that was there stays as seen as it was."""
        with self._lock:
            kind = dns.rdatatype.from_text(rdtype)
            wanted = [to_rdata(kind, value) for value in values]
            for rdata in self._holder(name).values(to_name(name), kind):
                if rdata not in wanted:
                    self._holder(name).remove(to_name(name), kind, rdata)
            for value in values:
                self.add(name, rdtype, value)

    def values(self, name: str, rdtype: str) -> list[str]:
        """What is written there, seen yet or not; CNAMEs are not followed. Empty too if no zone here holds the name."""
        with self._lock:
            zone = self._closest(to_name(name))
            found = zone.values(to_name(name), dns.rdatatype.from_text(rdtype)) if zone else []
            return [to_text(rdata) for rdata in found]

    def txt(self, name: str) -> list[str]:
        """The TXT values written there."""
        return self.values(name, "TXT")

    def lookup_txt(self, name: str) -> list[str]:
        """The TXT values that a recursor finds: CNAMEs followed, lag respected. Empty if there are none."""
        _, _, rrsets, _ = self._resolve(to_name(name), RdataType.TXT, recursive=True)
        return [to_text(rdata) for rrset in rrsets if rrset.rdtype == RdataType.TXT for rdata in rrset]

    def lookup_addresses(self, name: str) -> list[str]:
        """The IPv4, then the IPv6 addresses that a recursor finds."""
        found = []
        for kind in (RdataType.A, RdataType.AAAA):
            _, _, rrsets, _ = self._resolve(to_name(name), kind, recursive=True)
            found += [to_text(rdata) for rrset in rrsets if rrset.rdtype == kind for rdata in rrset]
        return found

    @property
    def address(self) -> str:
        """`host:port`, once it serves."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    # serving

    def __enter__(self) -> Self:
        self._bind()
        assert self._tcp is not None
        for work in (self._serve_udp, self._tcp.serve):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tcp is not None:
            self._tcp.stop()
        if self._udp is not None:
            # a datagram to ourselves wakes the thread; closing alone would not
            with contextlib.suppress(OSError), socket.socket(self._udp.family, socket.SOCK_DGRAM) as bell:
                udp, self._udp = self._udp, None
                bell.sendto(b"", udp.getsockname())
        for thread in self._threads:
            thread.join(timeout=5)
        self._threads.clear()

    def _bind(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        for _ in range(20):
            self._tcp = TcpServer((self.host, self.port), family, lambda wire: self.reply(wire, tcp=True))
            self._udp = socket.socket(family, socket.SOCK_DGRAM)
            port = int(self._tcp.server_address[1])
            try:
                self._udp.bind((self.host, port))
            except OSError:  # another's UDP socket has the number that TCP had free
                self._udp.close()
                self._tcp.server_close()
                if self.port:
                    raise
                continue
            self.port = port
            return
        raise OSError(f"no port of {self.host} is free for both UDP and TCP")

    def _serve_udp(self) -> None:
        udp = self._udp
        assert udp is not None
        with udp:
            while True:
                try:
                    wire, client = udp.recvfrom(65535)
                except OSError:
                    continue  # an ICMP error of an answer nobody waited for
                if self._udp is None:
                    return
                answer = self.reply(wire, tcp=False)
                if answer is not None:
                    with contextlib.suppress(OSError):
                        udp.sendto(answer, client)

    # answering

    def reply(self, wire: bytes, *, tcp: bool) -> bytes | None:
        """The answer to one message; None for silence."""
        if self.silent:
            return None
        try:
            query = dns.message.from_wire(wire, keyring=self._keyring)
        except (dns.tsig.BadSignature, dns.tsig.BadTime, dns.message.UnknownTSIGKey) as error:
            return self._not_signed_right(wire, error)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR:
            return None
        response = dns.message.make_response(query, recursion_available=self.recursive)
        if isinstance(query, dns.update.UpdateMessage):
            with self._lock:
                response.set_rcode(self._update(query))
        elif query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response.set_rcode(Rcode.NOTIMP)
        else:
            self._answer(query, response, tcp)
        size = 65535 if tcp else max(PLAIN_UDP_OCTETS, query.payload if query.edns >= 0 else 0)
        return response.to_wire(max_size=size, prefer_truncation=True)

    def _answer(self, query: dns.message.Message, response: dns.message.Message, tcp: bool) -> None:
        question = query.question[0]
        asked = question.name.to_text(omit_final_dot=True).lower()
        recursion = bool(query.flags & dns.flags.RD) and self.recursive
        with self._lock:
            self.questions.append(Question(asked, dns.rdatatype.to_text(question.rdtype), tcp, recursion))
            if self.refuse or question.rdclass != dns.rdataclass.IN:
                response.set_rcode(Rcode.REFUSED)
                return
            if asked in self.servfail:
                response.set_rcode(Rcode.SERVFAIL)
                return
        rcode, authoritative, answer, authority = self._resolve(question.name, question.rdtype, recursive=recursion)
        response.set_rcode(rcode)
        if authoritative:
            response.flags |= dns.flags.AA
        response.answer.extend(answer)
        response.authority.extend(authority)
        for rrset in authority:
            if rrset.rdtype == RdataType.NS and (zone := self._closest(question.name)):
                response.additional.extend(zone.glue(rrset))

    def _resolve(
        self, name: Name, rdtype: RdataType, *, recursive: bool
    ) -> tuple[Rcode, bool, list[dns.rrset.RRset], list[dns.rrset.RRset]]:
        """(rcode, authoritative, answer, authority). As no recursor, it stays within the zone of the question."""
        chain: list[dns.rrset.RRset] = []
        first = self._closest(name)
        for _ in range(LONGEST_CHAIN):
            with self._lock:
                zone = self._closest(name)
                elsewhere = self._forwarder(name, zone) if recursive else None
                if elsewhere is None:
                    if zone is None or (zone is not first and not recursive):
                        empty = Rcode.NOERROR if chain else (Rcode.SERVFAIL if recursive else Rcode.REFUSED)
                        return empty, bool(chain), chain, []
                    found = zone.answer(name, rdtype, self._clock.monotonic())
            if elsewhere is not None:
                rcode, rrsets = self._ask(elsewhere, name, rdtype)
                return rcode, False, chain + rrsets, []
            assert zone is not None
            if found.kind is Kind.ANSWER:
                return Rcode.NOERROR, True, [*chain, *found.rrsets], []
            if found.kind is Kind.REFERRAL:
                if recursive:
                    return Rcode.SERVFAIL, False, chain, []
                return Rcode.NOERROR, bool(chain), chain, list(found.rrsets)
            if found.kind is not Kind.CNAME:
                rcode = Rcode.NXDOMAIN if found.kind is Kind.NXDOMAIN else Rcode.NOERROR
                return rcode, True, chain, [zone.soa()]
            chain += found.rrsets
            name = to_name(found.rrsets[0][0].to_text())
        return Rcode.SERVFAIL, False, chain, []

    def _ask(self, address: str, name: Name, rdtype: RdataType) -> tuple[Rcode, list[dns.rrset.RRset]]:
        host, _, port = address.rpartition(":")
        query = dns.message.make_query(name, rdtype)
        try:
            answer, _ = dns.query.udp_with_fallback(query, host.strip("[]"), FORWARD_SECONDS, int(port))
        except (dns.exception.DNSException, OSError):
            return Rcode.SERVFAIL, []
        return answer.rcode(), list(answer.answer)

    def _closest(self, name: Name) -> Zone | None:
        with self._lock:
            holders = [origin for origin in self._zones if name.is_subdomain(origin)]
            return self._zones[max(holders, key=len)] if holders else None

    def _forwarder(self, name: Name, zone: Zone | None) -> str | None:
        holders = [origin for origin in self._forward if name.is_subdomain(origin)]
        closest = max(holders, key=len, default=None)
        if closest is None or (zone is not None and len(zone.origin) >= len(closest)):
            return None
        return self._forward[closest]

    def _holder(self, name: str) -> Zone:
        zone = self._closest(to_name(name))
        if zone is None:
            raise ValueError(f"no zone here holds {name}")
        return zone

    # updates (RFC 2136)

    def _not_signed_right(self, wire: bytes, error: dns.exception.DNSException) -> bytes | None:
        try:
            query = dns.message.from_wire(wire, keyring=False)
        except dns.exception.DNSException:
            return None
        if isinstance(error, dns.message.UnknownTSIGKey):
            problem = Rcode.BADKEY
        else:
            problem = Rcode.BADTIME if isinstance(error, dns.tsig.BadTime) else Rcode.BADSIG
        key = dns.tsig.Key(query.keyname or dns.name.root, secrets.token_bytes(32))
        response = dns.message.Message(query.id)
        response.flags = dns.flags.QR | (query.flags & 0x7800)
        response.set_rcode(Rcode.NOTAUTH)
        response.use_tsig(key, tsig_error=problem)
        response.request_mac = query.mac or b""
        return response.to_wire()

    def _update(self, query: dns.update.UpdateMessage) -> Rcode:
        if self.refuse or (self._keyring and not query.had_tsig):
            return Rcode.REFUSED
        zone = self._zones.get(query.zone[0].name) if query.zone else None
        if zone is None:
            return Rcode.NOTAUTH
        self.updates += 1
        visible = self._clock.monotonic() + self.lag_seconds if self.lag_seconds else 0.0
        return apply(query, zone, unseen=self.lag_queries, visible_at=visible)
