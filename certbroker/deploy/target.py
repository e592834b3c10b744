"""A target, opened for one run: its settings, its provider instance, and the session that instance is handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from requests.adapters import BaseAdapter

from certbroker import registry
from certbroker.config import Config, TargetSettings
from certbroker.model import Assignment, Edge, Traits
from certbroker.pacing import Pacer, Rate
from certbroker.provider import Context, Provider
from certbroker.secret import Secret, SecretRef
from certbroker.session import Session
from certbroker.world import World


@dataclass(frozen=True, slots=True)
class Target:
    """One target. `provider` keeps its listings for this run only."""

    settings: TargetSettings
    provider: Provider
    traits: Traits

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def patience(self) -> timedelta:
        """How long its edges may take after a push."""
        return self.settings.deadline or self.traits.edge_deadline

    def edges(self, assignment: Assignment) -> tuple[Edge, ...]:
        """The provider's edges and the file's, each once. Raises ProviderError."""
        return tuple(dict.fromkeys((*self.settings.edges, *self.provider.edges(assignment))))


def open_target(
    settings: TargetSettings,
    *,
    config: Config,
    world: World,
    store_id: str,
    deadline: float,
    resolve: Callable[[SecretRef], Secret],
    transport: BaseAdapter,
) -> Target:
    """Make the instance: no network, no secret yet.

    Args:
        deadline: monotonic seconds after which it sends nothing.
        transport: what carries its calls.
    """
    provider = registry.provider(settings.type)

    def session(
        *, service: str, base: str, authorize: Callable[[], Mapping[str, Secret]], traits: Traits = provider.traits
    ) -> Session:
        pacer = Pacer(world.clock, Rate(traits.calls_per_second, traits.burst))
        return Session(service, base.rstrip("/"), transport, world.clock, deadline, pacer, authorize)

    context = Context(
        target=settings.name,
        store_id=store_id,
        session=session,
        resolve=resolve,
        now=world.clock.now,
        environ=world.environ,
        cwd=config.path.parent,
    )
    return Target(settings, provider.open(settings.options, context), provider.traits)
