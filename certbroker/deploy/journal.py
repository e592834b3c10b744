"""How a deployment's phases are written: the rows and the events that speak of them in one transaction, then the telling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from certbroker import events, policy
from certbroker.attempt import worst
from certbroker.errors import CertbrokerError, LeaseHeld
from certbroker.model import Assignment, Phase, Version
from certbroker.store import DeploymentRow, Store
from certbroker.world import Clock

_OUTCOMES: Final = {
    Phase.PENDING: "failed",
    Phase.PUSHED: "done",
    Phase.VERIFYING: "verifying",
    Phase.COMMITTED: "served",
}
"""What a step that leaves a name in that phase has come to; of the other phases the word is the same."""


@dataclass
class Step:
    """One that is under way."""

    outcome: str = "done"
    error: str | None = None

    def leaves(self, rows: Iterable[DeploymentRow]) -> None:
        """What has come of it: the worst of what it leaves each name in."""
        found = {_OUTCOMES.get(row.phase, row.phase.value): row for row in rows}
        self.outcome = worst(found) or "done"
        if self.outcome in ("failed", "restoring", "restored", "waiting"):
            self.error = found[self.outcome].why


@dataclass(frozen=True, slots=True)
class Journal:
    """The store, as the saga writes to it."""

    store: Store
    clock: Clock
    emit: events.Emit

    def write(self, before: Mapping[str, DeploymentRow], after: Sequence[DeploymentRow], version: Version) -> None:
        """`before`: the rows by name as they were."""
        now = self.clock.now()
        moved = []
        rows = []
        for row in after:
            old = before[row.name]
            if row.phase is not old.phase:
                row = replace(row, since=now)
            rows.append(row)
            if row.phase is not old.phase or row.why != old.why:
                moved.append(
                    events.Moved(
                        at=now,
                        certificate=row.certificate,
                        target=row.target,
                        name=row.name,
                        version=version.label,
                        fingerprint=version.fingerprint,
                        before=old.phase.value,
                        phase=row.phase.value,
                        why=row.why or "",
                        hint=row.hint,
                    )
                )
        self.store.put_deployments(rows, events=moved)
        for event in moved:
            self.emit(event)

    def failed(self, row: DeploymentRow, error: CertbrokerError) -> DeploymentRow:
        """The row after one more failure; not written yet. Until its deadline a push that failed may still arrive."""
        failures = row.failures + 1
        again = self.clock.now() + policy.push_backoff(failures, error.retry_after)
        return replace(
            row,
            phase=Phase.FAILED,
            failures=failures,
            try_again=again,
            why=error.what,
            hint=error.hint,
            deadline=None if row.phase.under_way else row.deadline,
        )

    def fail_all(
        self, rows: Mapping[str, DeploymentRow], version: Version, error: CertbrokerError
    ) -> list[DeploymentRow]:
        """One more failure of each; the rows as they are now."""
        after = [self.failed(row, error) for row in rows.values()]
        self.write(rows, after, version)
        return after

    @contextmanager
    def step(self, name: str, assignment: Assignment, version: Version) -> Iterator[Step]:
        """Told with its length when it is over, however it ends."""
        began, step = self.clock.monotonic(), Step("failed")
        try:
            yield step
        except CertbrokerError as error:
            step.outcome, step.error = "left" if isinstance(error, LeaseHeld) else "failed", error.what
            raise
        finally:
            self.emit(
                events.Stepped(
                    at=self.clock.now(),
                    certificate=assignment.certificate,
                    target=assignment.target,
                    step=name,
                    outcome=step.outcome,
                    seconds=self.clock.monotonic() - began,
                    key_type=version.key_type.value,
                    error=step.error,
                )
            )

    def tell(self, event: events.Event) -> None:
        """An event that goes with no change of phase."""
        self.store.record(event)
        self.emit(event)
