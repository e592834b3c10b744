"""How one certificate stands: what each of its targets serves and until when, and by when somebody must act. Pure, no clock.

The store keeps the answer beside the rows it follows from and makes it anew in the same transaction (`store/standings.py`), so
that ten thousand certificates can be sorted by an index. Hence nothing here depends on what time it is: an end is a moment,
and whoever reads it compares it with now.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from certbroker.known import Issued, Known, Look, Ordering, Pinned, Place, Put
from certbroker.model import Phase
from certbroker.safe import last_safe_moment, of_life


class Stand(StrEnum):
    """How a certificate stands at one target, or altogether; the worst first."""

    BROKEN = "broken"
    """It was served well once, and an edge now serves something that users refuse."""
    FAILING = "failing"
    """The last push or order failed, or the certificate is revoked."""
    RESTORED = "restored"
    """A push made it worse; what was served before is put back."""
    DRIFTED = "drifted"
    """Proven once; an edge now serves something else, which users accept."""
    WAITING = "waiting"
    """A person must act."""
    ARRIVING = "arriving"
    """Pushed or about to be, not proven yet."""
    MISSING = "missing"
    """It stands in the file and was never pushed there."""
    UNISSUED = "unissued"
    """There is no certificate yet."""
    DELIVERED = "delivered"
    """The target has it by its own word, and nobody can look."""
    SERVED = "served"
    """Proven by a handshake with its edges."""

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return _RANKS[self]

    @property
    def fine(self) -> bool:
        return self in (Stand.DELIVERED, Stand.SERVED)

    @property
    def sign(self) -> str:
        """The state that a sign stands for on paper: ok, warn, fail, wait or none."""
        return _SIGNS[self]


_RANKS: Final = {stand: number for number, stand in enumerate(Stand)}
_SIGNS: Final = {
    Stand.BROKEN: "fail",
    Stand.FAILING: "fail",
    Stand.RESTORED: "fail",
    Stand.DRIFTED: "fail",
    Stand.WAITING: "wait",
    Stand.ARRIVING: "warn",
    Stand.MISSING: "warn",
    Stand.UNISSUED: "none",
    Stand.DELIVERED: "ok",
    Stand.SERVED: "ok",
}
OTHER: Final = "other"
"""Stands for the label of a version where what is served is not ours."""

FIRST_FINE: Final = _RANKS[Stand.DELIVERED]
"""Ranks from here on need nobody."""

_OF_PHASE: Final = {
    Phase.PENDING: Stand.ARRIVING,
    Phase.PUSHED: Stand.ARRIVING,
    Phase.VERIFYING: Stand.ARRIVING,
    Phase.COMMITTED: Stand.SERVED,
    Phase.DELIVERED: Stand.DELIVERED,
    Phase.WAITING: Stand.WAITING,
    Phase.FAILED: Stand.FAILING,
    Phase.RESTORING: Stand.RESTORED,
    Phase.RESTORED: Stand.RESTORED,
}


# ---- how it stands -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """One certificate at one target."""

    certificate: str
    target: str
    stand: Stand
    standby: bool
    wanted: str
    """The version that is to be there: `v2`; empty before there is one."""
    served: str
    """The version that is there as far as we know, `other` for what is not ours; empty if nothing is."""
    words: str
    """Why it is so."""
    since: datetime | None
    until: datetime | None
    """When what is served ends, the first of its names; None: nothing is served, or nobody told."""
    act_by: datetime | None
    hint: str
    """What to do about it, where the saga knows."""
    failures: int
    """Pushes that failed in a row."""
    edges: int
    """That answered when last looked at."""
    proven: int
    """Of them, those that serve users something valid for every name."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One certificate altogether. `until` is the first end of what users are served, `ends` that of what is wanted."""

    certificate: str
    stand: Stand
    wanted: str
    words: str
    since: datetime | None
    until: datetime | None
    ends: datetime | None
    renews: datetime | None
    act_by: datetime | None
    revoked_at: datetime | None
    """When what is wanted was revoked."""
    length: timedelta | None
    """The whole life of what is wanted."""
    took: timedelta | None
    """The slowest order, push and verification that was measured."""
    places: int
    served: int
    """Of `places`, those that are as wanted."""
    cells: tuple[Cell, ...]


def stand(known: Known) -> Standing:
    """How it stands, from what is known."""
    orderings = [known.orderings.get(key, Ordering()) for key in known.keys]
    wanted = [each.wanted for each in orderings if each.wanted]
    took = measured(known)
    length = min((_seconds(version.life.length) for version in wanted), default=None)
    cells = tuple(_cell(known, place, wanted, took, length) for place in known.places)
    facing = [cell for cell in cells if not cell.standby] or list(cells)
    ends = min((version.life.ends for version in wanted), default=None)
    moments = [cell.act_by for cell in facing if cell.act_by]
    moments += [of_life(version.life, took=took, allowance=known.allowance) for version in wanted]
    found = _altogether(known, orderings, wanted, cells)
    return Standing(
        certificate=known.certificate,
        stand=found[0],
        wanted="/".join(dict.fromkeys(version.label for version in wanted)),
        words=found[1],
        since=found[2],
        until=min((cell.until for cell in facing if cell.until), default=None),
        ends=ends,
        renews=min((version.renews for version in wanted if version.renews), default=None),
        act_by=min(moments, default=None),
        revoked_at=min((version.revoked_at for version in wanted if version.revoked_at), default=None),
        length=length,
        took=took,
        places=len(cells),
        served=sum(cell.stand.fine for cell in cells),
        cells=cells,
    )


def _altogether(
    known: Known, orderings: Sequence[Ordering], wanted: Sequence[Issued], cells: Sequence[Cell]
) -> tuple[Stand, str, datetime | None]:
    """The worst of it, why, and since when."""
    found: list[tuple[Stand, str, datetime | None]] = []
    found += [
        (Stand.FAILING, f"cannot be ordered: {each.error}", each.failing_since) for each in orderings if each.error
    ]
    found += [(Stand.FAILING, f"{v.label} is revoked", v.revoked_at) for v in wanted if v.revoked_at]
    if known.waits:
        found.append((Stand.WAITING, known.waits, None))
    found += [(cell.stand, f"{cell.target}: {cell.words}" if cell.words else "", cell.since) for cell in cells]
    if not wanted:
        found.append((Stand.UNISSUED, "never issued", None))
        found = [each for each in found if each[0] is not Stand.MISSING]
    if not found:
        return Stand.DELIVERED, "no target is to serve it", None
    worst = min(found, key=lambda each: each[0].rank)
    return (worst[0], "", worst[2]) if worst[0].fine else worst


def measured(known: Known) -> timedelta | None:
    """The slowest order and the slowest way to a proven deployment of those that are still known."""
    pushes = [put.since - put.begun for put in known.puts if put.phase.settled and put.begun]
    versions = [each.wanted for each in known.orderings.values() if each.wanted] + [put.version for put in known.puts]
    orders = [version.took for version in versions if version.took]
    if not orders and not pushes:
        return None
    return _seconds(max(orders, default=timedelta()) + max(pushes, default=timedelta()))


def _seconds(length: timedelta) -> timedelta:
    """In whole seconds, the longer."""
    return timedelta(seconds=math.ceil(length.total_seconds()))


def _cell(
    known: Known, place: Place, wanted: Sequence[Issued], took: timedelta | None, length: timedelta | None
) -> Cell:
    mine = [put for put in known.puts if put.target == place.target and put.name in place.names]
    looks = [
        look
        for look in known.looks
        if look.target == place.target and look.name in place.names and look.verdict != "unreachable"
    ]
    pin = known.pins.get(place.target)
    version = to_be_served(known, place)
    here = [put for put in mine if version is not None and put.version.id == version.id]
    proven = any(put.phase.settled for put in mine)
    bad = [look for look in looks if look.verdict != "valid"] if proven else []
    found, words, since, hint = _how(place, version, here, mine, looks, bad)
    drifts = [each for each in known.drifts if each.target == place.target and each.name in place.names]
    if drifts and (found.fine or found in (Stand.DRIFTED, Stand.BROKEN)):
        first = min(drifts, key=lambda drift: (drift.since, drift.name))
        names = ", ".join(each.name for each in drifts if each.what == first.what)
        found = Stand.BROKEN if found is Stand.BROKEN else Stand.DRIFTED
        words, since, hint = f"{names}: {first.what}", first.since, first.hint
    if pin and found.fine and any(each.id != pin.version.id for each in wanted):
        found, words, since, hint = _held(pin, wanted, mine, since)
    until = min((end for name in place.names if (end := _end(name, mine, looks))), default=None)
    act_by = until
    if bad:
        act_by = min(look.at for look in bad)  # over already
    elif until is not None and length is not None:
        act_by = last_safe_moment(until, length, took=took, allowance=known.allowance)
    edges = {look.edge for look in looks}
    wrong = {look.edge for look in looks if look.verdict != "valid"}
    return Cell(
        certificate=known.certificate,
        target=place.target,
        stand=found,
        standby=place.standby,
        wanted=version.label if version else "",
        served=_served(mine, looks),
        words=words,
        since=since,
        until=until,
        act_by=act_by,
        hint=hint,
        failures=max((put.failures for put in here), default=0),
        edges=len(edges),
        proven=len(edges - wrong),
    )


def to_be_served(known: Known, place: Place) -> Issued | None:
    """The version that is to be there: the pinned one, else the wanted one of its key type; None before there is one."""
    pin = known.pins.get(place.target)
    if pin is not None:
        return pin.version
    orderings = [known.orderings.get(key, Ordering()) for key in known.keys]
    wanted = [each.wanted for each in orderings if each.wanted]
    return _version(wanted, [put for put in known.puts if put.target == place.target and put.name in place.names])


def _version(wanted: Sequence[Issued], mine: Sequence[Put]) -> Issued | None:
    """The wanted version of the first key type, in the file's order, that was ever put here; before that, the first."""
    put = {each.version.id for each in mine}
    return next((version for version in wanted if version.id in put), next(iter(wanted), None))


class _How(NamedTuple):
    stand: Stand
    words: str = ""
    since: datetime | None = None
    hint: str = ""


def _how(
    place: Place,
    version: Issued | None,
    here: Sequence[Put],
    mine: Sequence[Put],
    looks: Sequence[Look],
    bad: Sequence[Look],
) -> _How:
    """The worst of its names."""
    if bad:
        first = min(bad, key=lambda look: (look.at, look.name, look.edge))
        return _How(Stand.BROKEN, f"{first.name} at {first.edge}: {first.detail or first.verdict}", first.at)
    if version is None or not here:
        before = any(put.phase.settled for put in mine)
        return _How(Stand.MISSING, f"{version.label} is not pushed yet" if before and version else "not pushed yet")
    worst = min(here, key=lambda put: (_OF_PHASE[put.phase].rank, put.since, put.name))
    found = _OF_PHASE[worst.phase]
    if found is Stand.ARRIVING and worst.failures:
        found = Stand.FAILING  # until it is proven, it is the same trouble
    if not found.fine:
        return _How(found, worst.why or worst.phase.value, worst.since, worst.hint)
    committed = {put.name for put in here if put.phase is Phase.COMMITTED}
    other = [look for look in looks if look.name in committed and look.fingerprint != version.fingerprint]
    if other:
        first = min(other, key=lambda look: (look.at, look.name, look.edge))
        return _How(Stand.DRIFTED, f"{first.name} at {first.edge}: serves something else", first.at)
    if len(here) < len(place.names):
        return _How(Stand.ARRIVING, f"{len(here)} of {len(place.names)} names are there", worst.since)
    return _How(found, worst.why if found is Stand.DELIVERED else "", max(put.since for put in here))


def _held(pin: Pinned, wanted: Sequence[Issued], mine: Sequence[Put], since: datetime | None) -> _How:
    """Served as pinned, which is not what is wanted: a person lifts that."""
    ids = {each.id for each in wanted}
    waiting = [put for put in mine if put.version.id in ids and put.phase is Phase.WAITING and put.why]
    if waiting:
        first = min(waiting, key=lambda put: (put.since, put.name))
        return _How(Stand.WAITING, first.why, first.since, first.hint)
    until = f"{pin.until:%a} {pin.until.day} {pin.until:%b %Y}"
    return _How(Stand.WAITING, f"{pin.version.label} is pinned by hand, at the longest until {until}", since)


def _end(name: str, mine: Sequence[Put], looks: Sequence[Look]) -> datetime | None:
    """When what is served for that name ends: as the edges show it, else what was last proven there, else what the platform said."""
    seen = [look for look in looks if look.name == name]
    if seen:
        return min((look.ends for look in seen if look.verdict == "valid" and look.ends), default=None)
    puts = [put for put in mine if put.name == name]
    settled = [put for put in puts if put.phase.settled]
    if settled:
        return max(settled, key=lambda put: (put.since, put.version.id)).version.life.ends
    return max(puts, key=lambda put: put.version.id).before_ends if puts else None


def _served(mine: Sequence[Put], looks: Sequence[Look]) -> str:
    """The label of what is served, as the edges show it, else as it was last proven."""
    labels = {put.version.fingerprint: put.version.label for put in mine}
    if looks:
        return "/".join(
            sorted({labels.get(look.fingerprint or "", OTHER) for look in looks if look.verdict == "valid"})
        )
    settled = [put for put in mine if put.phase.settled]
    return max(settled, key=lambda put: (put.since, put.version.id)).version.label if settled else ""
