"""What the tests of this room need: a journal in memory, settings, a network with holes, and a way to make Challenges."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from certbroker.challenges import Challenges, Placed, SolverContext, solver_puts, solver_settings
from certbroker.challenges.lookup import Lookup
from certbroker.challenges.records import Kind, Purpose
from certbroker.config import NetworkSettings, SolverSettings
from certbroker.events import Event
from certbroker.pacing import Pacer, Rate
from certbroker.provider import OpenSession
from certbroker.sandbox.dns import DnsServer
from certbroker.secret import Secret, SecretRef
from certbroker.session import Session
from certbroker.testkit.simulator import Simulator, SimulatorTransport
from certbroker.world import Contact, World
from tests.world import CountingNetwork, make_world

KEY_NAME = "certbroker."
KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="
VALUE = "A" * 43
OTHER = "B" * 43
THIRD = "C" * 43
PLENTY = 1e9


class HoleyNetwork(CountingNetwork):
    """Some addresses cannot be reached from here."""

    def __init__(self, *holes: str) -> None:
        super().__init__()
        self.holes = set(holes)

    def contact(self, kind: Contact, address: str) -> None:
        super().contact(kind, address)
        if address in self.holes:
            raise OSError("no route")


class MemoryJournal:
    """A journal as the store keeps it; `lines` tells in which order things were written."""

    def __init__(self) -> None:
        self.rows: dict[int, Placed] = {}
        self.lines: list[str] = []
        self.events: list[Event] = []

    def plan_record(
        self,
        purpose: Purpose,
        *,
        kind: Kind = "txt",
        order_id: int | None,
        certificate: str,
        target: str | None,
        solver: str,
        zone: str,
        name: str,
        value: str,
    ) -> Placed:
        id_ = len(self.rows) + 1
        row = Placed(id_, purpose, kind, order_id, certificate, target, solver, zone, name, value, None, "planned")
        self.rows[id_] = row
        self.lines.append(f"planned {name} {value}")
        return row

    def record_present(self, id: int, handle: str | None, *, events: Sequence[Event] = ()) -> None:
        self._set(id, "present", handle, events)

    def record_removed(self, id: int, *, events: Sequence[Event] = ()) -> None:
        self._set(id, "removed", self.rows[id].handle, events)

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def unremoved(self, purpose: Purpose | None = None, order_id: int | None = None) -> list[Placed]:
        return [
            row
            for row in self.rows.values()
            if row.state != "removed" and purpose in (None, row.purpose) and order_id in (None, row.order_id)
        ]

    def _set(self, id_: int, state: str, handle: str | None, events: Sequence[Event]) -> None:
        self.rows[id_] = dataclasses.replace(self.rows[id_], state=state, handle=handle)
        self.lines.append(f"{state} {self.rows[id_].name} {self.rows[id_].value}")
        self.events += events


def solver(
    name: str,
    type_: str,
    options: Mapping[str, Any],
    *,
    zones: tuple[str, ...] = (),
    nameservers: tuple[str, ...] = (),
) -> SolverSettings:
    """As the file would give it."""
    model = solver_settings(type_)
    assert model is not None
    return SolverSettings(
        name=name,
        type=type_,
        options=model.model_validate(dict(options)),
        zones=zones,
        nameservers=nameservers,
        puts=solver_puts(type_),
    )


def rfc2136(
    dns: DnsServer, *, name: str = "own", zones: tuple[str, ...] = (), nameservers: tuple[str, ...] = ()
) -> SolverSettings:
    options = {"server": dns.address, "key": KEY_NAME, "secret": {"env": "TSIG"}}
    return solver(name, "rfc2136", options, zones=zones, nameservers=nameservers)


def challenges(
    world: World, *solvers: SolverSettings, recursor: str, connect_to: Mapping[str, str] | None = None
) -> Challenges:
    return Challenges(
        {settings.name: settings for settings in solvers},
        network=NetworkSettings(connect_to=dict(connect_to or {}), nameservers=(recursor,)),
        world=world,
        resolve=lambda reference: reference.resolve(world.environ),
        deadline=PLENTY,
    )


def small_world(home: Path, *, network: CountingNetwork | None = None, **environ: str) -> World:
    return make_world(home, network=network, environ={"TSIG": KEY, **environ})


@contextmanager
def town(*zones: str, keys: bool = True) -> Iterator[DnsServer]:
    """One server that is primary of `zones` and the recursor as well; its NS lead to 127.0.0.1:53."""
    with DnsServer(recursive=True, keys={KEY_NAME: KEY} if keys else None) as dns:
        for zone in zones:
            dns.add_zone(zone)
        yield dns


def lookup(
    world: World, *recursors: str, connect_to: Mapping[str, str] | None = None, deadline: float = PLENTY
) -> Lookup:
    return Lookup(
        recursors=recursors, connect_to=connect_to or {}, network=world.network, clock=world.clock, deadline=deadline
    )


def context(
    world: World,
    *,
    simulator: Simulator | None = None,
    dns: DnsServer | None = None,
    zones: tuple[str, ...] = (),
    secrets: Mapping[str, str] | None = None,
    deadline: float = PLENTY,
) -> SolverContext:
    """What a solver is handed; its HTTP goes to `simulator`."""

    def resolve(reference: SecretRef) -> Secret:
        return reference.resolve({**world.environ, **(secrets or {})})

    address = dns.address if dns is not None else "127.0.0.1:1"
    return SolverContext(
        name="it",
        zones=zones,
        nameservers=(address,) if dns is not None else (),
        session=_opener(world, simulator, deadline),
        resolve=resolve,
        lookup=lookup(world, address),
        clock=world.clock,
        random=world.random,
        environ=world.environ,
        network=world.network,
        cwd=world.cwd,
        deadline=deadline,
    )


def _opener(world: World, simulator: Simulator | None, deadline: float) -> OpenSession:
    def open_session(*, service: str, base: str, authorize: Any, traits: Any) -> Session:
        return Session(
            service=service,
            base=base,
            transport=SimulatorTransport(simulator or Simulator()),
            clock=world.clock,
            deadline=deadline,
            pacer=Pacer(world.clock, Rate(traits.calls_per_second, traits.burst)),
            authorize=authorize,
        )

    return open_session
