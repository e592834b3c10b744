"""The solvers of a run, opened at first use, and what is asked of one: to put a proof where it belongs and to take it away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from certbroker.challenges.http_solver import HttpSolver, token_of
from certbroker.challenges.kinds import solver_class
from certbroker.challenges.records import Row
from certbroker.challenges.solver import Bundles, Solver, SolverContext
from certbroker.errors import CertbrokerError, CredentialsRejected, NothingDone, Unavailable, UsageError
from certbroker.model import Traits
from certbroker.secret import Secret, SecretRef
from certbroker.world import World

if TYPE_CHECKING:
    from certbroker.challenges.lookup import Lookup
    from certbroker.config import NetworkSettings, Puts, SolverSettings
    from certbroker.session import Session

MOST_TOGETHER: Final = 50
"""Values in one call: an update of so many of the longest names fits into a DNS message (64 KiB)."""

R = TypeVar("R", bound=Row)
T = TypeVar("T")


class Opened:
    """Thread-safe; one instance of each solver for its own lifetime, which is one run."""

    def __init__(
        self,
        settings: Mapping[str, SolverSettings],
        *,
        network: NetworkSettings,
        world: World,
        folder: Path,
        resolve: Callable[[SecretRef], Secret],
        provider: Callable[[str], object],
        lookup: Callable[[], Lookup],
        deadline: float,
    ) -> None:
        self._settings = settings
        self._network = network
        self._world = world
        self._folder = folder
        self._open = resolve
        self._provider = provider
        self._lookup = lookup
        self._deadline = deadline
        self._lock = threading.RLock()
        self._solvers: dict[str, Solver | HttpSolver] = {}
        self._able: set[str] = set()
        self._names: dict[tuple[str, str], threading.Lock] = {}

    def any(self, name: str) -> Solver | HttpSolver:
        """The solver of that name in the file. Raises LookupError if there is none."""
        with self._lock:
            if name not in self._solvers:
                settings = self._settings[name]
                context = SolverContext(
                    name=name,
                    zones=tuple(settings.zones),
                    nameservers=tuple(settings.nameservers),
                    session=self._session,
                    resolve=self._resolve,
                    lookup=self._lookup(),
                    clock=self._world.clock,
                    random=self._world.random,
                    environ=self._world.environ,
                    network=self._world.network,
                    cwd=self._folder,
                    deadline=self._deadline,
                    provider=self._provider,
                )
                self._solvers[name] = solver_class(settings.type).open(settings.options, context)
            return self._solvers[name]

    def in_dns(self, name: str) -> Solver:
        """One that writes TXT records."""
        return cast("Solver", self._of(name, "txt"))

    def over_http(self, name: str) -> HttpSolver:
        """One that answers http-01."""
        return cast("HttpSolver", self._of(name, "http"))

    def try_http(self, name: str) -> None:
        """Whether that solver can answer; once a run, however many names it is for. Raises ProviderError or NothingDone."""
        with self._lock:
            if name not in self._able:
                self.over_http(name).check()
                self._able.add(name)

    def bundled(self, rows: Mapping[int, R]) -> dict[int, dict[int, R]]:
        """Those that one call can carry lie together: of one zone, where its solver takes many at once; every other lies alone."""
        bundles: dict[tuple[object, ...], list[dict[int, R]]] = {}
        for index, row in rows.items():
            alone = row.kind != "txt" or not self._bundles(row.solver)
            open_ = bundles.setdefault((index,) if alone else (row.solver, row.zone), [{}])
            if len(open_[-1]) == MOST_TOGETHER:
                open_.append({})
            open_[-1][index] = row
        return dict(enumerate(bundle for several in bundles.values() for bundle in several))

    def present_all(self, bundle: Mapping[int, Row]) -> dict[int, str | CertbrokerError]:
        """Put them there: for each the solver's handle, or why not."""
        return self._all(bundle, lambda solver, zone, values: solver.present_all(zone, values), self.present)

    def clean_up_all(self, bundle: Mapping[int, Row]) -> dict[int, CertbrokerError | None]:
        """Take them away: for each why not, if so."""
        return self._all(bundle, lambda solver, zone, values: solver.clean_up_all(zone, values), self.clean_up)

    def _all(
        self,
        bundle: Mapping[int, Row],
        together: Callable[[Bundles, str, list[tuple[str, str]]], T],
        alone: Callable[[Row], T],
    ) -> dict[int, T | CertbrokerError]:
        first = next(iter(bundle.values()))
        if len(bundle) > 1:
            try:
                solver = cast("Bundles", self.in_dns(first.solver))
                done = together(solver, first.zone, [(row.name, row.value) for row in bundle.values()])
                return dict.fromkeys(bundle, done)
            except Unavailable as error:
                return dict.fromkeys(bundle, error)
            except CertbrokerError:
                pass  # there is one among them that it does not take: one by one, each has its own answer
        found: dict[int, T | CertbrokerError] = {}
        for index, row in bundle.items():
            try:
                found[index] = alone(row)
            except CertbrokerError as error:
                found[index] = error
        return found

    def _bundles(self, name: str) -> bool:
        """A solver that is not there, or another one now, is told when its row's turn comes."""
        try:
            return isinstance(self.in_dns(name), Bundles)
        except NothingDone:
            return False

    def present(self, row: Row) -> str:
        """Put it there; returns the solver's handle. Raises ProviderError or NothingDone."""
        with self._one_at_a_time(row):
            if row.kind == "http":
                return self.over_http(row.solver).present(row.name, token_of(row.value), row.value)
            return self.in_dns(row.solver).present(row.zone, row.name, row.value)

    def clean_up(self, row: Row) -> None:
        """Take it away. Raises ProviderError or NothingDone."""
        with self._one_at_a_time(row):
            if row.kind == "http":
                self.over_http(row.solver).clean_up(row.name, token_of(row.value), row.value, row.handle)
            else:
                self.in_dns(row.solver).clean_up(row.zone, row.name, row.value, row.handle)

    def _of(self, name: str, puts: Puts) -> Solver | HttpSolver:
        """The journal names solvers of an earlier file, too."""
        if name not in self._settings:
            raise NothingDone(f"the file has no solver {name} any more")
        solver = self.any(name)
        if solver.puts != puts:
            raise NothingDone(f"the solver {name} of the file is another one now")
        return solver

    def _one_at_a_time(self, row: Row) -> threading.Lock:
        """Services that write a whole set at a name lose a value when two writers meet there."""
        with self._lock:
            return self._names.setdefault((row.solver, row.name), threading.Lock())

    def _resolve(self, reference: SecretRef) -> Secret:
        """A secret that cannot be had is this solver's trouble, told in its own family of errors."""
        try:
            return self._open(reference)
        except UsageError as error:
            raise CredentialsRejected(error.what, hint=error.hint) from None

    def _session(
        self, *, service: str, base: str, authorize: Callable[[], Mapping[str, Secret]], traits: Traits
    ) -> Session:
        from certbroker.pacing import Pacer, Rate
        from certbroker.session import Session
        from certbroker.transport import Transport

        return Session(
            service=service,
            base=base,
            transport=Transport(self._world.network, self._network.connect_to),
            clock=self._world.clock,
            deadline=self._deadline,
            pacer=Pacer(self._world.clock, Rate(traits.calls_per_second, traits.burst)),
            authorize=authorize,
        )
