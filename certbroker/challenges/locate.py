"""Where a TXT must be written: the name where it lands, after CNAMEs, its zone, and the solver that serves that zone.

A solver is chosen by the zones that the file names for it, then by the zones its own service lists, and last, for a solver
that knows none, by the zone that DNS says. What a service lists is compared with what the world sees.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from certbroker.challenges import holders
from certbroker.challenges.kinds import walks
from certbroker.challenges.lookup import Lookup, Way
from certbroker.challenges.records import Landing
from certbroker.challenges.solver import Solver
from certbroker.errors import NothingDone, ProviderError, Unavailable
from certbroker.names import NAME, within

if TYPE_CHECKING:
    from certbroker.config import SolverSettings


class Locator:
    """Thread-safe; remembers where a name lands for its own lifetime, which is one run."""

    def __init__(
        self, settings: Mapping[str, SolverSettings], *, lookup: Lookup, solver: Callable[[str], Solver]
    ) -> None:
        self._settings = settings
        self._lookup = lookup
        self._solver = solver
        self._lock = threading.Lock()
        self._ways: dict[str, Way] = {}
        self._landings: dict[str, Landing] = {}

    def locate(self, asked: str) -> Landing:
        """Asked once a name. Raises NothingDone or ProviderError, as `Challenges.locate` says."""
        if not NAME.fullmatch(asked) or len(asked) > 253:
            raise NothingDone(f"{asked!a} is not a DNS name")
        with self._lock:
            known = self._landings.get(asked)
        if known is not None:
            return known
        landing = self._find(asked)
        with self._lock:
            return self._landings.setdefault(asked, landing)

    def settle(self, landing: Landing) -> None:
        """We made it so ourselves: what recursors still remember of before is not asked."""
        with self._lock:
            self._landings[landing.asked] = landing
            self._ways[landing.asked] = Way((landing.name,))

    def forget(self, asked: str) -> None:
        with self._lock:
            self._landings.pop(asked, None)
            self._ways.pop(asked, None)

    def own(self, name: str) -> Landing:
        """Who writes at `name` itself, whatever stands there. Raises NothingDone or ProviderError, as `locate`."""
        above = name.split(".", 1)[1]  # a CNAME at the name would answer for it
        solver, zone = self._named(above) or self._listed(above) or self._walked(above, above)
        return Landing(name, name, zone, solver)

    def refuse_held(self, asked: str) -> None:
        """Raises NothingDone if a platform that we know answers there, and nothing in the file says that it is ours.

        Asks DNS alone: no solver and no token. Raises Unavailable if it does not answer.
        """
        way = self.way(asked)
        holder = holders.holder_of(way.end) if way.end != asked else None
        if holder and not holder.perhaps_ours and not any(within(way.end, s.zones) for s in self._settings.values()):
            raise _held(asked, way, holder)

    def way(self, asked: str) -> Way:
        """Where it leads. Asked once a name. Raises NothingDone or Unavailable, as `Lookup.land`."""
        with self._lock:
            known = self._ways.get(asked)
        if known is not None:
            return known
        way = self._lookup.land(asked)
        with self._lock:
            return self._ways.setdefault(asked, way)

    def _find(self, asked: str) -> Landing:
        way = self.way(asked)
        holder = holders.holder_of(way.end) if way.end != asked else None
        claim = self._named(way.end)
        if claim is None and (holder is None or holder.perhaps_ours):
            claim = self._listed(way.end)
        if claim is None and holder is not None:
            raise _held(asked, way, holder)
        if claim is None:
            claim = self._walked(asked, way.end)
        solver, zone = claim
        settings = self._settings[solver]
        if zone.count(".") < 1 and zone not in settings.zones:
            raise NothingDone(
                f"{way.end} is in the zone {zone}, which looks like a whole top level",
                hint=f'if it is yours: [solver.{solver}] zones = ["{zone}"]',
            )
        return Landing(asked, way.end, zone, solver)

    def _named(self, name: str) -> tuple[str, str] | None:
        """The solver for whose zones the file says so; the longest zone wins, then the first in the file."""
        named = {solver: within(name, settings.zones) for solver, settings in self._settings.items()}
        best = max((zone for zone in named.values() if zone), key=len, default=None)
        if best is None:
            return None
        chosen = next(solver for solver, zone in named.items() if zone == best)
        zone = self._solver(chosen).zone_for(name)
        if zone is None:
            raise NothingDone(
                f"solver {chosen} is to serve {best}, and its service does not hold a zone for {name}",
                hint=f"look at zones under [solver.{chosen}], and at what its credentials may see",
            )
        self._compare(chosen, zone, name)
        return chosen, zone

    def _listed(self, name: str) -> tuple[str, str] | None:
        """The solver whose own service lists the longest zone. One that fails counts only if no other claims the name."""
        claims: list[tuple[str, str]] = []
        errors: list[ProviderError] = []
        for solver, settings in self._settings.items():
            if settings.zones or walks(settings.type):
                continue
            try:
                zone = self._solver(solver).zone_for(name)
            except ProviderError as error:
                errors.append(error)
                continue
            if zone is not None:
                claims.append((solver, zone))
        if claims:
            solver, zone = max(claims, key=lambda claim: len(claim[1]))
            self._compare(solver, zone, name)
            return solver, zone
        if errors:
            raise errors[0]
        return None

    def _compare(self, solver: str, zone: str, name: str) -> None:
        """What the service lists must be what the world sees, or the proof is written where nobody looks."""
        settings = self._settings[solver]
        if settings.nameservers or settings.type == "acme-dns":
            return  # the owner says where to look; or a server that denies names when it is asked for an SOA
        try:
            seen = self._lookup.zone_of(name)
        except Unavailable:
            return  # unknown is not a contradiction; the wait will tell
        if seen == zone:
            return
        if seen.endswith("." + zone):
            raise NothingDone(
                f"{name} is in the zone {seen}, which {zone} delegates to other servers, and solver {solver} holds only {zone}",
                hint=f"add a solver that can write to {seen}, or remove the delegation",
            )
        raise NothingDone(
            f"solver {solver} holds the zone {zone}, but DNS finds {name} in {seen}: {zone} is not delegated",
            hint=f"let the registrar or {seen} point to the name servers of {zone}"
            f' (or say where to look: [solver.{solver}] nameservers = ["host:53"])',
        )

    def _walked(self, asked: str, end: str) -> tuple[str, str]:
        """No service knows the name: a solver without zones of its own takes the zone that the SOA walk finds."""
        zone = self._lookup.zone_of(end)
        lands = f"{asked} is a CNAME to {end}, in the zone {zone}" if end != asked else f"{asked} is in the zone {zone}"
        walkers = [name for name, s in self._settings.items() if not s.zones and walks(s.type)]
        if not walkers:
            raise NothingDone(
                f"{lands}, and no configured solver serves that zone",
                hint=f"add a [solver.NAME] for {zone}" + (f", or delete the CNAME {asked}" if end != asked else ""),
            )
        if end != asked and self._lookup.zone_of(asked) != zone:
            raise NothingDone(
                f"{lands}, which no solver names",
                hint=f'if it is yours: [solver.{walkers[0]}] zones = ["{zone}"]; else delete the CNAME {asked}',
            )
        return walkers[0], zone


def _held(asked: str, way: Way, holder: holders.Holder) -> NothingDone:
    return NothingDone(
        f"{asked} is a CNAME to {way.end}: held by {holder.name}; the CA would look for our proof there",
        hint=f"delete the CNAME {asked} ({holder.needed})",
    )
