"""Proofs of control in DNS: find where a TXT must be, publish it, wait until the world can see it, remove it again.

The solver of a name is chosen by the zone in which the TXT finally lands, after CNAMEs. All records of a run are published
first and then waited for once. The journal is written before every effect, so a clean-up after a crash needs no memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol

from certbroker.challenges import holders
from certbroker.challenges.kinds import SOLVERS, solver_class, solver_settings, solver_types
from certbroker.challenges.solver import ADOPTED, Solver, SolverContext, Spreads, within
from certbroker.errors import CertbrokerError, NothingDone, ProviderError, Unavailable
from certbroker.events import Checked, Emit, Event, ProofPublished, ProofRemoved
from certbroker.model import NAME, Traits, base_name
from certbroker.secret import Secret, SecretRef
from certbroker.world import World

if TYPE_CHECKING:
    from certbroker.challenges.caa import CaaFinding
    from certbroker.challenges.lookup import Lookup, Server
    from certbroker.challenges.propagation import Wanted
    from certbroker.config import NetworkSettings, SolverSettings
    from certbroker.session import Session

__all__ = [
    "SOLVERS",
    "Challenges",
    "Journal",
    "Landing",
    "Row",
    "Solver",
    "SolverContext",
    "Txt",
    "solver_settings",
    "solver_types",
]

AT_ONCE: Final = 8
"""How many records are written at the same time; each solver paces its own calls besides."""

Purpose = Literal["challenge", "ownership"]


@dataclass(frozen=True, slots=True)
class Landing:
    """Where a TXT asked for at `asked` has to be written: at `name`, in `zone`, by `solver`."""

    asked: str
    name: str
    zone: str
    solver: str


@dataclass(frozen=True, slots=True)
class Txt:
    """One TXT value to publish. `name` is the name asked for, e.g. `_acme-challenge.example.com`."""

    purpose: Purpose
    certificate: str
    target: str | None
    order_id: int | None
    name: str
    value: str


class Row(Protocol):
    """One row of the journal: a value we wrote or were about to write."""

    @property
    def id(self) -> int: ...
    @property
    def purpose(self) -> str: ...
    @property
    def order_id(self) -> int | None: ...
    @property
    def certificate(self) -> str: ...
    @property
    def target(self) -> str | None: ...
    @property
    def solver(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def handle(self) -> str | None: ...
    @property
    def state(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Placed:
    """A row of the journal as it is after publishing."""

    id: int
    purpose: str
    order_id: int | None
    certificate: str
    target: str | None
    solver: str
    zone: str
    name: str
    value: str
    handle: str | None
    state: str

    @classmethod
    def of(cls, row: Row) -> Placed:
        return cls(
            row.id,
            row.purpose,
            row.order_id,
            row.certificate,
            row.target,
            row.solver,
            row.zone,
            row.name,
            row.value,
            row.handle,
            row.state,
        )


class Journal(Protocol):
    """Where rows are kept; the store fits."""

    def plan_record(
        self,
        purpose: Purpose,
        *,
        order_id: int | None,
        certificate: str,
        target: str | None,
        solver: str,
        zone: str,
        name: str,
        value: str,
    ) -> Row: ...

    def record_present(self, id: int, handle: str | None, *, events: Sequence[Event] = ()) -> None: ...

    def record_removed(self, id: int, *, events: Sequence[Event] = ()) -> None: ...

    def unremoved(self, purpose: Purpose | None = None, order_id: int | None = None) -> Sequence[Row]: ...


class Challenges:
    """All solvers of a run. Thread-safe.

    Args:
        deadline: `world.clock.monotonic()` seconds after which nothing is started any more.
    """

    def __init__(
        self,
        solvers: Mapping[str, SolverSettings],
        *,
        network: NetworkSettings,
        world: World,
        resolve: Callable[[SecretRef], Secret],
        deadline: float,
    ) -> None:
        self._settings = dict(solvers)
        self._network = network
        self._world = world
        self._resolve = resolve
        self._deadline = deadline
        self._lock = threading.RLock()
        self._lookup: Lookup | None = None
        self._solvers: dict[str, Solver] = {}
        self._landings: dict[str, Landing] = {}
        self._names: dict[tuple[str, str], threading.Lock] = {}

    # ---- where ------------------------------------------------------------------------------------------------------

    def locate(self, name: str, label: str = "_acme-challenge") -> Landing:
        """Where the proof for `name` (perhaps a wildcard) has to be written. Asked once a run and name.

        Raises:
            NothingDone: the name is a CNAME that somebody else holds, or no solver serves the zone; says whose and what to do.
            ProviderError: DNS or a solver's own service does not answer or refuses us.
        """
        if not NAME.fullmatch(name):
            raise NothingDone(f"{name!a} is not a DNS name")
        return self._locate(f"{label}.{base_name(name)}")

    def _locate(self, asked: str) -> Landing:
        if not NAME.fullmatch(asked) or len(asked) > 253:
            raise NothingDone(f"{asked!a} is not a DNS name")
        with self._lock:
            known = self._landings.get(asked)
        if known is not None:
            return known
        landing = self._find(asked)
        with self._lock:
            return self._landings.setdefault(asked, landing)

    def _find(self, asked: str) -> Landing:
        way = self.lookup.land(asked)
        claim = self._claimed(way.end)
        if claim is None:
            self._refuse_holder(asked, way.end)
            claim = self._walked(asked, way.end)
        solver, zone = claim
        settings = self._settings[solver]
        if zone.count(".") < 1 and zone not in settings.zones:
            raise NothingDone(
                f"{way.end} is in the zone {zone}, which looks like a whole top level",
                hint=f'if it is yours: [solver.{solver}] zones = ["{zone}"]',
            )
        return Landing(asked, way.end, zone, solver)

    def _claimed(self, name: str) -> tuple[str, str] | None:
        """The solver that knows `name` for its own: named in the file first, then by what its service lists."""
        named = {solver: within(name, settings.zones) for solver, settings in self._settings.items()}
        best = max((zone for zone in named.values() if zone), key=len, default=None)
        if best is not None:
            chosen = next(solver for solver, zone in named.items() if zone == best)
            zone = self.solver(chosen).zone_for(name)
            if zone is None:
                raise NothingDone(
                    f"solver {chosen} is to serve {best}, and its service does not hold a zone for {name}",
                    hint=f"look at zones under [solver.{chosen}], and at what its credentials may see",
                )
            self._compare(chosen, zone, name)
            return chosen, zone
        claims: list[tuple[str, str]] = []
        errors: list[ProviderError] = []
        for solver, settings in self._settings.items():
            if settings.zones or solver_class(settings.type).walks:
                continue
            try:
                zone = self.solver(solver).zone_for(name)
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
            seen = self.lookup.zone_of(name)
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

    def _refuse_holder(self, asked: str, end: str) -> None:
        holder = holders.holder_of(end)
        if holder is not None and end != asked:
            raise NothingDone(
                f"{asked} is a CNAME to {end}: held by {holder.name}; the CA would look for our proof there",
                hint=f"delete the CNAME {asked} ({holder.needed})",
            )

    def _walked(self, asked: str, end: str) -> tuple[str, str]:
        """No service knows the name: a solver without zones of its own takes the zone that the SOA walk finds."""
        zone = self.lookup.zone_of(end)
        lands = f"{asked} is a CNAME to {end}, in the zone {zone}" if end != asked else f"{asked} is in the zone {zone}"
        walkers = [name for name, s in self._settings.items() if not s.zones and solver_class(s.type).walks]
        if not walkers:
            raise NothingDone(
                f"{lands}, and no configured solver serves that zone",
                hint=f"add a [solver.NAME] for {zone}" + (f", or delete the CNAME {asked}" if end != asked else ""),
            )
        if end != asked and self.lookup.zone_of(asked) != zone:
            raise NothingDone(
                f"{lands}, which no solver names",
                hint=f'if it is yours: [solver.{walkers[0]}] zones = ["{zone}"]; else delete the CNAME {asked}',
            )
        return walkers[0], zone

    @property
    def lookup(self) -> Lookup:
        with self._lock:
            if self._lookup is None:
                from certbroker.challenges.lookup import Lookup  # dnspython: only for who asks

                self._lookup = Lookup(
                    recursors=tuple(self._network.nameservers),
                    connect_to=self._network.connect_to,
                    network=self._world.network,
                    clock=self._world.clock,
                    deadline=self._deadline,
                )
            return self._lookup

    def solver(self, name: str) -> Solver:
        """The solver of that name in the file, opened at first use. Raises LookupError if there is none."""
        with self._lock:
            if name not in self._solvers:
                settings = self._settings[name]
                context = SolverContext(
                    name=name,
                    zones=tuple(settings.zones),
                    nameservers=tuple(settings.nameservers),
                    session=self._session,
                    resolve=self._resolve,
                    lookup=self.lookup,
                    clock=self._world.clock,
                    random=self._world.random,
                    environ=self._world.environ,
                    network=self._world.network,
                    cwd=self._world.cwd,
                    deadline=self._deadline,
                )
                self._solvers[name] = solver_class(settings.type).open(settings.options, context)
            return self._solvers[name]

    def _session(
        self, *, service: str, base: str, authorize: Callable[[], Mapping[str, Secret]], traits: Traits
    ) -> Session:
        from certbroker.session import Pace, Session, Transport

        return Session(
            service=service,
            base=base,
            transport=Transport(self._world.network, self._network.connect_to),
            clock=self._world.clock,
            deadline=self._deadline,
            pace=Pace(self._world.clock, traits.calls_per_second, traits.burst),
            authorize=authorize,
        )

    # ---- publish ----------------------------------------------------------------------------------------------------

    def publish(self, records: Sequence[Txt], journal: Journal, emit: Emit) -> list[Placed]:
        """Write all of them, several at a time. Raises the first error once all were tried; the journal has the rest."""
        placed = []
        for outcome in self.publish_each(records, journal, emit):
            if isinstance(outcome, CertbrokerError):
                raise outcome
            placed.append(outcome)
        return placed

    def publish_each(self, records: Sequence[Txt], journal: Journal, emit: Emit) -> list[Placed | CertbrokerError]:
        """As `publish`, with one outcome for each record, in their order: one bad zone does not hold up the others."""
        outcomes: dict[int, Placed | CertbrokerError] = {}
        known = {
            (row.purpose, row.order_id, row.certificate, row.target, row.solver, row.name, row.value): Placed.of(row)
            for purpose in sorted({record.purpose for record in records})
            for row in journal.unremoved(purpose)
        }
        planned: dict[int, Placed] = {}
        for index, txt in enumerate(records):
            try:
                at = self._locate(txt.name)
                key = (txt.purpose, txt.order_id, txt.certificate, txt.target, at.solver, at.name, txt.value)
                if key not in known:
                    known[key] = Placed.of(
                        journal.plan_record(
                            txt.purpose,
                            order_id=txt.order_id,
                            certificate=txt.certificate,
                            target=txt.target,
                            solver=at.solver,
                            zone=at.zone,
                            name=at.name,
                            value=txt.value,
                        )
                    )
                    planned[index] = replace(known[key], state="new")
                else:
                    planned[index] = known[key]
            except CertbrokerError as error:
                outcomes[index] = error
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            tasks = {pool.submit(self._present, row): index for index, row in planned.items()}
            for task in as_completed(tasks):
                index = tasks[task]
                try:
                    handle = task.result()
                except CertbrokerError as error:
                    outcomes[index] = error
                    continue
                outcomes[index] = self._note_present(planned[index], handle, journal, emit)
        return [outcomes[index] for index in range(len(records))]

    def _present(self, row: Placed) -> str:
        with self._one_at_a_time(row):
            return self.solver(row.solver).present(row.zone, row.name, row.value)

    def _note_present(self, row: Placed, handle: str, journal: Journal, emit: Emit) -> Placed:
        """A value that an earlier run wrote is found standing: it is ours all the same, the journal says so."""
        kept: str | None = handle
        if row.state != "new" and handle.startswith(ADOPTED):
            kept = row.handle
        event = ProofPublished(
            at=self._world.clock.now(),
            certificate=row.certificate,
            target=row.target,
            solver=row.solver,
            record=row.name,
        )
        journal.record_present(row.id, kept, events=(event,))
        emit(event)
        return replace(row, handle=kept, state="present")

    def _one_at_a_time(self, row: Row) -> threading.Lock:
        """Services that write a whole set at a name lose a value when two writers meet there."""
        with self._lock:
            return self._names.setdefault((row.solver, row.name), threading.Lock())

    # ---- wait -------------------------------------------------------------------------------------------------------

    def wait(self, rows: Sequence[Row], *, seconds: float) -> None:
        """Until every authoritative server has every value.

        Raises ChallengeFailed or Unavailable after `seconds`, naming each server that lacks a value and what it says.
        """
        errors = self.wait_each(rows, seconds=seconds)
        if not errors:
            return
        first = next(iter(errors.values()))
        if len(errors) > 1:
            words = "; ".join(dict.fromkeys(error.what for error in errors.values()))
            raise type(first)(words, hint=first.hint)
        raise first

    def wait_each(self, rows: Sequence[Row], *, seconds: float) -> dict[int, CertbrokerError]:
        """As `wait`, but returns what is wrong by row id; empty when all are there."""
        from certbroker.challenges import propagation

        wanted: list[Wanted] = []
        errors: dict[int, CertbrokerError] = {}
        for row in rows:
            try:
                servers = self._servers(row)
                wanted.append(propagation.Wanted(row.id, row.name, row.value, servers, self._spread(row)))
            except CertbrokerError as error:
                errors[row.id] = error
        left = self._deadline - self._world.clock.monotonic()
        found = propagation.wait(wanted, seconds=min(seconds, left), lookup=self.lookup, clock=self._world.clock)
        return errors | found

    def _servers(self, row: Row) -> tuple[Server, ...]:
        settings = self._settings[row.solver]
        return self.lookup.named(settings.nameservers) if settings.nameservers else self.lookup.servers(row.zone)

    def _spread(self, row: Row) -> Callable[[], bool | None]:
        solver = self.solver(row.solver)
        handle = row.handle
        if not isinstance(solver, Spreads) or handle is None:
            return lambda: None
        return lambda: solver.spread(row.zone, handle)

    # ---- remove -----------------------------------------------------------------------------------------------------

    def remove(self, rows: Sequence[Row], journal: Journal, emit: Emit) -> list[tuple[Row, CertbrokerError]]:
        """Take away what we wrote. Never raises for one row: it is told, returned, and stays in the journal."""
        failed: list[tuple[Row, CertbrokerError]] = []
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            tasks = {pool.submit(self._clean_up, row): row for row in rows}
            for task in as_completed(tasks):
                row, error = tasks[task], task.result()
                about = {"certificate": row.certificate, "target": row.target}
                now = self._world.clock.now()
                if error is not None:
                    failed.append((row, error))
                    what = f"TXT {row.name} stays for now: {error.what}"
                    emit(Checked(at=now, subject=f"solver {row.solver}", state="warn", what=what, **about))
                    continue
                event = ProofRemoved(at=now, solver=row.solver, record=row.name, **about)
                journal.record_removed(row.id, events=(event,))
                emit(event)
        return failed

    def _clean_up(self, row: Row) -> CertbrokerError | None:
        if row.handle is not None and row.handle.startswith(ADOPTED):
            return None
        if row.solver not in self._settings:
            return NothingDone(f"the file has no solver {row.solver} any more")
        try:
            with self._one_at_a_time(row):
                self.solver(row.solver).clean_up(row.zone, row.name, row.value, row.handle)
        except CertbrokerError as error:
            return error
        return None

    # ---- caa --------------------------------------------------------------------------------------------------------

    def caa(self, name: str, *, issuers: tuple[str, ...], account_uri: str | None, wildcard: bool) -> list[CaaFinding]:
        """What CAA says about an order for `name`: a finding with state "fail" forbids it, "warn" is worth a look."""
        from certbroker.challenges import caa

        return caa.preflight(
            base_name(name), issuers=issuers, account_uri=account_uri, wildcard=wildcard, lookup=self.lookup
        )
