"""What `init` finds out before it asks: who holds the DNS, the challenge label, and who serves the name now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from certbroker import probe
from certbroker.broker.report import day
from certbroker.challenges.holders import holder_of
from certbroker.challenges.lookup import Lookup
from certbroker.config import NetworkSettings
from certbroker.errors import CertbrokerError
from certbroker.model import Edge
from certbroker.names import base_name
from certbroker.probe import Roots, Verdict
from certbroker.world import World

HOSTS: Final = {
    "dnsimple": ("dnsimple.com", "dnsimple-edge.com", "dnsimple-edge.net", "dnsimple-edge.io", "dnsimple-edge.org")
}
"""Solver types by the name servers of their service."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Findings, one a line, and the solver type that fits the zone's name servers."""

    lines: tuple[str, ...]
    solver: str | None


def survey(world: World, names: Sequence[str], network: NetworkSettings | None = None) -> Survey:
    """Look, for the first zone of `names`. What cannot be found out is said and stops nothing."""
    lines: list[str] = []
    solver = None
    base = base_name(names[0])
    settings = network or NetworkSettings({}, ())
    try:
        lookup = Lookup(
            recursors=settings.nameservers,
            connect_to=settings.connect_to,
            network=world.network,
            clock=world.clock,
            deadline=world.clock.monotonic() + 15.0,
        )
        zone = lookup.zone_of(base)
        servers = [str(server.name) for server in lookup.servers(zone)]
        solver = next(
            (kind for kind, hosts in HOSTS.items() if any(s.rstrip(".").endswith(h) for s in servers for h in hosts)),
            None,
        )
        lines.append(
            f"the zone {zone} is served by {', '.join(sorted(set(servers))[:4])}" + (f": {solver}" if solver else "")
        )
        landing = lookup.land(f"_acme-challenge.{base}").end
        holder = holder_of(landing)
        if holder is not None:
            lines.append(
                f"{holder.name} holds _acme-challenge.{base} (CNAME to {landing}); it must go before we can order"
            )
    except CertbrokerError as error:
        lines.append(f"DNS: {error.what}")
    looks = probe.look(
        Edge(base), base, roots=Roots.system(), network=world.network, connect_to=settings.connect_to, clock=world.clock
    )
    valid = next((look for look in looks if look.verdict in (Verdict.VALID, Verdict.INVALID)), None)
    if valid is not None and valid.ends is not None:
        lines.append(f"{base} serves a certificate by {valid.issued_by}, until {day(valid.ends)}")
    else:
        lines.append(f"nobody serves TLS for {base} that can be seen from here")
    return Survey(tuple(lines), solver)
