"""The walk through the steps: forward one by one, or back; each written down before it touches anything, with a handshake on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from certbroker import events
from certbroker.broker.desk import Desk
from certbroker.broker.handover.acts import Acts
from certbroker.broker.handover.looks import glance, told
from certbroker.broker.handover.told import STATES, Came, Handover, StepView
from certbroker.broker.lent import lease_of
from certbroker.broker.report import Trouble
from certbroker.broker.running import running
from certbroker.broker.taking_in import take_in
from certbroker.errors import CertbrokerError, LeaseHeld, ProviderError, StoreError, UsageError, VaultError
from certbroker.handover import Do, Step
from certbroker.model import Certificate, Method
from certbroker.store import HandoverPhase, HandoverRow

OPEN: Final = ("open", "undone")
PHASES: Final[dict[str, HandoverPhase]] = {
    "done": "done",
    "waiting": "waiting",
    "failed": "begun",
    "untouched": "open",
    "not yet": "open",
}


@dataclass
class Walk:
    """One flow of one certificate. `planned` is what would be done as things are now."""

    desk: Desk
    certificate: Certificate
    flow: str
    planned: Sequence[Step]
    target: str | None = None
    looks: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By step: what the edges served before and after it."""
    troubles: list[Trouble] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = self._rows()

    # ---- what stands ---------------------------------------------------------------------------------------------------

    def _rows(self) -> list[HandoverRow]:
        """What the store has, with what things as they are now add to it; words of steps that are not begun are those of now."""
        fresh = {step.key: step for step in self.planned}
        targets = {each.target for each in self.certificate.assignments}
        known = {
            row.step: row
            for row in self.desk.store.handover(self.certificate.name, self.flow)
            if row.target is None or row.target in targets
        }
        begun = any(row.phase not in OPEN for row in known.values())
        order = [
            key
            for key, row in known.items()
            if key in fresh or row.phase != "open" or (begun and row.do != Do.POINT)  # theirs may be gone by now
        ]
        place = 0
        for key in fresh:
            if key not in order:
                order.insert(place, key)
            place = order.index(key) + 1
        return [self._row(n, known.get(key), fresh.get(key)) for n, key in enumerate(order, 1)]

    def _row(self, number: int, known: HandoverRow | None, step: Step | None) -> HandoverRow:
        if known is not None and (step is None or known.phase == "done"):
            return replace(known, number=number)
        assert step is not None
        if known is not None:
            why = known.why or step.why or None
            return replace(known, number=number, what=step.what, way_back=step.way_back, why=why)
        return HandoverRow(
            certificate=self.certificate.name,
            flow=self.flow,
            step=step.key,
            number=number,
            do=step.do.value,
            target=step.target,
            what=step.what,
            way_back=step.way_back,
            on_request=step.on_request,
            phase="open",
            since=self.desk.world.clock.now(),
            why=step.why or None,
        )

    # ---- forward -------------------------------------------------------------------------------------------------------

    def forward(
        self, step: int | None, everything: bool, retire: bool, wait: float | None, why: str | None
    ) -> Handover:
        chosen = self._chosen(step, everything, retire)
        if not chosen:
            return self._told([])

        def carry_out(acts: Acts) -> None:
            self.desk.store.replace_handover(self.certificate.name, self.flow, self.rows)
            for number in chosen:
                if not self._one(number, acts.do, begin=acts.undo_of):
                    return

        return self._run(carry_out, wait, why, chosen)

    def _chosen(self, step: int | None, everything: bool, retire: bool) -> list[int]:
        """The numbers of the steps to carry out. Raises UsageError."""
        if step is not None:
            row = self._numbered(step)
            first = next((r for r in self.rows if r.number < step and not r.on_request and r.phase != "done"), None)
            if first is not None:
                raise UsageError(
                    f"step {step} comes after step {first.number}, which is not done",
                    hint=f"{self._command} --step {first.number}",
                )
            return [row.number] if row.phase != "done" else []
        if not everything:
            return []
        return [row.number for row in self.rows if row.phase != "done" and (retire or not row.on_request)]

    def _numbered(self, step: int) -> HandoverRow:
        row = next((row for row in self.rows if row.number == step), None)
        if row is None:
            there = f"there are 1 to {len(self.rows)}" if self.rows else "there is nothing to do"
            raise UsageError(f"there is no step {step}", hint=f"{there}: {self._command}")
        return row

    # ---- back ----------------------------------------------------------------------------------------------------------

    def back(self, step: int | None, wait: float | None, why: str | None) -> Handover:
        """An undo needs nothing but what the store has."""
        if step is not None:
            self._numbered(step)
        standing = [row.number for row in reversed(self.rows) if row.phase not in OPEN]
        chosen = standing if step is None else [number for number in standing if number == step]
        later = [number for number in standing if step is not None and number > step]
        if later:
            raise UsageError(
                f"step {step} cannot be taken back before step {later[0]}", hint=f"{self._command} --undo {later[0]}"
            )
        if not chosen:
            raise UsageError("there is nothing to take back", hint=f"what stands: {self._command}")

        def take_back(acts: Acts) -> None:
            for number in chosen:
                if not self._one(number, acts.undo, begin=None):
                    return

        return self._run(take_back, wait, why, chosen)

    # ---- both ----------------------------------------------------------------------------------------------------------

    def _run(
        self, walk: Callable[[Acts], None], wait: float | None, why: str | None, chosen: Sequence[int]
    ) -> Handover:
        desk = self.desk
        desk.check_vault()
        if wait is not None:
            desk.patience = wait
        with running(desk, self.flow, why) as run:
            take_in(desk, [self.certificate.name])
            with desk.store.lease(lease_of(self.certificate.name), f"{desk.world.host}, run {run.id}"):
                walk(Acts(desk, self.certificate, self.rows, self._note))
            said = self._told(chosen)
            run.end(said.exit_code, said.summary)
        return said

    def _one(self, number: int, act: Callable[..., Came], *, begin: Callable[[HandoverRow], object] | None) -> bool:
        """One step, forward (`begin` finds out what its undo needs) or back. True if the next one may follow."""
        row = self._numbered(number)
        stop = self._stops.get(row.step) if begin else None
        before = glance(self.desk, self.certificate, self._targets(row))
        try:
            if stop is not None:
                came = Came("untouched", stop.stop, stop.hint)
            else:
                row = self._begun(row, begin)
                came = act(row, before)
        except (LeaseHeld, StoreError, VaultError):
            raise
        except CertbrokerError as error:
            came = Came("failed", error.what, error.hint or "")
        after = glance(self.desk, self.certificate, self._targets(row))
        if came.how == "done" and (worse := after.worse(before)):
            came = Came("failed", f"{worse[0][2]} served something valid for {worse[0][1]} before, and does not now")
        self.looks[row.step] = (told(self.desk, before), told(self.desk, after))
        self._ended(self._numbered(number), came, back=begin is None)
        return came.how == "done"

    def _begun(self, row: HandoverRow, begin: Callable[[HandoverRow], object] | None) -> HandoverRow:
        """Written before anything outside is touched, with what taking it back needs."""
        if begin is None:
            return self._note(replace(row, phase="undoing", why=None, hint=None))
        undo = row.undo if row.undo is not None and row.phase not in OPEN else begin(row)
        assert undo is None or isinstance(undo, dict)
        return self._note(replace(row, phase="begun", undo=undo, why=None, hint=None))

    def _ended(self, row: HandoverRow, came: Came, *, back: bool) -> None:
        if back:
            phase: HandoverPhase = "undone" if came.how == "done" else "undoing"
        else:
            phase = PHASES[came.how]
        hint = came.hint or None
        self._note(replace(row, phase=phase, why=came.why, hint=hint, undo=None if phase in OPEN else row.undo))
        if came.how != "done":
            what = f"{'taking back step' if back else 'step'} {row.number} of {self.certificate.name}: {came.why}"
            again = f"{self._command} {'--undo' if back else '--all'}"
            wait = came.how in ("waiting", "not yet")
            hint_text = f"{came.hint}; then: {again}" if came.hint else f"later again: {again}"
            self.troubles.append(Trouble(what, self.looks[row.step][1], hint_text, wait))

    def _note(self, row: HandoverRow) -> HandoverRow:
        row = replace(row, since=self.desk.world.clock.now())
        event = events.HandedOver(
            at=row.since,
            certificate=row.certificate,
            target=row.target,
            flow=row.flow,
            step=row.step,
            phase=row.phase,
            what=row.why or row.what,
        )
        self.desk.store.put_handover([row], events=[event])
        self.desk.emit(event)
        self.rows = [row if each.step == row.step else each for each in self.rows]
        return row

    def _targets(self, row: HandoverRow) -> list[str]:
        """Whose edges a step could change; all of the flow's for one that is about no single target."""
        if row.target is not None:
            return [row.target]
        listed = [each.target for each in self.rows if each.target]
        return listed or [each.target for each in self.certificate.assignments]

    # ---- telling -------------------------------------------------------------------------------------------------------

    @property
    def _stops(self) -> dict[str, Step]:
        """What cannot be carried out now."""
        return {step.key: step for step in self.planned if step.stop}

    @property
    def _command(self) -> str:
        if self.target is None:
            return f"certbroker takeover {self.certificate.name}"
        return f"certbroker handback {self.certificate.name} --target {self.target}"

    def _told(self, chosen: Sequence[int]) -> Handover:
        failed = any(not trouble.wait for trouble in self.troubles)
        views = []
        for row in self.rows:
            before, after = self.looks.get(row.step, ("", ""))
            stop = self._stops.get(row.step) if row.phase in OPEN else None
            views.append(
                StepView(
                    number=row.number,
                    step=row.step,
                    state=STATES["undoing"] if stop else STATES[row.phase],
                    phase=row.phase,
                    what=row.what,
                    way_back=row.way_back,
                    on_request=row.on_request,
                    why=stop.stop if stop else row.why or "",
                    hint=stop.hint if stop else row.hint or "",
                    before=before,
                    after=after,
                )
            )
        look = glance(self.desk, self.certificate, dict.fromkeys(self._all_targets()))
        until = look.ends()
        return Handover(
            certificate=self.certificate.name,
            flow=self.flow,
            names=self.certificate.names,
            steps=tuple(views),
            remarks=tuple(self._remarks()),
            troubles=tuple(self.troubles),
            now=told(self.desk, look) + (f"; the first ends {until}" if until else ""),
            summary=self._summary(chosen),
            next=self._next(),
            exit_code=1 if failed else 3 if self.troubles else 0,
        )

    def _all_targets(self) -> Iterable[str]:
        listed = [row.target for row in self.rows if row.target]
        return listed or [each.target for each in self.certificate.assignments]

    def _summary(self, chosen: Sequence[int]) -> str:
        if not self.rows:
            return "nothing to take over: no target's platform has a certificate of its own for these names"
        done = sum(1 for row in self.rows if row.phase == "done")
        said = f"{done} of {len(self.rows)} steps done"
        stopped = sum(1 for row in self.rows if row.phase in OPEN and row.step in self._stops)
        said += f", {stopped} cannot be done now" if stopped else ""
        undone = sum(1 for row in self.rows if row.phase == "undone" and row.number in chosen)
        return said + (f", {undone} taken back" if undone else "")

    def _next(self) -> str:
        """What to type to go on."""
        standing = [row for row in self.rows if row.phase not in OPEN]
        left = [row for row in self.rows if row.phase != "done"]
        plain = [row for row in left if not row.on_request]
        if plain and self._stops.get(plain[0].step):
            return ""
        if plain:
            return f"{self._command} --all" + ("" if standing else f", or one by one: --step {plain[0].number}")
        if left:
            return f"{self._command} --all --retire, when you are sure"
        return f"take {self.target} out of targets in [certificate.{self.certificate.name}]" if self.target else ""

    def _remarks(self) -> Iterable[str]:
        if self.target is None:
            left = [row for row in self.rows if row.do == "free" and row.phase != "done"]
            if left and any(row.do == "order" and row.phase == "done" for row in self.rows):
                yield f"until step {left[0].number} is done, renewals by dns-01 cannot be proven: certbroker check {self.certificate.name}"
            return
        try:
            pins = [text for name in self.certificate.names if (text := self.desk.challenges().pinned(name))]
        except ProviderError as error:
            pins, unknown = [], error.what
            yield f"whether CAA lets the platform order is not known: {unknown}"
        for text in dict.fromkeys(pins):
            yield f"CAA lets only certain accounts order, so the platform's own is forbidden until that is lifted: {text}"
        others = [each.target for each in self.certificate.assignments if each.target != self.target]
        if others and self.certificate.challenge is Method.DNS_01:
            yield (
                f"{', '.join(others)} {'goes' if len(others) == 1 else 'go'} on with ours, renewed by dns-01: the label "
                "_acme-challenge stays ours, and the platform has to be proven otherwise"
            )
