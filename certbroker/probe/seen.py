"""A look: every address of an edge, asked for one name."""

from __future__ import annotations

import concurrent.futures
import hashlib
import ipaddress
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from cryptography import x509

from certbroker import keys
from certbroker.model import Edge
from certbroker.names import is_address, probe_name
from certbroker.probe.asking import Answer, request
from certbroker.probe.handshake import Heard, Place, join, shake_hands, split, words
from certbroker.probe.trust import Roots, judge_certificates
from certbroker.world import Clock, Network

SECONDS: Final = 10.0
"""For the name look-up, and again for connecting and shaking hands with each address."""
MOST_AT_ONCE: Final = 8
"""Addresses of one edge looked at together."""


class Verdict(StrEnum):
    """What a look found."""

    VALID = "valid"
    """A certificate that a user accepts for this name now."""
    INVALID = "invalid"
    """A certificate that a user refuses; `detail` says why."""
    REFUSED = "refused"
    """Somebody answers there, but there is no handshake."""
    UNREACHABLE = "unreachable"
    """Nobody answers, or there is no way from here."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look. `address` is the IP text, or the edge's own host where `connect_to` leads elsewhere; `detail` is for people."""

    edge: Edge
    address: str
    name: str
    at: datetime
    verdict: Verdict
    fingerprint: str | None = None
    issued_by: str | None = None
    ends: datetime | None = None
    detail: str = ""
    chain: int = 0
    """How many certificates were sent."""
    answer: Answer | None = None
    """To the HTTP request, if one was made."""
    starts: datetime | None = None
    seconds: float = 0.0
    """From connecting to the end of the look; 0 where no address was found."""

    @property
    def where(self) -> str:
        """The edge as the owner knows it, and the address behind it when that is another text."""
        return str(self.edge) if self.address in (str(self.edge), self.edge.host) else f"{self.edge} ({self.address})"


def look(
    edge: Edge,
    name: str,
    *,
    roots: Roots,
    network: Network,
    connect_to: Mapping[str, str],
    clock: Clock,
    timeout: float = SECONDS,
    ask: str | None = None,
) -> list[Seen]:
    """Ask `edge` for `name` (for a wildcard: a name under it), at each of its IPv4 and IPv6 addresses.

    Args:
        connect_to: "host:port" of an edge or address to the "host:port" to connect to in its place.
        timeout: seconds for the name look-up, and then for each address from connecting to the end.
        ask: a path to GET over the same connection, with `name` as Host; not for a wildcard, which names no site.
    """
    at = clock.now()
    sni = None if is_address(name) else probe_name(name)  # RFC 6066 section 3: no literal addresses
    asked = request(name, ask) if ask is not None and not name.startswith("*.") else None
    try:
        places = _places(edge, network, connect_to, timeout)
        for place in places:
            network.contact("tls", join(place.host, place.port))
    except OSError as error:
        return [Seen(edge, edge.host, name, at, Verdict.UNREACHABLE, detail=words(error))]

    def shake(place: Place) -> Seen:
        began = clock.monotonic()
        heard = shake_hands(place, sni, clock, timeout, asked)
        took = clock.monotonic() - began
        return replace(_seen(edge, name, at, place, heard, roots), seconds=took)

    if len(places) == 1:
        return [shake(places[0])]
    with concurrent.futures.ThreadPoolExecutor(min(len(places), MOST_AT_ONCE)) as pool:
        return list(pool.map(shake, places))


def _seen(edge: Edge, name: str, at: datetime, place: Place, heard: Heard, roots: Roots) -> Seen:
    if not heard.chain:
        verdict = Verdict.REFUSED if heard.reached else Verdict.UNREACHABLE
        return Seen(edge, place.shown, name, at, verdict, detail=heard.detail)
    fingerprint = hashlib.sha256(heard.chain[0]).hexdigest()
    try:
        chain = [x509.load_der_x509_certificate(der) for der in heard.chain]
        problem = judge_certificates(chain, probe_name(name), roots, at)
        issued_by = keys.common_name(chain[0].issuer)
        starts, ends = chain[0].not_valid_before_utc, chain[0].not_valid_after_utc
    except keys.UNREADABLE:
        detail = "the certificate cannot be read"
        return Seen(edge, place.shown, name, at, Verdict.INVALID, fingerprint, detail=detail, chain=len(heard.chain))
    verdict = Verdict.INVALID if problem else Verdict.VALID
    return Seen(
        edge,
        place.shown,
        name,
        at,
        verdict,
        fingerprint,
        issued_by,
        ends,
        problem or "",
        len(chain),
        heard.answer,
        starts,
    )


def _places(edge: Edge, network: Network, connect_to: Mapping[str, str], timeout: float) -> list[Place]:
    """Raises OSError if the edge's name cannot be resolved."""
    if mapped := connect_to.get(join(edge.host, edge.port)):
        return [Place(edge.host, *split(mapped))]
    if is_ip(edge.host):
        return [Place(edge.host, edge.host, edge.port)]
    network.contact("dns", edge.host)
    places = []
    for address in _resolve(edge.host, edge.port, timeout):
        mapped = connect_to.get(join(address, edge.port))
        places.append(Place(address, *(split(mapped) if mapped else (address, edge.port))))
    return places


def _resolve(host: str, port: int, timeout: float) -> list[str]:
    """Each address once, by the system's resolver, which knows no time limit: so it works aside, and we stop listening."""
    answers: list[list[str] | OSError] = []

    def work() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.append(list(dict.fromkeys(str(info[4][0]) for info in found)))
        except UnicodeError:
            answers.append(OSError("is no host name"))
        except OSError as error:
            answers.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout)
    answer = answers[0] if answers else OSError(f"its address was not found within {timeout:.0f} seconds")
    if isinstance(answer, OSError):
        raise answer
    return answer


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
