"""Proofs of control: find where the CA will look, put the proof there, wait until the world can see it, remove it again.

The solver of a name is chosen by the zone in which the TXT finally lands, after CNAMEs. All records of a run are published
first and then waited for once. The journal is written before every effect, so a clean-up after a crash needs no memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from certbroker.challenges.http_solver import HttpSolver, token_of
from certbroker.challenges.kinds import IN_DNS, SOLVERS, solver_puts, solver_settings, solver_types
from certbroker.challenges.means import PLAIN, Means
from certbroker.challenges.opened import Opened
from certbroker.challenges.publishing import Publishing
from certbroker.challenges.records import HttpAnswer, Journal, Kind, Landing, Placed, Row, Txt, purpose_of
from certbroker.challenges.solver import Solver, SolverContext, Spreads
from certbroker.errors import CertbrokerError, NothingDone, RecordWanted
from certbroker.events import Emit
from certbroker.model import Method, Record
from certbroker.names import NAME, base_name, is_address
from certbroker.secret import Secret, SecretRef
from certbroker.world import World

if TYPE_CHECKING:
    from certbroker.challenges.caa import CaaFinding
    from certbroker.challenges.holding import Holding
    from certbroker.challenges.lending import Lending
    from certbroker.challenges.locate import Locator
    from certbroker.challenges.lookup import Lookup, Server
    from certbroker.challenges.persist import Verdict
    from certbroker.challenges.propagation import Wanted
    from certbroker.config import NetworkSettings, SolverSettings

__all__ = [
    "IN_DNS",
    "SOLVERS",
    "Challenges",
    "HttpAnswer",
    "Journal",
    "Landing",
    "Means",
    "Placed",
    "Row",
    "Solver",
    "SolverContext",
    "Txt",
    "solver_puts",
    "solver_settings",
    "solver_types",
]


class Challenges:
    """All solvers of a run. Thread-safe.

    Args:
        deadline: `world.clock.monotonic()` seconds after which nothing is started any more.
        folder: where relative paths of solvers begin; else where we were started.
        provider: the opened provider of a target, for solvers that hand their answer to one; None if there is no such target.
    """

    def __init__(
        self,
        solvers: Mapping[str, SolverSettings],
        *,
        network: NetworkSettings,
        world: World,
        resolve: Callable[[SecretRef], Secret],
        deadline: float,
        folder: Path | None = None,
        provider: Callable[[str], object] = lambda target: None,
    ) -> None:
        self._settings = dict(solvers)
        self._network = network
        self._world = world
        self._deadline = deadline
        self._lock = threading.RLock()
        self._lookup: Lookup | None = None
        self._locator: Locator | None = None
        self._opened = Opened(
            self._settings,
            network=network,
            world=world,
            folder=folder or world.cwd,
            resolve=resolve,
            provider=provider,
            lookup=lambda: self.lookup,
            deadline=deadline,
        )
        self._publishing = Publishing(self._opened, self._place, world.clock)

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

    def answering(self, name: str) -> str:
        """The solver that answers for `name` over HTTP. Raises NothingDone if there is none."""
        from certbroker.config import answering

        found = answering(name, self._settings.values())
        if found is None:
            raise NothingDone(
                f"no solver answers for {name} over HTTP", hint="add a [solver.NAME] of type http-server or webroot"
            )
        return found.name

    def prepare(self, name: str, means: Means) -> None:
        """Whether a proof for `name` can be put where the CA will look; nothing is put anywhere yet.

        Raises:
            RecordWanted: a person has to publish a record first; the hint has it.
            NothingDone: somebody else holds the place, or no solver serves it; says whose and what to do.
            ProviderError: DNS or a solver's own service does not answer or refuses us.
        """
        if means.method is Method.HTTP_01:
            self._opened.try_http(self.answering(name))
            return
        self.require(name, means)
        if means.method is not Method.DNS_PERSIST_01:
            self.locate(name, means)

    def require(self, name: str, means: Means) -> None:
        """Whether what a person creates once for `name` stands, and no platform holds its label. Asks DNS alone.

        Raises as `prepare`.
        """
        for verdict, record in self.wanted(name, means):
            if verdict.state == "missing" or (verdict.state == "wrong" and record.type == "TXT"):
                raise RecordWanted(f"{name} cannot be proven yet: {verdict.why}", hint=f"publish {record}")
            if verdict.state == "wrong":
                raise NothingDone(verdict.why, hint=f"let it be {record}")
        if means.method in (Method.DNS_01, Method.DNS_ACCOUNT_01):
            self.locator.refuse_held(means.owner(name))

    def wanted(self, name: str, means: Means) -> list[tuple[Verdict, Record]]:
        """The records that a person has to create once so that `name` can be proven, and how each stands.

        Raises ProviderError or NothingDone if DNS does not tell.
        """
        from certbroker.challenges import standing

        return standing.wanted(name, means, self.lookup, self._world.clock.now())

    def holding(self, name: str, means: Means) -> Holding:
        """In whose hands the label is where the CA looks for a proof of `name` in DNS. `means`: not one that wants its account.

        Never raises for what DNS or a solver's service says.
        """
        from certbroker.challenges.holding import holding

        return holding(name, means, self.locator, self.lookup, self._world.clock)

    @property
    def locator(self) -> Locator:
        with self._lock:
            if self._locator is None:
                from certbroker.challenges.locate import Locator

                in_dns = {name: settings for name, settings in self._settings.items() if settings.puts == "txt"}
                self._locator = Locator(in_dns, lookup=self.lookup, solver=self._opened.in_dns)
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

    @property
    def lending(self) -> Lending:
        """What can be done about a label that leads into somebody else's zone."""
        from certbroker.challenges.lending import Lending

        return Lending(self.locator, self._opened)

    def solver(self, name: str) -> Solver | HttpSolver:
        """The solver of that name in the file, opened at first use. Raises LookupError if there is none."""
        return self._opened.any(name)

    # ---- publish and remove -----------------------------------------------------------------------------------------

    def publish(self, records: Sequence[Txt | HttpAnswer], journal: Journal, emit: Emit) -> list[Placed]:
        """Put all of them there, several at a time. Raises the first error once all were tried; the journal has the rest."""
        placed = []
        for outcome in self.publish_each(records, journal, emit):
            if isinstance(outcome, CertbrokerError):
                raise outcome
            placed.append(outcome)
        return placed

    def publish_each(
        self, records: Sequence[Txt | HttpAnswer], journal: Journal, emit: Emit
    ) -> list[Placed | CertbrokerError]:
        """As `publish`, with one outcome for each record, in their order: one bad zone does not hold up the others."""
        return self._publishing.publish_each(records, journal, emit)

    def remove(self, rows: Sequence[Row], journal: Journal, emit: Emit) -> list[tuple[Row, CertbrokerError]]:
        """Take away what we wrote. Never raises for one row: it is told, returned, and stays in the journal."""
        return self._publishing.remove(rows, journal, emit)

    def _place(self, record: Txt | HttpAnswer) -> Placed:
        """As the journal is to have it. Raises NothingDone or ProviderError if nobody can put it there."""
        if isinstance(record, HttpAnswer):
            token_of(record.value)
            solver, zone, name, target = self.answering(record.name), "", record.name, None
        else:
            at = self.locator.locate(record.name)
            solver, zone, name, target = at.solver, at.zone, at.name, record.target
        kind: Kind = "http" if isinstance(record, HttpAnswer) else "txt"
        return Placed(
            id=0,
            purpose=purpose_of(record),
            kind=kind,
            order_id=record.order_id,
            certificate=record.certificate,
            target=target,
            solver=solver,
            zone=zone,
            name=name,
            value=record.value,
            handle=None,
            state="new",
        )

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
            if row.kind == "http":
                continue  # it stands at once; whether the CA finds it is not to be seen from here
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
        solver = self._opened.in_dns(row.solver)
        handle = row.handle
        if not isinstance(solver, Spreads) or handle is None:
            return lambda: None
        return lambda: solver.spread(row.zone, handle)

    # ---- caa --------------------------------------------------------------------------------------------------------

    def caa(
        self, name: str, *, issuers: tuple[str, ...], account_uri: str | None, wildcard: bool, method: Method
    ) -> list[CaaFinding]:
        """What CAA says about an order for `name`: a finding with state "fail" forbids it, "warn" is worth a look."""
        from certbroker.challenges import caa

        if is_address(name):
            return []  # RFC 8659 section 3: CAA speaks of domain names
        return caa.preflight(
            base_name(name),
            issuers=issuers,
            account_uri=account_uri,
            wildcard=wildcard,
            method=method,
            lookup=self.lookup,
        )

    def pinned(self, name: str) -> str | None:
        """The CAA set that lets only certain accounts order `name`; None if there is none. Raises Unavailable."""
        from certbroker.challenges import caa

        return caa.pinned(base_name(name), wildcard=name.startswith("*."), lookup=self.lookup)


def _gone(row: Row) -> NothingDone:
    return NothingDone(f"the file has no solver {row.solver} any more")
