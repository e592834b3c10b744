"""Entry points to classes: which providers and simulators are installed. Loads an adapter only when it is asked for.

Ours and a stranger's are found the same way, through the groups `certbroker.providers` and `certbroker.simulators`. One scan a
process. A package that cannot be imported, or two packages that offer one name, spoil that name alone.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final, cast

from certbroker.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from certbroker.model import KeyType
    from certbroker.provider import Provider
    from certbroker.testkit.simulator import Simulator

PROVIDERS: Final = "certbroker.providers"
SIMULATORS: Final = "certbroker.simulators"

_CONTRACT: Final = ("settings", "traits", "open", "inspect", "push", "restore", "prune", "edges")


@dataclass(frozen=True, slots=True)
class Offer:
    """A type that some installed package offers. `packages` are `name version`, more than one if they clash."""

    type: str
    packages: tuple[str, ...]
    place: str
    """Where the class is, e.g. `certbroker_files:FilesProvider`."""


class Registry:
    """What one set of entry points offers. Most callers use the functions below, which look at this process's."""

    def __init__(self, found: Iterable[EntryPoint]) -> None:
        self._found: dict[str, dict[str, list[EntryPoint]]] = {PROVIDERS: {}, SIMULATORS: {}}
        for point in found:
            if point.group in self._found:
                self._found[point.group].setdefault(point.name, []).append(point)
        self._loaded: dict[tuple[str, str], Any] = {}

    def types(self, group: str) -> tuple[str, ...]:
        """The names on offer, sorted; nothing is imported."""
        return tuple(sorted(self._found[group]))

    def offers(self, group: str) -> tuple[Offer, ...]:
        """The same with the packages they come from."""
        return tuple(
            Offer(name, tuple(sorted(map(_package, points))), points[0].value)
            for name, points in sorted(self._found[group].items())
        )

    def load(self, group: str, name: str) -> Any:
        """The class, imported now if it was not yet.

        Raises:
            UsageError: nobody offers it, two packages do, or its package cannot be imported.
        """
        kind = "provider" if group == PROVIDERS else "simulator"
        if (group, name) not in self._loaded:
            points = self._found[group].get(name, [])
            if not points:
                near = difflib.get_close_matches(name, self.types(group), n=1)
                raise UsageError(
                    f"there is no {kind} {name!r}" + (f"; did you mean {near[0]}?" if near else ""),
                    hint=f"installed: {', '.join(self.types(group)) or 'none'}",
                )
            if len(points) > 1:
                packages = sorted(map(_package, points))
                raise UsageError(
                    f"the {kind} {name!r} is offered by {' and by '.join(packages)}",
                    hint=f"uninstall one of them: pip uninstall {packages[-1].split()[0]}",
                )
            self._loaded[group, name] = _load(points[0], kind)
        return self._loaded[group, name]


def _load(point: EntryPoint, kind: str) -> Any:
    try:
        found = point.load()
    except Exception as error:  # somebody else's module: whatever it does wrong spoils this name alone
        raise UsageError(
            f"the {kind} {point.name!r} of {_package(point)} cannot be imported ({point.value}): "
            f"{type(error).__name__}: {error}",
            hint=f"reinstall or remove that package: pip install --force-reinstall {_package(point).split()[0]}",
        ) from error
    missing = [member for member in _CONTRACT if not hasattr(found, member)] if kind == "provider" else []
    if missing or not isinstance(found, type):
        lacks = f"it has no {', '.join(missing)}" if missing else "it is no class"
        raise UsageError(f"{point.value} of {_package(point)} is not a {kind}: {lacks}")
    return found


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed package"


@functools.cache
def _installed() -> Registry:
    return Registry([*entry_points(group=PROVIDERS), *entry_points(group=SIMULATORS)])


def provider_types() -> tuple[str, ...]:
    """What `type` in a `[target.NAME]` may be."""
    return _installed().types(PROVIDERS)


def simulator_types() -> tuple[str, ...]:
    """The types that bring a simulator."""
    return _installed().types(SIMULATORS)


def offers() -> tuple[Offer, ...]:
    """The providers with their packages, for `certbroker providers`; imports none."""
    return _installed().offers(PROVIDERS)


def provider(name: str) -> type[Provider]:
    """The adapter class of that type. Raises UsageError: unknown, offered twice, or its package is broken."""
    return cast("type[Provider]", _installed().load(PROVIDERS, name))


def provider_settings(name: str) -> type[BaseModel] | None:
    """Its settings model; None if nobody offers that type. Raises UsageError if it is offered twice or broken."""
    return provider(name).settings if name in provider_types() else None


def provider_key_types(name: str) -> tuple[KeyType, ...]:
    """The key types it accepts, preferred first. Raises UsageError as `provider`."""
    return provider(name).traits.key_types


def simulator(name: str) -> Callable[..., Simulator]:
    """The simulator class of that type. Raises UsageError as `provider`."""
    return cast("Callable[..., Simulator]", _installed().load(SIMULATORS, name))
