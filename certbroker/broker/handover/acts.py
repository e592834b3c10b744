"""What each step does outside, and how it is taken back: thin effects around the one path that orders, pushes and looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal

from certbroker.broker.desk import Desk
from certbroker.broker.facts import wanted_at
from certbroker.broker.handover import facts as looked
from certbroker.broker.handover.looks import Glance, glance
from certbroker.broker.handover.ordering import held_words, names_of, order, reconciled
from certbroker.broker.handover.routing import points_at
from certbroker.broker.handover.told import Came
from certbroker.broker.lent import put_back, read, written
from certbroker.challenges.lending import Lent
from certbroker.errors import NothingDone
from certbroker.handover import TAKEOVER, Do, handback_of, ways
from certbroker.model import Assignment, Certificate, Failed, Keep, Method, Outcome, Phase, Record, Waiting
from certbroker.plan import Selection, given_back
from certbroker.provider import TradesManaged
from certbroker.store import HandoverRow

FIRST_LOOK: Final = 1.0
LONGEST_PAUSE: Final = 10.0
CONFIRM: Final = 3
"""So many looks in a row must find an edge worse than before, before it is believed."""


@dataclass(frozen=True, slots=True)
class Acts:
    """The effects of one flow. `note` writes a row, before and between outside calls."""

    desk: Desk
    certificate: Certificate
    rows: Sequence[HandoverRow]
    note: Callable[[HandoverRow], HandoverRow]

    # ---- what taking it back will need: read before anything is touched ------------------------------------------------

    def undo_of(self, row: HandoverRow) -> dict[str, Any]:
        """What is to be stored. Raises CertbrokerError if it cannot be found out: then the step is not begun."""
        match row.do:
            case Do.ORDER:
                found = looked.proving(self.desk, self.certificate)
                return written(self._lendable([label.name for way in ways(found) for label in way.lent]))
            case Do.FREE:
                return written(
                    self._lendable([label.name for label in looked.held_labels(self.desk, self.certificate)])
                )
            case Do.SERVE:
                place = looked.place(self.desk, self._at(row))
                here = [name for name in place.issued if not place.own[name].elsewhere]
                return {"names": here}
            case Do.RETIRE:
                return {"names": list(looked.place(self.desk, self._at(row)).own)}
            case Do.REQUEST:
                place = looked.place(self.desk, self._at(row))
                return {"names": [name for name in place.names if name not in place.own]}
            case Do.YIELD:
                return {"names": list(self._at(row).names)}
        return {}

    def _lendable(self, names: Sequence[str]) -> list[Lent]:
        lending = self.desk.challenges().lending
        return [lent for name in dict.fromkeys(names) if (lent := lending.of(name))]

    # ---- forward -------------------------------------------------------------------------------------------------------

    def do(self, row: HandoverRow, before: Glance) -> Came:
        """Carry it out. Raises CertbrokerError; what was begun then stays begun."""
        match row.do:
            case Do.ORDER:
                return order(self.desk, self.certificate, read(row.undo))
            case Do.SERVE:
                return self._serve(row, before, handback_of(str(row.target)))
            case Do.POINT:
                return self._point(row, wanted=True)
            case Do.WATCH:
                return self._watch(before)
            case Do.RETIRE:
                return self._retire(row, before)
            case Do.FREE:
                return self._free(row)
            case Do.REQUEST:
                return self._request(row)
            case Do.YIELD:
                return self._yield(row, before)
            case _:
                return self._tidy(row, before)

    def undo(self, row: HandoverRow, before: Glance) -> Came:
        """Take it back."""
        names = tuple((row.undo or {}).get("names", ()))
        match row.do:
            case Do.ORDER | Do.FREE:
                lent = read(row.undo)
                put_back(self.desk, lent)
                return Came("done", f"the CNAME {names_of(lent)} stands as before" if lent else "nothing to take back")
            case Do.SERVE:
                return self._take_away(row, names, before)
            case Do.POINT:
                return self._point(row, wanted=False)
            case Do.RETIRE:
                return self._ask_for(row, names)
            case Do.REQUEST:
                return self._take_request_back(row, names)
            case Do.YIELD:
                return self._serve(row, before)
        return Came("done", "nothing to take back")

    # ---- ours ----------------------------------------------------------------------------------------------------------

    def _serve(self, row: HandoverRow, before: Glance, other_flow: str = "") -> Came:
        """The saga pushes, looks, and puts back what got worse."""
        if other_flow:
            self.desk.store.forget_handover(self.certificate.name, other_flow)
        target = str(row.target)
        if not self._ours_alone(target, before):
            self._not_ours_any_more(
                target, self._at(row).names
            )  # whatever was proven there once, e.g. by who was killed since
        here = frozenset({target})
        done = reconciled(
            self.desk,
            self.certificate,
            Selection(order=False, targets=here, ignore_backoff=True, heal=True, take_over=here),
        )
        version = wanted_at(self.desk, self.certificate, target)
        if version is None:
            return Came(
                "untouched", "there is nothing to serve yet", f"certbroker takeover {self.certificate.name} --step 1"
            )
        rows = [self.desk.store.deployment(version.id, target, name) for name in self._at(row).names]
        phases = {each.phase if each else Phase.PENDING for each in rows}
        worst = next((each for each in rows if each and not each.phase.settled), None)
        if all(phase.settled for phase in phases):
            return Came("done", f"{version.label} is served")
        if worst is None or phases & {Phase.PENDING}:
            return Came("untouched", held_words(done), f"certbroker plan {self.certificate.name} --target {target}")
        why, hint = worst.why or worst.phase.value, worst.hint or ""
        if phases & {Phase.FAILED, Phase.RESTORED, Phase.RESTORING}:
            return Came("failed", why, hint)
        if worst.records:
            return Came("waiting", f"{worst.name}: {why}", f"publish {worst.records[0]}")
        return Came("waiting", f"not every edge serves {version.label} yet: {why}", hint)

    def _watch(self, look: Glance) -> Came:
        """Every edge that can be reached, of each target where ours was put."""
        for row in self.rows:
            if row.do != Do.SERVE or row.target is None:
                continue
            version = wanted_at(self.desk, self.certificate, row.target)
            prints = look.prints(row.target)
            if version is None or prints != {version.fingerprint}:
                what = version.label if version else "ours"
                return Came(
                    "waiting",
                    f"not every edge of {row.target} serves {what}",
                    f"certbroker probe {self.certificate.name}",
                )
        return Came("done", "every edge serves ours")

    def _ours_alone(self, target: str, look: Glance) -> bool:
        version = wanted_at(self.desk, self.certificate, target)
        return version is not None and look.prints(target) == {version.fingerprint}

    # ---- theirs --------------------------------------------------------------------------------------------------------

    def _retire(self, row: HandoverRow, before: Glance) -> Came:
        if not self._ours_alone(str(row.target), before):
            hint = f"certbroker probe {self.certificate.name}"
            return Came("untouched", f"not every edge of {row.target} serves ours; nothing was touched", hint)
        names = tuple((row.undo or {}).get("names", ()))
        return self._judged(self._trade(row).retire_managed(self._at(row, names)), "it has ended its own")

    def _request(self, row: HandoverRow) -> Came:
        """Ask, then publish what it wants to see where that is ours to write and nobody else of ours needs the label."""
        trade, here = self._trade(row), self._at(row)
        outcomes = trade.request_managed(here)
        wanted = list(dict.fromkeys(r for each in outcomes.values() if isinstance(each, Waiting) for r in each.records))
        if wanted and not _failed(outcomes):
            self._publish(row, wanted)
            outcomes = self._asked_again(trade, here)
        came = self._judged(outcomes, "it has its own")
        if came.how != "waiting":
            return came
        hint = "; and ".join(f"publish {record}" for record in wanted)
        return Came("waiting", f"{self._platform(row)} has not issued its own yet", hint)

    def _asked_again(self, trade: TradesManaged, here: Assignment) -> Mapping[str, Outcome]:
        clock = self.desk.world.clock
        give_up, pause = clock.monotonic() + self.desk.patience, FIRST_LOOK
        while True:
            outcomes = trade.request_managed(here)
            if not any(isinstance(each, Waiting) for each in outcomes.values()) or clock.monotonic() + pause >= give_up:
                return outcomes
            clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _publish(self, row: HandoverRow, records: Sequence[Record]) -> None:
        """The CNAMEs that stand nowhere yet; the row knows of each before it stands."""
        if self.desk.target(str(row.target)).settings.ownership != "publish" or self.label_needed(str(row.target)):
            return
        lending, lookup = self.desk.challenges().lending, self.desk.challenges().lookup
        free = [r for r in records if r.type == "CNAME" and lookup.land(r.name).end == r.name]
        planned = [lent for r in free if (lent := lending.planned(r.name, r.values[0].rstrip(".")))]
        if not planned:
            return
        self.note(replace(row, undo={**(row.undo or {}), **written([*read(row.undo), *planned])}))
        for lent in planned:
            lending.put_back(lent)

    def label_needed(self, but: str) -> bool:
        """Whether another target of ours goes on being renewed by dns-01, which needs the label itself."""
        others = [each for each in self.certificate.assignments if each.target != but]
        return bool(others) and self.certificate.challenge is Method.DNS_01

    def _ask_for(self, row: HandoverRow, names: tuple[str, ...]) -> Came:
        outcomes = self._asked_again(self._trade(row), self._at(row, names))
        wanted = [r for each in outcomes.values() if isinstance(each, Waiting) for r in each.records]
        hint = "; and ".join(f"publish {record}" for record in dict.fromkeys(wanted))
        return self._judged(outcomes, "it has its own again", waiting=hint)

    def _take_request_back(self, row: HandoverRow, names: tuple[str, ...]) -> Came:
        came = self._judged(self._trade(row).retire_managed(self._at(row, names)), "the request is taken back")
        if came.how == "done":
            for lent in read(row.undo):
                self.desk.challenges().lending.take_away(lent)
        return came

    def _take_away(self, row: HandoverRow, names: Sequence[str], before: Glance) -> Came:
        """Ours, where the platform's own was served before it, at the same edges."""
        own = looked.place(self.desk, self._at(row)).own
        here = tuple(name for name in names if not (name in own and own[name].elsewhere))
        return (
            self._give_way(row, here, before)
            if here
            else Came("done", "ours stays; nothing was served there before it")
        )

    def _yield(self, row: HandoverRow, before: Glance) -> Came:
        place = looked.place(self.desk, self._at(row))
        if missing := [name for name in place.names if name not in place.issued]:
            wanted = [r.challenge for r in place.own.values() if r.challenge]
            hint = "; and ".join(f"publish {record}" for record in dict.fromkeys(wanted))
            return Came("not yet", f"{place.platform} has not issued its own for {', '.join(missing)}", hint)
        self.desk.store.forget_handover(self.certificate.name, TAKEOVER)
        return self._give_way(row, self._at(row).names, before)

    def _give_way(self, row: HandoverRow, names: tuple[str, ...], before: Glance) -> Came:
        """The platform's own instead of ours; where an edge serves nothing valid then, ours is put back at once."""
        target = str(row.target)
        holder = f"{self.desk.world.host}, run {self.desk.store.run}"
        with self.desk.store.lease(f"certificate/{self.certificate.name}", holder) as lease:
            lease.check()
            outcomes = self._trade(row).give_way(self._at(row, names))
            if failed := _failed(outcomes):
                how: Literal["failed", "untouched"] = "failed" if len(failed) < len(outcomes) else "untouched"
                return Came(how, failed[0].error.what, failed[0].error.hint or "")
            self._not_ours_any_more(target, names)
        worse, missing = self._settled(target, names, before)
        if worse:
            came = self._serve(row, glance(self.desk, self.certificate, [target]))
            back = "ours was put back" if came.how == "done" else f"ours could not be put back yet: {came.why}"
            return Came("failed", f"{worse[0][2]} served nothing valid for {worse[0][1]} any more; {back}", came.hint)
        if missing:
            return Came("waiting", f"{missing[0][2]} still serves ours for {missing[0][1]}")
        return Came("done", f"every edge serves {self._platform(row)}'s own")

    def _settled(
        self, target: str, names: Sequence[str], before: Glance
    ) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
        """Where it got worse, confirmed; and where ours is still served when patience is over."""
        clock = self.desk.world.clock
        give_up, pause, times = clock.monotonic() + self.desk.patience, FIRST_LOOK, 0
        ours = {version.fingerprint for version in self.desk.store.versions(self.certificate.name)}
        while True:
            look = glance(self.desk, self.certificate, [target])
            worse = [spot for spot in look.worse(before) if spot[0] == target and spot[1] in names]
            missing = [spot for spot, seen in look.seen.items() if spot[1] in names and seen.fingerprint in ours]
            times = times + 1 if worse else 0
            if times >= CONFIRM or (not worse and not missing) or clock.monotonic() + pause >= give_up:
                return worse, missing
            clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _not_ours_any_more(self, target: str, names: Sequence[str]) -> None:
        """The store forgets what was pushed there, so that a push begins anew, if ever."""
        store = self.desk.store
        held = given_back(self.certificate.name, target)
        fresh = partial(
            replace,
            phase=Phase.WAITING,
            since=self.desk.world.clock.now(),
            pushed=None,
            before=None,
            before_seen={},
            records=(),
            why=held.why,
            hint=held.hint,
        )
        rows = [row for row in store.deployments(self.certificate.name) if row.target == target and row.name in names]
        store.put_deployments([fresh(row) for row in rows])

    def _tidy(self, row: HandoverRow, before: Glance) -> Came:
        target = str(row.target)
        ours = {version.fingerprint for version in self.desk.store.versions(self.certificate.name)}
        if before.prints(target) & ours:
            return Came("untouched", f"an edge of {target} still serves ours; nothing was touched")
        removed = self.desk.target(target).provider.prune(self._at(row), Keep(frozenset()))
        return Came("done", f"removed {', '.join(removed)}" if removed else "nothing of ours is left there")

    # ---- a person's ----------------------------------------------------------------------------------------------------

    def _point(self, row: HandoverRow, *, wanted: bool) -> Came:
        target = self.desk.target(str(row.target))
        here = self._at(row)
        edges = target.edges(here)
        led = {name: points_at(self.desk.challenges().lookup, name, edges) for name in here.names}
        if wanted and all(led.values()):
            return Came("done", f"DNS leads to {row.target}")
        if not wanted and not any(led.values()):
            return Came("done", "DNS leads elsewhere")
        where = ", ".join(map(str, edges))
        names = ", ".join(name for name, there in led.items() if there is not wanted)
        if wanted:
            return Came("waiting", f"DNS does not lead to {row.target} yet: {names}", f"point {names} at {where}")
        return Came("waiting", f"DNS still leads to {row.target}: {names}", f"point {names} where it was before")

    # ---- the rest ------------------------------------------------------------------------------------------------------

    def _free(self, row: HandoverRow) -> Came:
        """For good: the file's dns-01 is proven there from now on."""
        lent = read(row.undo)
        for each in lent:
            self.desk.challenges().lending.take_away(each)
        self.desk.look_again()
        left = looked.held_labels(self.desk, self.certificate)
        if left and not lent:
            hint = "; and ".join(f"delete the CNAME {label.name}" for label in left)
            return Came("waiting", f"{', '.join(map(str, left))} is a person's to delete", f"{hint}")
        return Came("done", f"the CNAME {names_of(lent)} is deleted" if lent else "nothing stands there")

    def _judged(self, outcomes: Mapping[str, Outcome], done: str, *, waiting: str = "") -> Came:
        if failed := _failed(outcomes):
            how: Literal["failed", "untouched"] = "untouched" if len(failed) == len(outcomes) else "failed"
            return Came(how, failed[0].error.what, failed[0].error.hint or "")
        if any(isinstance(each, Waiting) for each in outcomes.values()):
            return Came("waiting", "it has not issued its own yet", waiting)
        return Came("done", done)

    def _at(self, row: HandoverRow, names: tuple[str, ...] | None = None) -> Assignment:
        here = next(each for each in self.certificate.assignments if each.target == row.target)
        return here if names is None else replace(here, names=names)

    def _trade(self, row: HandoverRow) -> TradesManaged:
        provider = self.desk.target(str(row.target)).provider
        if not isinstance(provider, TradesManaged):
            raise NothingDone(f"the adapter of {row.target} has no certificates of the platform's own")
        return provider

    def _platform(self, row: HandoverRow) -> str:
        return self.desk.target(str(row.target)).settings.type.capitalize()


def _failed(outcomes: Mapping[str, Outcome]) -> list[Failed]:
    return [each for each in outcomes.values() if isinstance(each, Failed)]
