"""Orphans: what left the file and is still somewhere. Where, until when, and how it is forgotten. From the store alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from certbroker.config import Config
from certbroker.intent import Wish
from certbroker.standing.words import day
from certbroker.store import Placed, Store


@dataclass(frozen=True, slots=True)
class Stays:
    """One version of ours on one target that nobody renews there any more."""

    certificate: str
    target: str
    names: tuple[str, ...]
    label: str
    fingerprint: str
    ends: datetime

    def words(self, now: datetime) -> str:
        return f"{self.label} {'until' if self.ends > now else 'which ended'} {day(self.ends)}"


@dataclass(frozen=True, slots=True)
class Orphan:
    """A certificate or target that left the file; or a `place`: a certificate that no longer goes to a target, or with
    fewer names. `gone`: when that was taken in; None if it is not yet."""

    kind: Literal["certificate", "target", "place"]
    name: str
    gone: datetime | None
    stays: tuple[Stays, ...]
    what: str
    hint: str


Gone = Mapping[tuple[str, str], datetime | None]
"""(kind, name) of what left the file, and since when."""


def left(store: Store) -> dict[tuple[str, str], datetime | None]:
    """What has left the file, as it was taken in."""
    return {(kind, name): since for kind, name, since in store.orphans()}


def gone_with_what_stays(store: Store, now: datetime) -> list[Orphan]:
    """What left the file as a whole, certificates first; reads no more than what left."""
    found = []
    for (kind, name), since in sorted(left(store).items()):
        some = store.placed(certificate=name) if kind == "certificate" else store.placed(target=name)
        found.append(_left(store, kind, name, since, some, now))
    return found


def orphans(store: Store, config: Config, now: datetime, gone: Gone, *, planned: bool = False) -> list[Orphan]:
    """Certificates first, then targets, then places. `planned`: by the file as it is, taken in or not."""
    found: dict[tuple[str, str], list[Placed]] = {key: [] for key in sorted(gone)}
    places: dict[str, list[Placed]] = {}
    for placed in store.placed():
        certificate, target = ("certificate", placed.certificate), ("target", placed.target)
        if certificate in gone:
            found[certificate].append(placed)
        elif placed.certificate not in config.certificates:
            continue  # another host's file has it
        elif placed.name in config.certificates[placed.certificate].names_on(placed.target):
            continue
        elif target in gone:
            found[target].append(placed)
        elif planned or not _in_force(store, placed):
            places.setdefault(f"{placed.certificate} → {placed.target}", []).append(placed)
    told = [_left(store, kind, name, gone[kind, name], some, now) for (kind, name), some in found.items()]
    return [*told, *(_place(store, config, name, some, now) for name, some in sorted(places.items()))]


def stays(store: Store, places: Sequence[Placed]) -> tuple[Stays, ...]:
    """The names of one version at one target together."""
    names: dict[tuple[str, str, int], list[str]] = {}
    for each in places:
        names.setdefault((each.certificate, each.target, each.version_id), []).append(each.name)
    found = []
    for (certificate, target, version_id), some in names.items():
        version = store.version(version_id)
        if version is not None:
            end = version.lifetime.ends
            found.append(Stays(certificate, target, tuple(some), version.label, version.fingerprint, end))
    return tuple(found)


def _in_force(store: Store, placed: Placed) -> bool:
    """The file leaves it out, and that waits for the owner's `--yes` still."""
    data = store.declared("certificate", placed.certificate)
    return data is not None and placed.name in Wish.of(data).targets.get(placed.target, ())


def _left(
    store: Store, kind: str, name: str, since: datetime | None, places: Sequence[Placed], now: datetime
) -> Orphan:
    there = stays(store, places)
    when = f"left the file on {day(since)}" if since else "leaves the file"
    if kind == "certificate":
        where = ", ".join(f"{each.target} keeps {each.words(now)}" for each in there)
        what = f"certificate {name} {when}; {where or 'nothing of it is anywhere'}"
        return Orphan("certificate", name, since, there, what, f"certbroker forget {name}")
    where = ", ".join(f"it keeps {each.certificate} {each.words(now)}" for each in there)
    what = f"target {name} {when}; {where or 'nothing of ours is there'}"
    return Orphan("target", name, since, there, what, f"certbroker forget {name}")


def _place(store: Store, config: Config, name: str, places: Sequence[Placed], now: datetime) -> Orphan:
    certificate, target = places[0].certificate, places[0].target
    there = stays(store, places)
    if config.certificates[certificate].names_on(target):
        what = f"{', '.join(each.name for each in places)} of {certificate}"
    else:
        what = certificate
    where = ", ".join(each.words(now) for each in there)
    told = f"{what} is no longer for {target}, which keeps {where}"
    return Orphan("place", name, None, there, told, f"certbroker forget {certificate} --target {target}")
