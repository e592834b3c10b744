"""Looks at edges, each remembered in the store as the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from certbroker import probe
from certbroker.deploy.verify import address
from certbroker.model import Assignment, Edge, Version
from certbroker.probe import Roots, Seen
from certbroker.store import SeenRow, Store
from certbroker.world import World


@dataclass(frozen=True, slots=True)
class Looking:
    """How this run looks."""

    store: Store
    world: World
    connect_to: Mapping[str, str]

    def look(
        self, edges: Sequence[Edge], assignment: Assignment, name: str, roots: Roots, ask: str | None = None
    ) -> list[Seen]:
        """Every address of every edge, now. `ask`: a path to GET there too."""
        return self._remembered(edges, assignment, (name,), roots, ask)[name]

    def look_all(
        self, edges: Sequence[Edge], assignment: Assignment, version: Version, ask: str | None = None
    ) -> dict[str, list[Seen]]:
        """For each name, judged by the roots of `version`."""
        roots = Roots.of(version.roots_pem) if version.roots_pem else Roots.system()
        return self._remembered(edges, assignment, assignment.names, roots, ask)

    def at(self, edge: Edge, name: str, roots: Roots, ask: str | None) -> list[Seen]:
        """The handshakes themselves, one for each address of the edge."""
        return probe.look(
            edge,
            name,
            roots=roots,
            network=self.world.network,
            connect_to=self.connect_to,
            clock=self.world.clock,
            ask=ask,
        )

    def _remembered(
        self, edges: Sequence[Edge], assignment: Assignment, names: Sequence[str], roots: Roots, ask: str | None
    ) -> dict[str, list[Seen]]:
        looks = {name: [seen for edge in edges for seen in self.at(edge, name, roots, ask)] for name in names}
        self.store.see(
            [
                SeenRow(
                    target=assignment.target,
                    name=name,
                    edge=address(seen),
                    certificate=assignment.certificate,
                    at=seen.at,
                    verdict=seen.verdict.value,
                    fingerprint=seen.fingerprint,
                    issued_by=seen.issued_by,
                    ends=seen.ends,
                    detail=seen.detail,
                    seconds=seen.seconds,
                )
                for name, found in looks.items()
                for seen in found
            ]
        )
        return looks
