"""Proofs of control in DNS: find where a TXT must be, publish it, wait until the world can see it, remove it again.

The solver of a name is chosen by the zone in which the TXT finally lands, after CNAMEs. All records of a run are published
first and then waited for once. The journal is written before every effect, so a clean-up after a crash needs no memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from certbroker.challenges.kinds import SOLVERS, solver_class, solver_settings, solver_types
from certbroker.challenges.means import PLAIN, Means
from certbroker.challenges.records import Journal, Landing, Placed, Row, Txt
from certbroker.challenges.solver import ADOPTED, Solver, SolverContext, Spreads
from certbroker.errors import CertbrokerError, CredentialsRejected, NothingDone, UsageError
from certbroker.events import Checked, Emit, ProofPublished, ProofRemoved
from certbroker.model import NAME, Method, Traits, base_name
from certbroker.secret import Secret, SecretRef
from certbroker.world import World

if TYPE_CHECKING:
    from certbroker.challenges.caa import CaaFinding
    from certbroker.challenges.locate import Locator
    from certbroker.challenges.lookup import Lookup, Server
    from certbroker.challenges.propagation import Wanted
    from certbroker.config import NetworkSettings, SolverSettings
    from certbroker.session import Session

__all__ = [
    "SOLVERS",
    "Challenges",
    "Journal",
    "Landing",
    "Means",
    "Placed",
    "Row",
    "Solver",
    "SolverContext",
    "Txt",
    "solver_settings",
    "solver_types",
]

AT_ONCE: Final = 8
"""How many records are written at the same time; each solver paces its own calls besides."""


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
        self._open = resolve
        self._deadline = deadline
        self._lock = threading.RLock()
        self._lookup: Lookup | None = None
        self._solvers: dict[str, Solver] = {}
        self._locator: Locator | None = None
        self._names: dict[tuple[str, str], threading.Lock] = {}

    # ---- where ------------------------------------------------------------------------------------------------------

    def locate(self, name: str, means: Means = PLAIN) -> Landing:
        """Where the proof for `name` (perhaps a wildcard) has to be written. Asked once a run and name.

        `means`: not one that still wants its account.

        Raises:
            NothingDone: the name is a CNAME that somebody else holds, or no solver serves the zone; says whose and what to do.
            ProviderError: DNS or a solver's own service does not answer or refuses us.
        """
        if not NAME.fullmatch(name):
            raise NothingDone(f"{name!a} is not a DNS name")
        return self.locator.locate(means.owner(name))

    @property
    def locator(self) -> Locator:
        with self._lock:
            if self._locator is None:
                from certbroker.challenges.locate import Locator

                self._locator = Locator(self._settings, lookup=self.lookup, solver=self.solver)
            return self._locator

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

    def _resolve(self, reference: SecretRef) -> Secret:
        """A secret that cannot be had is this solver's trouble, told in its own family of errors."""
        try:
            return self._open(reference)
        except UsageError as error:
            raise CredentialsRejected(error.what, hint=error.hint) from None

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
                at = self.locator.locate(txt.name)
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
        settings = self._settings.get(row.solver)
        if settings is None:
            raise _gone(row)
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
                elif _adopted(row):
                    journal.record_removed(row.id)
                else:
                    event = ProofRemoved(at=now, solver=row.solver, record=row.name, **about)
                    journal.record_removed(row.id, events=(event,))
                    emit(event)
        return failed

    def _clean_up(self, row: Row) -> CertbrokerError | None:
        if _adopted(row):
            return None
        if row.solver not in self._settings:
            return _gone(row)
        try:
            with self._one_at_a_time(row):
                self.solver(row.solver).clean_up(row.zone, row.name, row.value, row.handle)
        except CertbrokerError as error:
            return error
        return None

    # ---- caa --------------------------------------------------------------------------------------------------------

    def caa(
        self, name: str, *, issuers: tuple[str, ...], account_uri: str | None, wildcard: bool, method: Method
    ) -> list[CaaFinding]:
        """What CAA says about an order for `name`: a finding with state "fail" forbids it, "warn" is worth a look."""
        from certbroker.challenges import caa

        return caa.preflight(
            base_name(name),
            issuers=issuers,
            account_uri=account_uri,
            wildcard=wildcard,
            method=method,
            lookup=self.lookup,
        )


def _adopted(row: Row) -> bool:
    """The value stood there before us: not ours to remove."""
    return row.handle is not None and row.handle.startswith(ADOPTED)


def _gone(row: Row) -> NothingDone:
    return NothingDone(f"the file has no solver {row.solver} any more")
