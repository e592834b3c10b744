"""What a platform says that it serves, with whose it is filled in from what we know: a platform without tags does not tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from certbroker.deploy.target import Target
from certbroker.model import Assignment, Live, Owner, Restorable
from certbroker.provider import InspectsMany
from certbroker.store import Store


def inspect(store: Store, target: Target, assignment: Assignment) -> dict[str, Live]:
    """By name. Raises ProviderError."""
    said = target.provider.inspect(assignment)
    return {name: _whose(store, assignment.target, name, live) for name, live in said.items()}


def inspect_many(store: Store, target: Target, assignments: Sequence[Assignment]) -> list[dict[str, Live]]:
    """The same of several certificates, together where the platform lists what it serves. Raises ProviderError."""
    provider = target.provider
    if not isinstance(provider, InspectsMany):
        return [inspect(store, target, each) for each in assignments]
    return [
        {name: _whose(store, target.name, name, live) for name, live in said.items()}
        for said in provider.inspect_many(assignments)
    ]


def _whose(store: Store, target: str, name: str, live: Live) -> Live:
    """What we pushed there, or hold by that fingerprint or end, is ours."""
    version = store.by_fingerprint(live.fingerprint) if live.fingerprint else None
    if version is None and live.owner in (Owner.OURS, Owner.UNKNOWN):
        known = store.last_pushed(target, name)
        version = known if known is not None and live.agrees(known) is not False else None
        if version is None and (live.serial is not None or live.ends is not None):
            # a push that was cut before its answer, or one that a wrong clock dated: the very same end is evidence enough
            version = next((v for v in store.begun(target, name) if live.agrees(v) is not False), None)
    if live.owner is Owner.UNKNOWN:
        live = replace(live, owner=Owner.OURS if version else Owner.FOREIGN)
    if live.owner is Owner.OURS and version is not None:
        live = replace(live, restorable=Restorable.OURS, fingerprint=live.fingerprint or version.fingerprint)
    return live
