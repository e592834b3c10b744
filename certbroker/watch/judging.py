"""What an inventory, the looks and the time say together: conditions, as the broker has them. Pure.

An edge that shows what may be served there is fine until its last safe moment. One that shows something newer than the inventory
that users accept is a renewal of which we shall be told at the next writing. The rest is told, each cause once; and nothing is
over because nobody could look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from certbroker.notices import Condition, Kind, Severity, cause, day, minute, several
from certbroker.probe import NO_ROUTE, Seen, Verdict
from certbroker.safe import soon
from certbroker.watch.ending import Served, as_seen, as_told, labels, version_of
from certbroker.watch.inventory import Inventory
from certbroker.watch.looking import Look

MISSED: Final = 3
"""So many writings, or runs, that did not come are a silence."""

BACKDATED: Final = timedelta(minutes=65)
"""Let's Encrypt lets a certificate begin an hour before it signs it."""

AHEAD: Final = timedelta(minutes=15)
"""How far two clocks may be apart."""

_OF_LOOKS: Final = (Kind.BROKEN, Kind.DRIFT, Kind.CHECK)
"""What is over only when somebody could look again."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A look that is not as it should be. `why` leaves out where."""

    look: Look
    kind: Kind
    why: str
    about: str = ""
    """What two looks with the same cause have in common; `why` unless said."""

    @property
    def words(self) -> str:
        return f"{self.look.seen.name} at {self.look.seen.where} {self.why}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """`good` looks agree. `aside`: how many said nothing of the server, for there is no way from here."""

    conditions: tuple[Condition, ...]
    good: tuple[Look, ...]
    wrong: tuple[Wrong, ...]
    aside: int = 0


def judge(
    inventory: Inventory,
    looks: Iterable[Look],
    now: datetime,
    *,
    within: timedelta | None = None,
    before: Sequence[Condition] = (),
) -> Judgement:
    """Those that wake somebody first, then by what must be done first.

    Args:
        within: tell of whatever ends so soon, too.
        before: what was found the last time: since when it is so, and what is not over while nobody can look.
    """
    made = _Judging(inventory, list(looks), now, within, {each.key: each for each in before})
    found = [*made.at_targets(), *made.silences(), *made.late()]
    found += made.carried({each.key for each in found})
    return Judgement(tuple(sorted(found, key=_order)), tuple(made.good), tuple(made.wrong), made.aside)


def unread(what: str, hint: str, served: str, now: datetime, before: Sequence[Condition] = ()) -> Condition:
    """There is no inventory to be had. `served`: what is known all the same."""
    known = next((each for each in before if each.key == UNREAD), None)
    return Condition(
        key=UNREAD,
        kind=Kind.SILENCE,
        severity="tell",
        state="fail",
        subject="inventory",
        since=known.since if known else now,
        what=what,
        now=served,
        hint=hint,
    )


UNREAD: Final = "silence/inventory"
OLD: Final = "silence/old"


def _order(each: Condition) -> tuple[str, bool, bool, float, str]:
    return each.severity, not each.ripe, each.act_by is None, each.act_by.timestamp() if each.act_by else 0.0, each.key


class _Judging:
    def __init__(
        self,
        inventory: Inventory,
        looks: Sequence[Look],
        now: datetime,
        within: timedelta | None,
        before: Mapping[str, Condition],
    ) -> None:
        self._inventory = inventory
        self._now = now
        self._within = within
        self._before = before
        self._old = now - inventory.written > MISSED * inventory.interval
        shown = _with_a_way(looks)
        self.aside = len(looks) - len(shown)
        self.good: list[Look] = []
        self.wrong: list[Wrong] = []
        for look in shown:
            found = self._wrong(look)
            if found is None:
                self.good.append(look)
            else:
                self.wrong.append(found)
        self._blind = {(each.look.entry.name, each.look.at.target) for each in self.wrong if each.kind is Kind.CHECK}

    # ---- one look ----------------------------------------------------------------------------------------------------

    def _wrong(self, look: Look) -> Wrong | None:
        seen = look.seen
        match seen.verdict:
            case Verdict.UNREACHABLE:
                return Wrong(look, Kind.CHECK, f"cannot be reached: {seen.detail}")
            case Verdict.REFUSED:
                return Wrong(look, Kind.BROKEN, f"refuses the handshake: {seen.detail}")
            case Verdict.INVALID:
                return Wrong(look, Kind.BROKEN, f"serves what users refuse: {seen.detail}")
        if seen.fingerprint in look.at.serves or self._newer(seen):
            return None
        wanted = labels(look.entry, look.at.serves)
        ours = version_of(look.entry, seen.fingerprint)
        if ours is not None:
            return Wrong(look, Kind.DRIFT, f"serves {ours.label}, not {wanted}")
        until = f", until {day(seen.ends)}" if seen.ends else ""
        about = f"serves a certificate by {seen.issued_by} that is not ours"
        return Wrong(look, Kind.DRIFT, f"{about}{until}, not {wanted}", about)

    def _newer(self, seen: Seen) -> bool:
        """Made after the inventory was written: a renewal that it cannot know of."""
        return seen.starts is not None and seen.starts > self._inventory.written - BACKDATED

    # ---- targets -----------------------------------------------------------------------------------------------------

    def at_targets(self) -> Iterator[Condition]:
        edges = {each.look.seen.edge for each in self.wrong}
        if not self.good and len(edges) > 1 and all(each.kind is Kind.CHECK for each in self.wrong):
            yield self._nothing_reached()
            return
        groups: dict[tuple[Kind, str, str], list[Wrong]] = defaultdict(list)
        for each in self.wrong:
            why = "" if each.kind is Kind.CHECK else f"/{cause(each.about or each.why)}"
            groups[each.kind, each.look.at.target, why].append(each)
        for (kind, target, why), some in groups.items():
            yield self._at_target(f"{kind}/{target}{why}", kind, target, some)

    def _nothing_reached(self) -> Condition:
        return Condition(
            key="check/blind",
            kind=Kind.CHECK,
            severity="tell",
            state="fail",
            subject="all edges",
            since=self._since("check/blind"),
            what=f"none of them can be reached from here: {self.wrong[0].look.seen.detail}",
            now="nobody knows; it may be the network of this machine alone",
            hint="look at this machine's network, or watch from another place",
        )

    def _at_target(self, key: str, kind: Kind, target: str, some: Sequence[Wrong]) -> Condition:
        names = tuple(dict.fromkeys(each.look.entry.name for each in some))
        more = len({(each.look.seen.name, each.look.seen.where) for each in some}) - 1
        also = f"; and {more} more {'look' if more == 1 else 'looks'} like it" if more else ""
        since = self._since(key)
        facing = any(not each.look.at.standby for each in some)
        put = f"certbroker push {names[0]} --target {target}"
        hints = {
            Kind.BROKEN: f"certbroker probe {names[0]}; to push again: {put}",
            Kind.DRIFT: f"certbroker drift {names[0]}; to put ours back: {put}",
            Kind.CHECK: f"certbroker probe {names[0]}, which looks from where the broker runs",
        }
        return Condition(
            key=key,
            kind=kind,
            severity="page" if kind is Kind.BROKEN and facing else "tell",
            state="fail",
            subject=f"{several(names)} → {target}",
            certificates=names,
            target=target,
            since=since,
            what=some[0].words + also,
            now=self._served(names, target),
            hint=hints[kind],
            ripe=kind is not Kind.DRIFT
            or since < self._inventory.written
            or self._old,  # by then the broker knew of it
        )

    def _served(self, names: Sequence[str], target: str) -> str:
        """What is well there all the same."""
        good = [each.seen for each in self.good if each.at.target == target and each.entry.name in names]
        bad = [each for each in self.wrong if each.look.at.target == target and each.look.entry.name in names]
        if not good:
            return "nothing there is as it should be"
        until = min((each.ends for each in good if each.ends), default=None)
        end = f", until {day(until)}" if until else ""
        return f"{len(good)} of {len(good) + len(bad)} looks there see what they should{end}"

    # ---- time --------------------------------------------------------------------------------------------------------

    def silences(self) -> Iterator[Condition]:
        """The broker does not say anything, or does not do anything, or the clocks disagree."""
        told = self._inventory
        late = [name for name, _, _ in self._late] if self._silent else []
        by = f"by {told.host}" if told.host else "by its broker"
        if self._old:
            what = f"it was written {by} {minute(told.written)} and was to be written again {minute(told.next_writing)}"
            yield self._silence(OLD, "inventory", told.written, what, late)
        elif self._quiet is not None:
            what = f"no renew began since {minute(self._quiet)}, though the inventory is new"
            yield self._silence("silence/run", "renew", self._quiet, what, late)
        if not any(entry.targets for entry in told.certificates):
            yield Condition(
                key="check/empty",
                kind=Kind.CHECK,
                severity="tell",
                state="fail",
                subject="inventory",
                since=self._since("check/empty"),
                what="it names nothing that is served",
                now="nothing is watched",
                hint="certbroker status; what was never proven at a target is not watched there",
            )
        if told.written > self._now + AHEAD:
            yield Condition(
                key="check/clock",
                kind=Kind.CHECK,
                severity="tell",
                state="fail",
                subject="clock",
                since=self._since("check/clock"),
                what=f"the inventory was written {minute(told.written)}, and here it is {minute(self._now)}",
                now="what is served is looked at all the same",
                hint=f"put the clock right, here or on {told.host or 'the broker'}",
            )

    @property
    def _quiet(self) -> datetime | None:
        """Since when no run began, where that is too long."""
        last = self._inventory.last_run
        return last if last is not None and self._now - last > MISSED * self._inventory.interval else None

    @property
    def _silent(self) -> bool:
        return self._old or self._quiet is not None

    def _silence(self, key: str, subject: str, since: datetime, what: str, late: Sequence[str]) -> Condition:
        ends = {name: (severity, act_by) for name, severity, act_by in self._late} if late else {}
        served = f"{several(late)} {'ends' if len(late) == 1 else 'end'} soon" if late else "nothing ends soon"
        return Condition(
            key=key,
            kind=Kind.SILENCE,
            severity="page" if any(severity == "page" for severity, _ in ends.values()) else "tell",
            state="fail",
            subject=subject,
            certificates=tuple(late),
            since=since,
            what=what,
            now=served,
            hint="certbroker renew; then see why the timer does not, or why the inventory does not come: systemctl status certbroker.timer",
            act_by=min((act_by for _, act_by in ends.values()), default=None),
        )

    def late(self) -> Iterator[Condition]:
        """What ends and was not renewed in time. While the broker is silent, that is told with its silence."""
        for name, severity, act_by in self._late:
            served = self._ends[name]
            first = min(served, key=lambda each: each.ends)
            why = f"{first.instead} is not served instead" if first.instead else "is not renewed"
            over = f"its last safe moment was {minute(act_by)}" if act_by <= self._now else f"act by {minute(act_by)}"
            yield Condition(
                key=f"late/{name}",
                kind=Kind.LATE,
                severity=severity,
                state="fail",
                subject=name,
                certificates=(name,),
                since=self._since(f"late/{name}", act_by if act_by <= self._now else None),
                what=f"{first.label} {'ends' if first.ends > self._now else 'ended'} {minute(first.ends)} and {why}; {over}",
                now=f"served at {several(sorted({each.target for each in served if each.label == first.label}))}",
                hint=f"certbroker renew {name}; certbroker explain {name}",
                act_by=act_by,
                ripe=not self._silent,
            )

    @cached_property
    def _late(self) -> list[tuple[str, Severity, datetime]]:
        """By certificate, those that end first leading: whether users get something broken soon, and the last safe moment."""
        found: list[tuple[datetime, str, Severity, datetime]] = []
        for name, served in self._ends.items():
            due = [each for each in served if self._due(each)]
            if due:
                page = any(not each.standby and each.ends - self._now <= soon(each.length) for each in due)
                first = min(due, key=lambda each: each.ends)
                act_by = min(each.act_by for each in due)
                found.append((first.ends, name, "page" if page else "tell", act_by))
        return [(name, severity, act_by) for _, name, severity, act_by in sorted(found)]

    def _due(self, each: Served) -> bool:
        return each.act_by <= self._now or (self._within is not None and each.ends - self._now <= self._within)

    @cached_property
    def _ends(self) -> Mapping[str, list[Served]]:
        """What is served, by certificate: as seen, else as the broker last knew. What has ended is broken, not late."""
        found: dict[str, list[Served]] = defaultdict(list)
        seen_at: set[tuple[str, str]] = set()
        for look in self.good:
            seen_at.add((look.entry.name, look.at.target))
            found[look.entry.name].append(as_seen(look))
        for entry in self._inventory.certificates:
            for at in entry.targets:
                if (entry.name, at.target) not in seen_at and (not at.edges or (entry.name, at.target) in self._blind):
                    found[entry.name].append(as_told(entry, at))
        return {name: some for name, some in found.items() if some}

    # ---- from one time to the next -----------------------------------------------------------------------------------

    def _since(self, key: str, otherwise: datetime | None = None) -> datetime:
        known = self._before.get(key)
        return known.since if known else otherwise or self._now

    def carried(self, found: set[str]) -> Iterator[Condition]:
        """What was so the last time, where nobody could look now."""
        blind = {target for _, target in self._blind}
        for key, each in self._before.items():
            if key not in found and each.kind in _OF_LOOKS and each.target in blind:
                yield replace(each, ripe=False)


def _with_a_way(looks: Sequence[Look]) -> list[Look]:
    """Without those of IPv6 addresses to which there is no way, where none was reached: that is this machine, not the servers."""
    six = [look for look in looks if ":" in look.seen.address]
    if any(look.seen.verdict is not Verdict.UNREACHABLE for look in six):
        return list(looks)
    return [look for look in looks if not (":" in look.seen.address and look.seen.detail in NO_ROUTE)]
