"""A handshake with every edge before and after each step, and what it means in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from certbroker.broker.desk import Desk
from certbroker.broker.report import day
from certbroker.deploy.verify import address
from certbroker.errors import ProviderError
from certbroker.model import Certificate
from certbroker.probe import Roots, Seen, Verdict

Spot = tuple[str, str, str]
"""Target, name, address."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What every edge of some targets serves, now."""

    seen: Mapping[Spot, Seen]
    unknown: tuple[str, ...] = ()
    """Targets whose edges could not be found out, and why."""

    @property
    def valid(self) -> frozenset[Spot]:
        return frozenset(spot for spot, seen in self.seen.items() if seen.verdict is Verdict.VALID)

    def worse(self, before: Glance) -> list[Spot]:
        """Where something valid was served before and is not any more."""
        return sorted(before.valid - self.valid)

    def prints(self, target: str) -> set[str | None]:
        """The fingerprints at the edges of that target that can be reached."""
        mine = [seen for (at, _, _), seen in self.seen.items() if at == target]
        return {seen.fingerprint for seen in mine if seen.verdict is not Verdict.UNREACHABLE}

    def ends(self) -> str:
        """When the first of what is served ends, in words."""
        ends = [self.seen[spot].ends for spot in self.valid]
        return day(min(end for end in ends if end)) if any(ends) else ""


def glance(desk: Desk, certificate: Certificate, targets: Iterable[str]) -> Glance:
    """Shake hands with all of them. Never raises for what an edge does."""
    roots = roots_of(desk, certificate)
    found: dict[Spot, Seen] = {}
    unknown = []
    for target in dict.fromkeys(targets):
        assignment = next(each for each in certificate.assignments if each.target == target)
        try:
            edges = desk.target(target).edges(assignment)
        except ProviderError as error:
            unknown.append(f"{target}: its edges are not known: {error.what}")
            continue
        for name in assignment.names:
            for seen in desk.saga.looking.look(edges, assignment, name, roots):
                found[target, name, address(seen)] = seen
    return Glance(found, tuple(unknown))


def roots_of(desk: Desk, certificate: Certificate) -> Roots:
    """Those of our issuer and the system's: a platform's own certificate is judged by the latter."""
    pem = desk.issuer(certificate.issuers[0]).roots_pem
    return Roots.with_system(pem) if pem else Roots.system()


def told(desk: Desk, look: Glance) -> str:
    """`fly-blue: 4 of 4 serve v1; fastly: 10 of 10 serve one by Let's Encrypt`, with what is wrong said first."""
    parts = []
    for target in dict.fromkeys(spot[0] for spot in look.seen):
        mine = [seen for spot, seen in look.seen.items() if spot[0] == target]
        reached = [seen for seen in mine if seen.verdict is not Verdict.UNREACHABLE]
        if not reached:
            parts.append(f"{target}: no edge can be reached from here")
            continue
        counts = Counter(_what(desk, seen) for seen in reached)
        parts.append(f"{target}: " + ", ".join(f"{n} of {len(reached)} {what}" for what, n in counts.most_common()))
    return "; ".join([*look.unknown, *parts]) or "there is no edge to look at"


def _what(desk: Desk, seen: Seen) -> str:
    if seen.verdict is Verdict.REFUSED:
        return "refuse the handshake"
    version = desk.store.by_fingerprint(seen.fingerprint) if seen.fingerprint else None
    what = version.label if version else f"one by {seen.issued_by}"
    return f"serve {what}" + (f", which users refuse: {seen.detail}" if seen.verdict is Verdict.INVALID else "")
