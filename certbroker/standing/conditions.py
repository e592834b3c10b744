"""Facts to conditions: what needs somebody, each cause told once. Pure.

A token that is refused fails the pushes of forty certificates and is one condition, not forty; what the check found and what
the pushes met are the same if they are said in the same words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from certbroker.notices import Condition, Kind, Severity, cause
from certbroker.safe import soon
from certbroker.serving import Cell, Stand, Standing
from certbroker.standing.facts import NINETY, Facts, Failing, Found, Held, Outage
from certbroker.standing.words import day, minute, served_now, several

RUNS: Final = 2
"""So many failures in a row are worth telling; one is mended by the very next run as often as not."""

MISSED: Final = 3
"""So many runs that did not come are a silence."""

PIN_ENDS: Final = timedelta(days=3)
"""How long before its end a pin is told of; of short lives an eighth."""


_FOUND_KINDS: Final = {
    "target": Kind.CREDENTIALS,
    "solver": Kind.CREDENTIALS,
    "issuer": Kind.CREDENTIALS,
    "label": Kind.LABEL,
    "dns": Kind.LABEL,
    "edge": Kind.DRIFT,
    "store": Kind.STORE,
    "vault": Kind.VAULT,
    "certificate": Kind.WAITING,
}
_CELL_KINDS: Final = {
    Stand.BROKEN: Kind.BROKEN,
    Stand.FAILING: Kind.PUSH,
    Stand.RESTORED: Kind.RESTORED,
    Stand.DRIFTED: Kind.DRIFT,
    Stand.WAITING: Kind.WAITING,
}

_SEEN: Final = frozenset({Stand.BROKEN, Stand.DRIFTED})
"""What looks at the edges find, too."""


def conditions(facts: Facts) -> tuple[Condition, ...]:
    """Those that wake somebody first, then by what must be done first."""
    made = _Making(facts)
    found = [*made.from_checks(), *made.from_cells(), *made.from_orders(), *made.from_versions()]
    found += [*made.from_held(), *made.from_passed(), *made.from_pins(), *made.from_orphans()]
    told = {name for each in found if each.kind not in (Kind.ISSUER, Kind.PIN) for name in each.certificates}
    found += made.from_time(told)
    kinds = list(Kind)
    last = datetime.max.replace(tzinfo=facts.now.tzinfo)
    states = ("fail", "wait", "warn")
    return tuple(
        sorted(
            found,
            key=lambda c: (c.severity, states.index(c.state), c.act_by or last, kinds.index(c.kind), c.key),
        )
    )


class _Making:
    """The conditions of one moment; what two sources tell of one cause is told by the first."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    # ---- what checks found -------------------------------------------------------------------------------------------

    def from_checks(self) -> list[Condition]:
        hit: dict[int, set[str]] = {}
        for number, found in enumerate(self._facts.found):
            hit[number] = {name for name, text in self._trouble() if found.state == "fail" and text in found.what}
        told = {f"{cell.certificate} → {cell.target}" for cell in self._facts.cells if cell.stand in _SEEN}
        return [
            self._check(found, hit[number])
            for number, found in enumerate(self._facts.found)
            if found.kind != "edge" or found.name not in told  # its cell tells it
        ]

    def _trouble(self) -> list[tuple[str, str]]:
        facts = self._facts
        orders = [(failing.certificate, failing.error) for failing in facts.failing]
        return orders + [
            (cell.certificate, cell.words) for cell in facts.cells if cell.stand is Stand.FAILING and cell.words
        ]

    def _check(self, found: Found, hit: set[str]) -> Condition:
        kind = _FOUND_KINDS.get(found.kind, Kind.CHECK)
        about = found.name.partition(" → ")
        certificates = self._first(hit)
        if kind is Kind.WAITING or found.kind in ("dns", "caa"):
            certificates = self._first({found.name})
        elif kind is Kind.DRIFT and about[1]:
            certificates = self._first({about[0]})
        needs = certificates or ([found.needed_by] if found.needed_by else [])
        return Condition(
            key=f"check/{found.kind}/{found.name}",
            kind=kind,
            severity=self._severity(certificates),
            state="wait" if kind is Kind.WAITING else found.state,
            subject=found.name if kind is Kind.WAITING or about[1] else f"{found.kind} {found.name}",
            certificates=tuple(certificates),
            target=found.name if found.kind == "target" else about[2] or None,
            since=found.since,
            what=found.what,
            now=self._needed(needs, hit=bool(certificates)),
            hint=found.hint or f"certbroker explain {found.name}",
            act_by=self._act_by(needs),
            ripe=found.state == "fail" or kind is Kind.WAITING,
        )

    def _needed(self, certificates: Sequence[str], *, hit: bool) -> str:
        if hit or not certificates:
            return self._now(certificates)
        first = self._facts.standings.get(certificates[0])
        if first is None or first.renews is None:
            return "nothing is broken"
        return f"nothing is broken; {first.certificate} needs it first, {minute(first.renews)}"

    def _said(self, words: str) -> bool:
        """A check found the very same."""
        return any(found.state == "fail" and words in found.what for found in self._facts.found)

    # ---- targets -----------------------------------------------------------------------------------------------------

    def from_cells(self) -> list[Condition]:
        groups: dict[tuple[Kind, str, str], list[Cell]] = defaultdict(list)
        waiting = {found.name for found in self._facts.found if found.kind == "certificate"}
        for cell in self._facts.cells:
            kind = _CELL_KINDS.get(cell.stand)
            if kind is None or (kind is Kind.PUSH and cell.words and self._said(cell.words)):
                continue
            if kind is Kind.WAITING and cell.certificate in waiting:
                continue
            groups[kind, cell.target, cause(cell.words)].append(cell)
        return [self._at_target(kind, target, cells) for (kind, target, _), cells in groups.items()]

    def _at_target(self, kind: Kind, target: str, cells: Sequence[Cell]) -> Condition:
        cells = sorted(cells, key=lambda cell: (cell.until is None, cell.until or self._facts.now, cell.certificate))
        names = tuple(dict.fromkeys(cell.certificate for cell in cells))
        first = cells[0]
        hints = {
            Kind.PUSH: f"the next run tries again, or at once: certbroker push {first.certificate} --target {target}",
            Kind.RESTORED: f"certbroker explain {first.certificate}; to try again: certbroker push {first.certificate} --target {target}",
            Kind.DRIFT: f"certbroker drift {first.certificate}; to put ours back: certbroker push {first.certificate} --target {target}",
            Kind.BROKEN: f"certbroker probe {first.certificate}; to push again: certbroker push {first.certificate} --target {target}",
            Kind.WAITING: f"certbroker explain {first.certificate}",
        }
        return Condition(
            key=f"{kind}/{target}/{cause(first.words)}",
            kind=kind,
            severity="page" if any(map(self._pages, cells)) else "tell",
            state="wait" if kind is Kind.WAITING else "fail",
            subject=f"{several(names)} → {target}",
            certificates=names,
            target=target,
            since=min((cell.since for cell in cells if cell.since), default=self._facts.now),
            what=first.words or str(first.stand),
            now=served_now(cells, self._facts.now),
            hint=first.hint or hints[kind],
            act_by=min((cell.act_by for cell in cells if cell.act_by), default=None),
            ripe=kind is not Kind.PUSH or max(cell.failures for cell in cells) >= RUNS,
        )

    def _pages(self, cell: Cell) -> bool:
        """Users get something broken there, or will soon."""
        if cell.standby:
            return False
        if cell.stand is Stand.BROKEN:
            return True
        standing = self._facts.standings.get(cell.certificate)
        return cell.until is not None and self._soon(cell.until, standing)

    # ---- orders ------------------------------------------------------------------------------------------------------

    def from_orders(self) -> list[Condition]:
        groups: dict[str, list[Failing]] = defaultdict(list)
        for failing in self._facts.failing:
            if not self._said(failing.error):
                groups[cause(failing.error)].append(failing)
        return [self._order(group) for group in groups.values()]

    def _order(self, group: Sequence[Failing]) -> Condition:
        names = self._first({failing.certificate for failing in group})
        first = next(failing for failing in group if failing.certificate == names[0])
        tries = [failing.try_again for failing in group if failing.try_again]
        again = f"; next try {minute(min(tries))}" if tries else ""
        return Condition(
            key=f"order/{cause(first.error)}",
            kind=Kind.ORDER,
            severity=self._severity(names),
            state="fail",
            subject=several(names),
            certificates=tuple(names),
            since=min(failing.since for failing in group),
            what=f"cannot be ordered: {first.error}",
            now=self._now(names) + again,
            hint=first.hint or f"certbroker explain {names[0]}",
            act_by=self._act_by(names),
            ripe=max(failing.failures for failing in group) >= RUNS,
        )

    def from_held(self) -> list[Condition]:
        """Those that are put off for longer than is safe; that the rest waits is as it should be."""
        groups: dict[str, list[Held]] = defaultdict(list)
        for held in self._facts.held:
            standing = self._facts.standings.get(held.certificate)
            if standing is not None and standing.act_by is not None and held.until > standing.act_by:
                groups[cause(held.why)].append(held)
        return [self._held(group) for group in groups.values()]

    def _held(self, group: Sequence[Held]) -> Condition:
        names = self._first({held.certificate for held in group})
        first = next(held for held in group if held.certificate == names[0])
        return Condition(
            key=f"hold/{cause(first.why)}",
            kind=Kind.HOLD,
            severity=self._severity(names),
            state="fail",
            subject=several(names),
            certificates=tuple(names),
            since=self._facts.now,
            what=f"not ordered before {minute(first.until)}, which is too late: {first.why}",
            now=self._now(names),
            hint=first.at_once(),
            act_by=self._act_by(names),
        )

    def from_versions(self) -> list[Condition]:
        """A revoked certificate is served until the next run replaces it."""
        found = []
        for name, standing in self._facts.standings.items():
            if standing.revoked_at is None:
                continue
            overdue = self._facts.now - standing.revoked_at > MISSED * self._facts.every
            found.append(
                Condition(
                    key=f"broken/{name}/revoked",
                    kind=Kind.BROKEN,
                    severity="page" if overdue and _facing(standing) else "tell",
                    state="fail",
                    subject=name,
                    certificates=(name,),
                    since=standing.revoked_at,
                    what=f"{standing.wanted} is revoked since {minute(standing.revoked_at)}; the next renew replaces it",
                    now=self._now([name]),
                    hint=f"certbroker renew {name}",
                    act_by=standing.revoked_at,
                )
            )
        return found

    # ---- issuers, pins, orphans --------------------------------------------------------------------------------------

    def from_passed(self) -> list[Condition]:
        return [
            Condition(
                key=f"issuer/{passed.issuer}",
                kind=Kind.ISSUER,
                severity="tell",
                state="warn",
                subject=f"issuer {passed.issuer}",
                certificates=tuple(self._first(set(passed.certificates))),
                since=passed.since,
                what=f"{passed.words}: {passed.why}",
                now="another issuer of the list steps in",
                hint=f"certbroker check {passed.issuer}",
            )
            for passed in self._facts.passed
        ]

    def from_pins(self) -> list[Condition]:
        found = []
        for pin in self._facts.pins:
            standing = self._facts.standings.get(pin.certificate)
            length = standing.length if standing and standing.length else None
            if pin.until - self._facts.now > min(PIN_ENDS, length / 8 if length else PIN_ENDS):
                continue
            found.append(
                Condition(
                    key=f"pin/{pin.certificate}/{pin.target}",
                    kind=Kind.PIN,
                    severity="tell",
                    state="warn",
                    subject=f"{pin.certificate} → {pin.target}",
                    certificates=(pin.certificate,),
                    target=pin.target,
                    since=pin.since,
                    what=f"its pin to {pin.label} ends {minute(pin.until)}: then what is wanted is pushed again ({pin.why})",
                    now=self._now([pin.certificate]),
                    hint=f"certbroker rollback {pin.certificate} --target {pin.target} --lift",
                    act_by=pin.until,
                )
            )
        return found

    def from_orphans(self) -> list[Condition]:
        found = []
        for orphan in self._facts.orphans:
            if orphan.kind != "certificate" or not orphan.stays or orphan.gone is None:
                continue
            until = min(each.ends for each in orphan.stays)
            where = ", ".join(f"{each.target} keeps {each.words(self._facts.now)}" for each in orphan.stays)
            found.append(
                Condition(
                    key=f"orphan/{orphan.name}",
                    kind=Kind.ORPHAN,
                    severity="tell",
                    state="warn",
                    subject=f"certificate {orphan.name}",
                    certificates=(orphan.name,),
                    since=orphan.gone,
                    what=f"it left the file on {day(orphan.gone)} and nobody renews it",
                    now=where,
                    hint=f"put [certificate.{orphan.name}] back into the file, or: {orphan.hint}",
                    act_by=until,
                    ripe=until > self._facts.now,
                )
            )
        return found

    # ---- time --------------------------------------------------------------------------------------------------------

    def from_time(self, told: set[str]) -> list[Condition]:
        """What nobody does: runs that do not come, and renewals that are late for no reason that anything else tells."""
        facts = self._facts
        if facts.outage is not None:  # runs do come, and why they renew nothing is known
            return [self._outage(facts.outage)]
        late = self._first({name for name in facts.overdue if name not in told})
        quiet = facts.last_run is not None and facts.now - facts.last_run > MISSED * facts.every
        if quiet and facts.last_run is not None:
            return [
                Condition(
                    key="silence",
                    kind=Kind.SILENCE,
                    severity=self._severity(late),
                    state="fail" if late else "warn",
                    subject="renew",
                    certificates=tuple(late),
                    since=facts.last_run,
                    what=f"no run since {minute(facts.last_run)}; the file says one every {_span(facts.every)}",
                    now=self._now(late) if late else "nothing is broken",
                    hint="certbroker renew; then see why the timer does not: systemctl status certbroker.timer",
                    act_by=self._act_by(late),
                )
            ]
        return [
            Condition(
                key=f"late/{name}",
                kind=Kind.LATE,
                severity=self._severity([name]),
                state="fail",
                subject=name,
                certificates=(name,),
                since=standing.act_by or facts.now,
                what="its last safe moment is over and it is not renewed",
                now=self._now([name]),
                hint=f"certbroker renew {name}",
                act_by=standing.act_by,
            )
            for name in late
            if (standing := facts.standings.get(name))
        ]

    def _outage(self, outage: Outage) -> Condition:
        first, now = outage.first, self._facts.now
        said = "nothing is ordered, pushed or looked at meanwhile"
        if first is not None:
            said += (
                f"; {first.certificate} {'ended' if first.ends <= now else 'is the first to end,'} {minute(first.ends)}"
            )
        return Condition(
            key=f"store/{outage.host}",
            kind=Kind.STORE,
            severity="page" if first is not None and first.wakes <= now else "tell",
            state="fail",
            subject="store",
            certificates=(first.certificate,) if first else (),
            since=outage.since,
            what=outage.what,
            now=said,
            hint=f"{outage.hint}; then: certbroker renew" if outage.hint else "certbroker renew",
            act_by=first.act_by if first else None,
            ripe=outage.ripe,
        )

    # ---- what certificates have in common ----------------------------------------------------------------------------

    def _first(self, names: set[str]) -> list[str]:
        """Those that need it first leading."""
        last = datetime.max.replace(tzinfo=self._facts.now.tzinfo)

        def key(name: str) -> tuple[datetime, str]:
            standing = self._facts.standings.get(name)
            return (standing.act_by if standing and standing.act_by else last), name

        return sorted(names, key=key)

    def _act_by(self, names: Sequence[str]) -> datetime | None:
        found = [self._facts.standings[name].act_by for name in names if name in self._facts.standings]
        return min((moment for moment in found if moment), default=None)

    def _now(self, names: Sequence[str]) -> str:
        cells = [cell for name in names if (s := self._facts.standings.get(name)) for cell in s.cells]
        return served_now(cells, self._facts.now) if cells else "nothing is broken"

    def _severity(self, names: Sequence[str]) -> Severity:
        """Whether users of any of these certificates get something broken, or will soon, because of it."""
        for name in names:
            standing = self._facts.standings.get(name)
            if standing is None or not _facing(standing):
                continue
            until = min((moment for moment in (standing.until, standing.ends) if moment), default=None)
            if until is not None and self._soon(until, standing):
                return "page"
        return "tell"

    def _soon(self, until: datetime, standing: Standing | None) -> bool:
        length = standing.length if standing and standing.length else NINETY
        return until - self._facts.now <= soon(length)


def _facing(standing: Standing) -> bool:
    """Users are sent to one of its targets."""
    return any(not cell.standby for cell in standing.cells)


def _span(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
