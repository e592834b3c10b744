"""What platforms get by themselves: the certificates that they manage for names of ours, asked of those that tell."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from certbroker.broker.desk import Desk
from certbroker.errors import CertbrokerError, StoreError
from certbroker.provider import ManagedFacts, TellsManaged

TOGETHER: Final = 8


@dataclass(frozen=True, slots=True)
class Managed:
    """What the platform of one target says of one name. `facts.state` "none": it knows the name, and gets nothing for it."""

    name: str
    target: str
    platform: str
    """As people call it: `Fly`."""
    facts: ManagedFacts

    @property
    def active(self) -> bool:
        return self.facts.state != "none"


@dataclass(frozen=True, slots=True)
class Found:
    """`unknown`: in words, which platforms could not be asked, and why."""

    managed: tuple[Managed, ...] = ()
    unknown: tuple[str, ...] = ()


def managing(desk: Desk, names: Sequence[str], targets: Sequence[str]) -> Found:
    """Ask the platforms of these targets about these names. Changes nothing; one that cannot be asked stops nothing."""

    def ask(target: str) -> Found:
        platform = desk.config.targets[target].type.capitalize()
        try:
            provider = desk.target(target).provider
            if not isinstance(provider, TellsManaged):
                return Found()
            facts = provider.managed(names)
        except StoreError:
            raise
        except CertbrokerError as error:
            return Found(unknown=(f"what {platform} manages by itself ({target}) is not known: {error.what}",))
        return Found(tuple(Managed(name, target, platform, each) for name, each in facts.items()))

    if not targets:
        return Found()
    with ThreadPoolExecutor(TOGETHER) as pool:
        found = list(pool.map(ask, dict.fromkeys(targets)))
    return Found(
        tuple(each for part in found for each in part.managed), tuple(text for part in found for text in part.unknown)
    )
