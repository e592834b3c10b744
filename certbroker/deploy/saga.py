"""The saga of a deployment: pending -> pushed -> verifying -> committed, or waiting, delivered, failed, restored.

Written to the store before and after every outside call. Every call is idempotent, so a crash between any two is repaired by
the next run. One saga is one version on one target; each name has its own phase.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from certbroker import events, keys
from certbroker.challenges import Challenges
from certbroker.deploy import ownership
from certbroker.deploy.journal import Journal
from certbroker.deploy.lease import Lease
from certbroker.deploy.looking import Looking
from certbroker.deploy.restoring import FIRST_LOOK, LONGEST_PAUSE, Restoring
from certbroker.deploy.target import Target
from certbroker.deploy.verify import Judgement, judge, remember
from certbroker.errors import BadMaterial, CertbrokerError, ProviderError, Unavailable
from certbroker.model import (
    Assignment,
    Bundle,
    Done,
    Failed,
    Keep,
    Live,
    Outcome,
    Phase,
    Version,
    Waiting,
)
from certbroker.provider import TradesManaged
from certbroker.secret import Secret
from certbroker.store import DeploymentRow, Store
from certbroker.world import World

CONFIRM: Final = 3
"""So many looks in a row must find an edge worse than before the push, before it is believed and put back."""


@dataclass(frozen=True, slots=True)
class Saga:
    """What every deployment of a run needs."""

    store: Store
    world: World
    emit: events.Emit
    looking: Looking
    open_key: Callable[[Version], Secret]
    challenges: Callable[[], Challenges]
    deadline: float
    """`world.clock.monotonic()` seconds after which nothing is waited for any more."""
    patience: float = 30.0
    """Seconds this run spends looking at edges again before it leaves the rest to the next run."""

    @property
    def journal(self) -> Journal:
        return Journal(self.store, self.world.clock, self.emit)

    # ---- push --------------------------------------------------------------------------------------------------------

    def push(
        self,
        target: Target,
        assignment: Assignment,
        version: Version,
        before: Mapping[str, Live],
        lease: Lease,
        *,
        take_over: bool = False,
    ) -> None:
        """Make `target` serve `version` for the assignment's names and look whether it does.

        `take_over`: also in the place of the platform's own certificate, where the adapter would leave that alone.

        Whatever the place says or does ends as a phase in the store. Raises only LeaseHeld and StoreError.
        """
        with self.journal.step("push", assignment, version) as step:
            rows, outcomes = self._push(target, assignment, version, before, lease, take_over=take_over)
            step.leaves(rows)
            if step.outcome == "verifying":
                step.outcome = "done"  # whether it is served is the next step's
        if outcomes is not None:
            unanswered = {n for n, each in outcomes.items() if isinstance(each, Failed) and _may_be_done(each.error)}
            self.verify(target, assignment, version, lease, unanswered=unanswered)

    def _push(
        self,
        target: Target,
        assignment: Assignment,
        version: Version,
        before: Mapping[str, Live],
        lease: Lease,
        *,
        take_over: bool,
    ) -> tuple[list[DeploymentRow], Mapping[str, Outcome] | None]:
        """How it leaves each name, and what the platform answered; None if it was not asked."""
        with self.store.one_look():
            rows = self._pending(assignment, version, before)
        try:
            edges = target.edges(assignment)
            looks = self.looking.look_all(edges, assignment, version)
        except ProviderError as error:
            return self.journal.fail_all(rows, version, error), None
        try:
            bundle = self._bundle(target, assignment, version)
        except BadMaterial as error:
            return self.journal.fail_all(rows, version, error), None
        now = self.world.clock.now()
        watched = now + target.patience if edges else None  # from here on it may arrive
        for name, row in rows.items():
            seen = row.before_seen or remember(looks[name])
            rows[name] = replace(row, before_seen=seen, begun=now, deadline=watched)
        self.store.put_deployments(list(rows.values()))
        lease.check()
        push = _push_of(target, take_over=take_over)
        try:
            outcomes = push(bundle, before)
        except ProviderError as error:
            outcomes = dict.fromkeys(rows, Failed(error))
        records = [
            record for outcome in outcomes.values() if isinstance(outcome, Waiting) for record in outcome.records
        ]
        if records and ownership.publish(target, assignment, records, self.challenges, self.journal):
            lease.check()
            try:
                outcomes = {**outcomes, **push(bundle, target.provider.inspect(assignment))}
            except ProviderError as error:
                outcomes = {n: each if isinstance(each, Done) else Failed(error) for n, each in outcomes.items()}
        return self._note(target, rows, version, outcomes, has_edges=bool(edges)), outcomes

    def _pending(
        self, assignment: Assignment, version: Version, before: Mapping[str, Live]
    ) -> dict[str, DeploymentRow]:
        """The rows as they are before anything is touched. What was served before the first try stays remembered."""
        now = self.world.clock.now()
        rows = {}
        for name in assignment.names:
            known = self.store.deployment(version.id, assignment.target, name)
            live = before.get(name)
            if known is None:
                known = DeploymentRow(
                    version_id=version.id,
                    target=assignment.target,
                    name=name,
                    certificate=assignment.certificate,
                    key_type=version.key_type,
                    phase=Phase.PENDING,
                    since=now,
                    before=live,
                    restorable=live.restorable if live else None,
                )
            elif known.phase is Phase.RESTORED or _never_tried(known):  # what is served now is what it would go back to
                known = replace(known, before=live, restorable=live.restorable if live else None, before_seen={})
            rows[name] = known
        return rows

    def _bundle(self, target: Target, assignment: Assignment, version: Version) -> Bundle:
        """Checked as design section 5 wants it: pair, chain order, names, dates, key type; the key as PKCS#8."""
        if version.key_type not in target.traits.key_types:
            raise BadMaterial(f"{target.name} does not accept {version.key_type.value}")
        key = self.open_key(version)
        keys.check_pair(version.chain_pem, key, assignment.names, self.world.clock.now())
        return Bundle(assignment, version, keys.pkcs8(keys.load_key(key)))

    def _note(
        self,
        target: Target,
        rows: Mapping[str, DeploymentRow],
        version: Version,
        outcomes: Mapping[str, Outcome],
        *,
        has_edges: bool,
    ) -> list[DeploymentRow]:
        """What the platform answered, per name, as phases; the rows as they are now."""
        now = self.world.clock.now()
        changed = []
        for name, row in rows.items():
            match outcomes.get(name):
                case Done():
                    phase = Phase.VERIFYING if has_edges else Phase.DELIVERED
                    why = "pushed" if has_edges else "delivered; nobody can look"
                    deadline = now + target.patience if has_edges else None
                    new = replace(
                        row, phase=phase, pushed=now, deadline=deadline, why=why, hint=None, records=(), try_again=None
                    )
                    if not has_edges:
                        new = replace(new, failures=0)
                case Waiting(records):
                    why = "ownership not proven" if records else "waits for the platform"
                    hint = f"publish {records[0]}" if records else None
                    new = replace(
                        row, phase=Phase.WAITING, pushed=now, records=records, why=why, hint=hint, try_again=None
                    )
                case Failed(error):
                    new = self.journal.failed(row, error)
                case None:
                    new = self.journal.failed(row, ProviderError(f"{target.name} did not say what became of {name}"))
            changed.append(new)
        self.journal.write(rows, changed, version)
        return changed

    def hold(self, assignment: Assignment, version: Version, *, why: str, hint: str | None, failed: bool) -> None:
        """Remember that nothing was pushed, and why: a person must act, or a check refused it."""
        known = self._pending(assignment, version, {})
        rows = {name: row for name, row in known.items() if not (row.phase.settled or row.phase.under_way)}
        if failed:
            self.journal.fail_all(rows, version, CertbrokerError(why, hint=hint))
            return
        held = [
            replace(row, phase=Phase.WAITING, why=why, hint=hint, records=(), try_again=None) for row in rows.values()
        ]
        self.journal.write(rows, held, version)

    # ---- verify ------------------------------------------------------------------------------------------------------

    def verify(
        self,
        target: Target,
        assignment: Assignment,
        version: Version,
        lease: Lease,
        *,
        unanswered: Collection[str] = (),
    ) -> None:
        """Look at every edge until each name is proven, or patience or the deadline is over; put back what got worse.

        A push that failed may have arrived all the same, wholly or in part: until its deadline its names are looked at too, and
        put back if they are worse. Never raises for what an edge does.

        Args:
            unanswered: names whose push got no answer: what the edges prove is what became of it.
        """
        with self.store.one_look():
            rows = {
                row.name: row
                for name in assignment.names
                if (row := self.store.deployment(version.id, target.name, name)) and self._is_looked_at(row)
            }
        if not rows:
            return
        open_names = Assignment(assignment.certificate, target.name, tuple(rows))
        with self.journal.step("verify", open_names, version) as step:
            after, worse = self._verify(target, open_names, rows, version, unanswered)
            step.leaves(after)
            if worse:
                step.outcome, step.error = "failed", next(iter(worse.values())).why
        if worse:
            self._put_back(target, worse, version, lease)

    def _verify(
        self,
        target: Target,
        assignment: Assignment,
        rows: Mapping[str, DeploymentRow],
        version: Version,
        unanswered: Collection[str],
    ) -> tuple[list[DeploymentRow], dict[str, DeploymentRow]]:
        """How the looks leave each name, and those of them that are to be put back."""
        try:
            edges = target.edges(assignment)
        except ProviderError as error:
            left = [replace(row, why=f"its edges are not known: {error.what}") for row in rows.values()]
            self.journal.write(rows, left, version)
            return left, {}
        give_up = min(self.world.clock.monotonic() + self.patience, self.deadline)
        pause = FIRST_LOOK
        worse: dict[str, int] = {}
        while True:
            looks = self.looking.look_all(edges, assignment, version)
            now = self.world.clock.now()
            judgements = {
                name: judge(version, rows[name].before_seen, looks[name], now=now, deadline=rows[name].deadline)
                for name in assignment.names
            }
            worse = {name: worse.get(name, 0) + 1 for name, j in judgements.items() if j.regressions}
            unproven = [
                name
                for name, j in judgements.items()
                if j.phase is Phase.VERIFYING and (_is_verified(rows[name]) or j.regressions)
            ]
            if (
                not unproven
                or max(worse.values(), default=0) >= CONFIRM
                or self.world.clock.monotonic() + pause >= give_up
            ):
                break
            self.world.clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        changed, to_put_back = self._conclude(target, rows, judgements, version, now, unanswered)
        return list({**rows, **changed, **to_put_back}.values()), to_put_back

    def _put_back(self, target: Target, worse: Mapping[str, DeploymentRow], version: Version, lease: Lease) -> None:
        certificate = next(iter(worse.values())).certificate
        with self.journal.step("restore", Assignment(certificate, target.name, tuple(worse)), version) as step:
            self._restoring.put_back(target, worse, version, lease)
            with self.store.one_look():
                left = [self.store.deployment(version.id, target.name, name) for name in worse]
            step.leaves(row for row in left if row is not None)

    def _is_looked_at(self, row: DeploymentRow) -> bool:
        return _is_verified(row) or (
            row.phase in (Phase.PENDING, Phase.FAILED)
            and row.deadline is not None
            and self.world.clock.now() < row.deadline
        )

    def restore(self, target: Target, assignment: Assignment, version: Version, lease: Lease) -> None:
        """Go on putting back what an earlier run began to. Raises only LeaseHeld and StoreError."""
        rows = {
            row.name: row
            for name in assignment.names
            if (row := self.store.deployment(version.id, target.name, name)) and row.phase is Phase.RESTORING
        }
        if rows:
            self._put_back(target, rows, version, lease)

    @property
    def _restoring(self) -> Restoring:
        return Restoring(
            self.store, self.world.clock, self.journal, self.looking, self._bundle, self.patience, self.deadline
        )

    def _conclude(
        self,
        target: Target,
        rows: Mapping[str, DeploymentRow],
        judgements: Mapping[str, Judgement],
        version: Version,
        now: datetime,
        unanswered: Collection[str],
    ) -> tuple[dict[str, DeploymentRow], dict[str, DeploymentRow]]:
        """Write what the looks prove; the rows that got worse and are to be put back (the second) are left to the caller."""
        changed = []
        to_put_back: dict[str, DeploymentRow] = {}
        for name, j in judgements.items():
            row = rows[name]
            for r in j.regressions:
                self.journal.tell(
                    events.Regressed(
                        at=now,
                        certificate=row.certificate,
                        target=target.name,
                        name=name,
                        edge=r.address,
                        before=r.before,
                        after=r.after,
                    )
                )
            why = f"worse than before the push: {j.why}" if j.regressions else j.why
            if row.phase is Phase.FAILED and j.regressions:
                why = f"{row.why}; {why}"
            if j.regressions and target.settings.on_failure == "restore":
                to_put_back[name] = replace(row, why=why)
            elif not (j.regressions or _is_verified(row) or (name in unanswered and j.phase is Phase.COMMITTED)):
                continue
            elif j.regressions or j.phase is Phase.FAILED:
                changed.append(self.journal.failed(row, ProviderError(why, hint=f"certbroker probe {row.certificate}")))
            elif j.phase is Phase.COMMITTED:
                changed.append(
                    replace(
                        row,
                        phase=Phase.COMMITTED,
                        pushed=row.pushed or now,
                        deadline=None,
                        why=j.why,
                        hint=None,
                        failures=0,
                        try_again=None,
                        records=(),
                    )
                )
            else:
                changed.append(replace(row, phase=Phase.VERIFYING, why=j.why, hint=None))
        self.journal.write(rows, changed, version)
        return {row.name: row for row in changed}, to_put_back

    # ---- prune -------------------------------------------------------------------------------------------------------

    def prune(self, target: Target, assignment: Assignment, keep: frozenset[str]) -> tuple[str, ...]:
        """Remove at the target what we made and nothing uses any more; returns it in words. A refusal waits for the next time."""
        removed = target.provider.prune(assignment, Keep(keep))
        for what in removed:
            self.journal.tell(
                events.Pruned(
                    at=self.world.clock.now(), certificate=assignment.certificate, target=target.name, what=what
                )
            )
        return removed


def _is_verified(row: DeploymentRow) -> bool:
    return row.phase in (Phase.PUSHED, Phase.VERIFYING)


def _may_be_done(error: ProviderError) -> bool:
    """No answer came that says what became of the call."""
    return isinstance(error, Unavailable)


def _push_of(target: Target, *, take_over: bool) -> Callable[[Bundle, Mapping[str, Live]], Mapping[str, Outcome]]:
    provider = target.provider
    return provider.take_over if take_over and isinstance(provider, TradesManaged) else provider.push


def _never_tried(row: DeploymentRow) -> bool:
    """It was only held until now, e.g. for the owner's yes: nothing was remembered of what was there before."""
    return row.phase in (Phase.PENDING, Phase.WAITING) and row.pushed is None and row.before is None
