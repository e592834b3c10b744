"""How a deployment's phases are written: the rows and the events that speak of them in one transaction, then the telling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from certbroker import events, policy
from certbroker.errors import CertbrokerError
from certbroker.model import Phase, Version
from certbroker.store import DeploymentRow, Store
from certbroker.world import Clock


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

    def fail_all(self, rows: Mapping[str, DeploymentRow], version: Version, error: CertbrokerError) -> None:
        self.write(rows, [self.failed(row, error) for row in rows.values()], version)

    def tell(self, event: events.Event) -> None:
        """An event that goes with no change of phase."""
        self.store.record(event)
        self.emit(event)
