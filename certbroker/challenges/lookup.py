"""Questions to DNS: where a TXT really lands, which zone holds it, who serves that zone, and what each server says.

Recursors (`[network] nameservers`, else the system's) find the way; whether a value is *there* is asked of the zone's own
servers alone, because a recursor remembers both answers and refusals. The way is looked for with TXT queries: an acme-dns
server denies a name for every other type, and recursors remember that.

Every contact is announced to the world first. `connect_to` ("host:port" to "host:port") holds for DNS as for HTTP.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.rrset
from dns.rdatatype import RdataType

from certbroker.challenges.dnssec import BrokenDnssec
from certbroker.errors import NothingDone, Unavailable
from certbroker.names import NAME
from certbroker.world import Clock, Network

RECURSOR_SECONDS: Final = 2.0
ROUNDS: Final = 3
"""How often each recursor is asked before we give up."""
ASK_SECONDS: Final = 3.0
PAYLOAD: Final = 1232
"""EDNS buffer that no path fragments (DNS flag day 2020)."""
LONGEST_CHAIN: Final = 16


class State(StrEnum):
    """What one server says about TXT at one name."""

    YES = "yes"
    NODATA = "no TXT there"
    NXDOMAIN = "no such name"
    CNAME = "an alias that leads elsewhere"
    REFERRAL = "delegated to other servers"
    LAME = "not its zone"
    SERVFAIL = "server failure"
    UNREACHABLE = "no answer"


class Server(NamedTuple):
    """One address of one name server."""

    name: str
    host: str
    port: int = 53

    def __str__(self) -> str:
        where = joined(self.host, self.port) if self.port != 53 else self.host
        return f"{self.name} ({where})" if self.name != self.host else where


@dataclass(frozen=True, slots=True)
class Said:
    """One server's answer. `recursing`: it answered as a recursor does, so something may sit between us and the server."""

    state: State
    values: tuple[str, ...] = ()
    recursing: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """From the name asked for to the name where a TXT has to be: `names[0]` and `names[-1]`."""

    names: tuple[str, ...]

    @property
    def end(self) -> str:
        return self.names[-1]


class Lookup:
    """Thread-safe; remembers zones and servers for its own lifetime, which is one run."""

    def __init__(
        self,
        *,
        recursors: tuple[str, ...],
        connect_to: Mapping[str, str],
        network: Network,
        clock: Clock,
        deadline: float,
    ) -> None:
        self._given = recursors
        self._connect_to = connect_to
        self._network = network
        self._clock = clock
        self._deadline = deadline
        self._lock = threading.Lock()
        self._recursors: tuple[tuple[str, int], ...] | None = None
        self._zones: dict[str, str] = {}
        self._servers: dict[str, tuple[Server, ...]] = {}

    # ---- through a recursor ------------------------------------------------------------------------------------------

    def query(self, name: dns.name.Name, kind: RdataType, *, unchecked: bool = False) -> dns.message.QueryMessage:
        """An answer (NOERROR or NXDOMAIN) from one of the recursors. Raises Unavailable.

        Args:
            unchecked: ask the recursor not to validate DNSSEC (RFC 4035 3.2.2, CD).
        """
        said: dict[str, str] = {}
        for round_ in range(ROUNDS):
            for host, port in self._all_recursors():
                if self._clock.monotonic() >= self._deadline:
                    raise Unavailable("no time left for DNS look-ups", hint="the next run goes on from here")
                message = dns.message.make_query(name, kind, use_edns=0, payload=PAYLOAD)
                message.flags |= (
                    dns.flags.CD if unchecked else dns.flags.AD
                )  # AD: tell whether it is proven (RFC 6840 5.7)
                try:
                    answer = self._send(message, host, port, RECURSOR_SECONDS)
                except (dns.exception.DNSException, OSError, EOFError) as error:
                    said[joined(host, port)] = said_by(error)
                    continue
                if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                    if isinstance(answer, dns.message.QueryMessage):
                        return answer
                    said[joined(host, port)] = "an answer that is none"
                    continue
                said[joined(host, port)] = dns.rcode.to_text(answer.rcode())
            if round_ == 0 and set(said.values()) == {"SERVFAIL"} and not unchecked:
                self._explain_servfail(name, kind)
        what = "; ".join(f"{server} says {word}" for server, word in said.items())
        raise Unavailable(
            f"cannot look up {shown(name)} {dns.rdatatype.to_text(kind)}: {what}",
            hint="[network] nameservers names other recursors",
        )

    def _explain_servfail(self, name: dns.name.Name, kind: RdataType) -> None:
        """A recursor says SERVFAIL for broken DNSSEC, CNAME loops and dead servers alike: find out which."""
        try:
            self.query(name, kind, unchecked=True)
        except Unavailable:
            return
        raise BrokenDnssec(
            f"DNSSEC is broken for {shown(name)}: recursors that validate refuse the answer, and so will the CA",
            hint="compare the DS record at the registrar with the zone's keys",
        )

    def _all_recursors(self) -> tuple[tuple[str, int], ...]:
        with self._lock:
            if self._recursors is None:
                self._recursors = tuple(split(text) for text in self._given) or _system_recursors()
            return self._recursors

    def land(self, name: str) -> Way:
        """Follow CNAMEs and DNAMEs from `name`; where they end, a TXT would have to be, whether one exists or not.

        A CNAME that only a wildcard lends to the name is no obstacle: it vanishes once something is published there.

        Raises:
            NothingDone: the CNAMEs run in a circle, or lead to something that is no usable name.
            Unavailable: DNS does not answer.
        """
        way = [dns.name.from_text(name)]
        while True:
            try:
                chain = self.query(way[-1], RdataType.TXT).resolve_chaining()
            except Unavailable:
                self._refuse_circle(way[-1])
                if len(way) > 1:
                    break  # the zone it leads to does not answer: where it leads is known all the same
                raise
            except (dns.message.ChainTooLong, dns.message.AnswerForNXDOMAIN, dns.message.NotQueryResponse) as error:
                self._refuse_circle(way[-1])
                raise NothingDone(f"the CNAMEs at {name} cannot be followed: {said_by(error)}") from None
            if not chain.cnames:
                break
            if len(way) == 1 and self._lent_by_wildcard(way[0], chain.cnames[0]):
                break
            for rrset in chain.cnames:
                _step(way, rrset[0].target)
            if chain.answer is not None:
                break
        names = tuple(shown(step) for step in way)
        if not NAME.fullmatch(names[-1]) or len(names[-1]) > 253:
            raise NothingDone(f"{name} leads to {names[-1]!a}, which is no name that can be published at")
        return Way(names)

    def _refuse_circle(self, name: dns.name.Name) -> None:
        """Follow CNAME by CNAME what a recursor would not answer. Raises NothingDone if it is a circle."""
        way = [name]
        while True:
            try:
                answer = self.query(way[-1], RdataType.CNAME, unchecked=True)
            except Unavailable:
                return
            found = answer.get_rrset(answer.answer, way[-1], dns.rdataclass.IN, RdataType.CNAME)
            if found is None:
                return
            _step(way, found[0].target)

    def is_alias(self, name: str) -> bool:
        """Whether a CNAME stands at `name` itself: then no other record can. Raises Unavailable."""
        asked = dns.name.from_text(name)
        answer = self.query(asked, RdataType.CNAME)
        return answer.get_rrset(answer.answer, asked, dns.rdataclass.IN, RdataType.CNAME) is not None

    def _lent_by_wildcard(self, name: dns.name.Name, cname: dns.rrset.RRset) -> bool:
        parent = name.parent()
        while len(parent.labels) > 2:
            star = dns.name.Name((b"*", *parent.labels))
            answer = self.query(star, RdataType.CNAME)
            own = answer.get_rrset(answer.answer, star, dns.rdataclass.IN, RdataType.CNAME)
            if own is not None:
                return bool(own[0].target == cname[0].target)
            parent = parent.parent()
        return False

    def zone_of(self, name: str) -> str:
        """The zone that holds `name`, by walking up to its SOA (never by a suffix list). Raises Unavailable."""
        with self._lock:
            if name in self._zones:
                return self._zones[name]
        step = dns.name.from_text(name)
        while True:
            answer = self.query(step, RdataType.SOA)
            zone = _zone_in(answer, step)
            if zone is not None:
                break
            if step == dns.name.root:
                raise Unavailable(f"no SOA from {name} up to the root")
            step = step.parent()
        with self._lock:
            return self._zones.setdefault(name, shown(zone))

    def servers(self, zone: str) -> tuple[Server, ...]:
        """Every address, IPv4 and IPv6, of the servers that the world is told to ask. Raises Unavailable."""
        with self._lock:
            if zone in self._servers:
                return self._servers[zone]
        answer = self.query(dns.name.from_text(zone), RdataType.NS)
        found = answer.get_rrset(answer.answer, dns.name.from_text(zone), dns.rdataclass.IN, RdataType.NS)
        hosts = sorted(shown(ns.target) for ns in found or ())
        servers = tuple(Server(host, address) for host in hosts for address in self.addresses(host))
        if not servers:
            raise Unavailable(f"the zone {zone} has no name server with an address")
        with self._lock:
            return self._servers.setdefault(zone, servers)

    def addresses(self, host: str) -> tuple[str, ...]:
        """The IP addresses of a host; one IP is its own. Never raises: a name that does not resolve has none."""
        try:
            return (str(ipaddress.ip_address(host)),)
        except ValueError:
            pass
        found: list[str] = []
        for kind in (RdataType.A, RdataType.AAAA):
            try:
                chain = self.query(dns.name.from_text(host), kind).resolve_chaining()
            except (Unavailable, dns.exception.DNSException):
                continue
            found += [rdata.address for rdata in chain.answer or ()]
        return tuple(found)

    def named(self, nameservers: tuple[str, ...]) -> tuple[Server, ...]:
        """The servers of "host:port" texts. Raises Unavailable if a host has no address."""
        servers = []
        for text in nameservers:
            host, port = split(text)
            addresses = self.addresses(host)
            if not addresses:
                raise Unavailable(f"the name server {host} has no address")
            servers += [Server(host, address, port) for address in addresses]
        return tuple(servers)

    # ---- straight from a server --------------------------------------------------------------------------------------

    def ask(self, server: Server, name: str) -> Said:
        """What this server itself says about TXT at `name`. Never raises for what a server does."""
        qname = dns.name.from_text(name)
        message = dns.message.make_query(qname, RdataType.TXT, use_edns=0, payload=PAYLOAD)
        message.flags &= ~dns.flags.RD
        try:
            answer = self._send(message, server.host, server.port, ASK_SECONDS)
        except (dns.exception.DNSException, OSError, EOFError):
            return Said(State.UNREACHABLE)
        authoritative = bool(answer.flags & dns.flags.AA)
        recursing = bool(answer.flags & dns.flags.RA) and not authoritative
        if answer.rcode() in (dns.rcode.REFUSED, dns.rcode.NOTAUTH):
            return Said(State.LAME, recursing=recursing)
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return Said(State.SERVFAIL, recursing=recursing)
        found = answer.get_rrset(answer.answer, qname, dns.rdataclass.IN, RdataType.TXT)
        if found is not None:
            return Said(State.YES, tuple(b"".join(rdata.strings).decode("latin-1") for rdata in found), recursing)
        if answer.answer:
            return Said(State.CNAME, recursing=recursing)
        if not authoritative:
            referral = any(rrset.rdtype == RdataType.NS for rrset in answer.authority)
            return Said(State.REFERRAL if referral else State.LAME, recursing=recursing)
        return Said(State.NXDOMAIN if answer.rcode() == dns.rcode.NXDOMAIN else State.NODATA)

    def cname(self, server: Server, name: str) -> tuple[str, int] | None:
        """Target and TTL (seconds) of the CNAME that this server itself has at `name`. Raises Unavailable."""
        owner = dns.name.from_text(name)
        message = dns.message.make_query(owner, RdataType.CNAME, use_edns=0, payload=PAYLOAD)
        message.flags &= ~dns.flags.RD
        try:
            answer = self._send(message, server.host, server.port, ASK_SECONDS)
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise Unavailable(f"the name server {server} does not answer: {said_by(error)}") from None
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise Unavailable(f"the name server {server} answers {dns.rcode.to_text(answer.rcode())} for {name}")
        found = answer.get_rrset(answer.answer, owner, dns.rdataclass.IN, RdataType.CNAME)
        return (shown(found[0].target), found.ttl) if found else None

    def own_zone(self, server: Server, name: str) -> str | None:
        """The zone in which `server` itself answers for `name`, with authority; None if it does not. Raises Unavailable."""
        step = dns.name.from_text(name)
        while step != dns.name.root:
            message = dns.message.make_query(step, RdataType.SOA, use_edns=0, payload=PAYLOAD)
            message.flags &= ~dns.flags.RD
            try:
                answer = self._send(message, server.host, server.port, ASK_SECONDS)
            except (dns.exception.DNSException, OSError, EOFError) as error:
                raise Unavailable(f"the name server {server} does not answer: {said_by(error)}") from None
            if not answer.flags & dns.flags.AA or answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return None
            zone = _zone_in(answer, step)
            if zone is not None:
                return shown(zone)
            step = step.parent()
        return None

    def _send(self, message: dns.message.Message, host: str, port: int, seconds: float) -> dns.message.Message:
        """UDP, then TCP if it was cut. Raises DNSException, OSError or EOFError."""
        host, port = self.at(host, port)
        answer, _ = dns.query.udp_with_fallback(message, host, timeout=seconds, port=port, ignore_unexpected=True)
        return answer

    def at(self, host: str, port: int) -> tuple[str, int]:
        """Where to really connect. Announces it; raises OSError if the world forbids it."""
        elsewhere = self._connect_to.get(joined(host, port))
        if elsewhere is not None:
            host, port = split(elsewhere)
        self._network.contact("dns", joined(host, port))
        return host, port


def split(text: str, port: int = 53) -> tuple[str, int]:
    """ "host:port", "[v6]:port", or a host alone."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest[1:]) if rest else port
    if text.count(":") > 1 or ":" not in text:
        return text, port
    host, _, number = text.partition(":")
    return host, int(number)


def joined(host: str, port: int) -> str:
    """The opposite of `split`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def shown(name: dns.name.Name) -> str:
    """A name as we keep it: lower case, no final dot."""
    return name.to_text(omit_final_dot=True).lower()


def said_by(error: BaseException) -> str:
    """A short word for what went wrong on the way to a server."""
    if isinstance(error, dns.exception.Timeout):
        return "nothing in time"
    return type(error).__name__


def _zone_in(answer: dns.message.Message, name: dns.name.Name) -> dns.name.Name | None:
    """The zone of `name` by the answer to its SOA.

    An SOA in the authority section speaks for the name only if the answer section is empty: with a CNAME there it is that of
    the CNAME's target, perhaps of another zone.
    """
    if answer.get_rrset(answer.answer, name, dns.rdataclass.IN, RdataType.SOA) is not None:
        return name
    if answer.answer:
        return None
    return next((s.name for s in answer.authority if s.rdtype == RdataType.SOA and name.is_subdomain(s.name)), None)


def _step(way: list[dns.name.Name], target: dns.name.Name) -> None:
    if target in way or len(way) >= LONGEST_CHAIN:
        raise NothingDone(
            f"the CNAMEs at {shown(way[0])} run in a circle: " + " -> ".join(shown(step) for step in (*way, target)),
            hint="delete one of them",
        )
    way.append(target)


def _system_recursors() -> tuple[tuple[str, int], ...]:
    try:
        found = dns.resolver.Resolver(configure=True).nameservers
    except dns.resolver.NoResolverConfiguration:
        found = ()
    hosts = tuple((str(host), 53) for host in found)
    if not hosts:
        raise Unavailable("this machine names no DNS resolver", hint='[network] nameservers = ["192.0.2.53:53"]')
    return hosts
