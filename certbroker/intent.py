"""What the owner wants, and what a new file changes of it: names, targets, issuers, key types, removals. Pure.

Renewals, retries, revocations and another issuer of the same list change nothing here, so no limit ever holds them back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from certbroker.model import JsonObject

MOST: Final = 3
"""So many names or targets may change unasked, whatever share they are."""

SHARE: Final = 0.30
"""And this share of them, however many."""

_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of one certificate. What a file says besides (how names are proven) is kept in `data` only."""

    names: tuple[str, ...]
    keys: tuple[str, ...]
    issuers: tuple[tuple[str, str], ...]
    """Name and directory, the preferred one first."""
    targets: Mapping[str, tuple[str, ...]]
    """By target, the names that it serves."""
    data: JsonObject

    @classmethod
    def of(cls, data: JsonObject) -> Wish:
        """As it lies in the store."""
        return cls(
            tuple(data.get("names", ())),
            tuple(data.get("keys", ())),
            tuple((name, directory) for name, directory in data.get("issuers", ())),
            {target: tuple(names) for target, names in data.get("targets", ())},
            data,
        )


@dataclass(frozen=True, slots=True)
class Intent:
    """All that one file wants. `places`: where each target leads, without its secrets."""

    certificates: Mapping[str, Wish] = field(default_factory=dict)
    places: Mapping[str, JsonObject] = field(default_factory=dict)

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """Every (certificate, name)."""
        return {(certificate, name) for certificate, wish in self.certificates.items() for name in wish.names}


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many. Too many is more than `MOST` and more than `SHARE` of them."""

    touched: int
    total: int

    @property
    def too_many(self) -> bool:
        return self.touched > MOST and self.touched > SHARE * self.total


@dataclass(frozen=True, slots=True)
class Change:
    """What a file changes. `words`: one line each, led by `+`, `-` or `~`."""

    names: Share = Share(0, 0)
    targets: Share = Share(0, 0)
    words: tuple[str, ...] = ()

    @property
    def asks(self) -> str | None:
        """Why the owner is asked once: how many of how many, in words. None: he is not."""
        over = [
            f"{share.touched} of {share.total} {what}"
            for share, what in ((self.names, "names"), (self.targets, "targets"))
            if share.too_many
        ]
        return " and ".join(over) or None


def change(before: Intent, after: Intent) -> Change:
    """What differs. Without anything before, nothing is changed: everything is new, and endangers nothing that stands."""
    if not before.certificates:
        return Change(Share(0, len(after.pairs)), Share(0, len(after.places)))
    touched_names = before.pairs ^ after.pairs
    reordered = {
        name
        for name, wish in after.certificates.items()
        if (old := before.certificates.get(name)) and (old.keys, old.issuers) != (wish.keys, wish.issuers)
    }
    touched_names |= {pair for pair in before.pairs & after.pairs if pair[0] in reordered}
    used = _used(before) | _used(after)
    return Change(
        Share(len(touched_names), len(before.pairs | after.pairs)),
        Share(len(_touched_targets(before, after) & used), len(used)),
        tuple(_words(before, after, reordered)),
    )


def differences(one: Wish, other: Wish) -> list[str]:
    """What two files want differently of one certificate, in words: `here` is `one`."""
    found = []
    for what, here, there in (
        ("names", one.names, other.names),
        ("key types", one.keys, other.keys),
        ("issuers", [f"{n} ({d})" for n, d in one.issuers], [f"{n} ({d})" for n, d in other.issuers]),
        ("targets", _serving(one), _serving(other)),
    ):
        mine, theirs = [each for each in here if each not in there], [each for each in there if each not in here]
        if mine and theirs:
            found.append(f"{what}: here {_some(mine)}, there {_some(theirs)}")
        elif mine or theirs:
            found.append(f"{what}: only {'here' if mine else 'there'} {_some(mine or theirs)}")
        elif list(here) != list(there) and what != "targets":
            found.append(f"{what}: in another order")
    rest = sorted(key for key in {*one.data, *other.data} - _INTENT if one.data.get(key) != other.data.get(key))
    return found + [f"{key.replace('_', ' ')}: here {one.data.get(key)}, there {other.data.get(key)}" for key in rest]


_INTENT: Final = {"names", "keys", "issuers", "targets"}


def _serving(wish: Wish) -> list[str]:
    whole = {target: set(names) == set(wish.names) for target, names in wish.targets.items()}
    return [t if whole[t] else f"{t} ({', '.join(names)})" for t, names in wish.targets.items()]


def _used(intent: Intent) -> set[str]:
    return {target for wish in intent.certificates.values() for target in wish.targets}


def _served(intent: Intent, common: Collection[tuple[str, str]]) -> dict[str, set[tuple[str, str]]]:
    """By target, what it serves of `common`: a name that comes or goes is counted as a name, not at each of its targets."""
    found: dict[str, set[tuple[str, str]]] = {}
    for certificate, wish in intent.certificates.items():
        for target, names in wish.targets.items():
            found.setdefault(target, set()).update((certificate, n) for n in names if (certificate, n) in common)
    return found


def _touched_targets(before: Intent, after: Intent) -> set[str]:
    common = before.pairs & after.pairs
    old, new = _served(before, common), _served(after, common)
    moved = {target for target in before.places.keys() & after.places.keys() if _moved(before, after, target)}
    served = {target for target in old.keys() | new.keys() if old.get(target, set()) != new.get(target, set())}
    return (before.places.keys() ^ after.places.keys()) | moved | served


def _moved(before: Intent, after: Intent, target: str) -> bool:
    return before.places[target] != after.places[target]


def _words(before: Intent, after: Intent, reordered: Collection[str]) -> Iterator[str]:
    come = sorted(after.certificates.keys() - before.certificates.keys())
    gone = sorted(before.certificates.keys() - after.certificates.keys())
    if come:
        yield f"+ {_count(come, 'certificate')}, {_names(after, come)}: {_some(come)}"
    if gone:
        yield f"- {_count(gone, 'certificate')}, {_names(before, gone)}: {_some(gone)}"
    found: dict[tuple[str, str], list[str]] = {}
    for name in sorted(before.certificates.keys() & after.certificates.keys()):
        for mark, what in _of_one(before.certificates[name], after.certificates[name]):
            found.setdefault((mark, what), []).append(name)
    yield from (f"{mark} {_some(names)}: {what}" for (mark, what), names in found.items())
    for target in sorted(before.places.keys() & after.places.keys()):
        if _moved(before, after, target):
            yield f"~ target {target} leads to another place"
    if left := sorted(before.places.keys() - after.places.keys()):
        yield f"- {_count(left, 'target')}: {_some(left)}"


def _of_one(old: Wish, new: Wish) -> Iterator[tuple[str, str]]:
    """Mark and words; what is the same for several certificates is then told once."""
    if more := [each for each in new.names if each not in old.names]:
        yield "+", f"{_count(more, 'name')} more: {_some(more)}"
    if less := [each for each in old.names if each not in new.names]:
        yield "-", f"{_count(less, 'name')} less: {_some(less)}"
    if old.issuers != new.issuers:
        was, now = [n for n, _ in old.issuers], [n for n, _ in new.issuers]
        yield "~", f"issued by {', '.join(now)}, " + (f"not {', '.join(was)}" if was != now else "at another address")
    if old.keys != new.keys:
        yield "~", f"keys {', '.join(new.keys)}, not {', '.join(old.keys)}"
    if come := sorted(new.targets.keys() - old.targets.keys()):
        yield "+", f"goes to {_some(come)} too"
    if gone := sorted(old.targets.keys() - new.targets.keys()):
        yield "-", f"no longer for {_some(gone)}"


def _names(intent: Intent, certificates: Sequence[str]) -> str:
    return _count([n for name in certificates for n in intent.certificates[name].names], "name")


def _some(values: Sequence[str]) -> str:
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(values[:_SHOWN]) + more


def _count(values: Collection[str], what: str) -> str:
    return f"{len(values)} {what}{'' if len(values) == 1 else 's'}"
