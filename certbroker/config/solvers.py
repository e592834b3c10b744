"""Which solver of the file can put the proof of a name, as far as the file alone can say."""

from __future__ import annotations

from collections.abc import Iterable

from certbroker.config.settings import SolverSettings
from certbroker.names import within


def answering(name: str, solvers: Iterable[SolverSettings]) -> SolverSettings | None:
    """Who answers for `name` over HTTP: the solver with the longest zone that holds it, else the first that names no zones."""
    over_http = [solver for solver in solvers if solver.puts == "http"]
    held = {solver.name: zone for solver in over_http if (zone := within(name, solver.zones))}
    if held:
        longest = max(held.values(), key=len)
        return next(solver for solver in over_http if held.get(solver.name) == longest)
    return next((solver for solver in over_http if not solver.zones), None)
