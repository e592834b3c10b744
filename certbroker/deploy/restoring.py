"""restoring -> restored: what a push made worse is put back, seen to be back, and the push is tried again later.

The phase is written before the platform is asked, so a run that dies in between is gone on with by the next one; asking
twice equals asking once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from certbroker import policy
from certbroker.deploy.journal import Journal
from certbroker.deploy.lease import Lease
from certbroker.deploy.looking import Looking
from certbroker.deploy.target import Target
from certbroker.deploy.way_back import Back, NoWay, is_back, way_back
from certbroker.errors import BadMaterial, ProviderError, Unavailable
from certbroker.model import Assignment, Bundle, Edge, Phase, Version
from certbroker.store import DeploymentRow, Store
from certbroker.world import Clock

FIRST_LOOK: Final = 1.0
LONGEST_PAUSE: Final = 10.0

Rows = Mapping[str, DeploymentRow]


@dataclass(frozen=True, slots=True)
class Restoring:
    """What going back needs. `bundle` makes what a provider is handed; it raises BadMaterial."""

    store: Store
    clock: Clock
    journal: Journal
    looking: Looking
    bundle: Callable[[Target, Assignment, Version], Bundle]
    patience: float
    """Seconds this run looks whether it is back."""
    deadline: float
    """As of the saga."""

    def put_back(self, target: Target, worse: Rows, version: Version, lease: Lease) -> None:
        """Put back the names of `worse`, whose `why` says what the push of `version` broke. Raises only LeaseHeld and StoreError."""
        ways = {name: self._way(row, version) for name, row in worse.items()}
        going: dict[str, tuple[DeploymentRow, Back]] = {}
        stuck = []
        for name, way in ways.items():
            row = worse[name]
            if isinstance(way, NoWay):
                hint = f"it cannot be put back: {way.why}; certbroker probe {row.certificate}"
                stuck.append(self.journal.failed(row, ProviderError(row.why or "", hint=hint)))
            else:
                deadline = row.deadline or self.clock.now() + target.patience
                going[name] = (
                    replace(
                        row,
                        phase=Phase.RESTORING,
                        deadline=deadline,
                        try_again=None,
                        hint=f"{way.what} is being put back",
                    ),
                    way,
                )
        self.journal.write(worse, [*stuck, *(row for row, _ in going.values())], version)
        asked = self._ask(target, going, version, lease)
        if asked:
            self._look(target, asked, version)

    def _way(self, row: DeploymentRow, version: Version) -> Back | NoWay:
        print_before = row.before.fingerprint if row.before else None
        known = self.store.by_fingerprint(print_before) if print_before else None
        return way_back(row, version, known, self.clock.now())

    def _ask(
        self, target: Target, going: Mapping[str, tuple[DeploymentRow, Back]], version: Version, lease: Lease
    ) -> dict[str, tuple[DeploymentRow, Back]]:
        """Tell the platform; one call for each version that names go back to. Those that it took."""
        groups: dict[int | None, list[str]] = {}
        for name, (_, way) in going.items():
            groups.setdefault(way.previous.id if way.previous else None, []).append(name)
        taken: dict[str, tuple[DeploymentRow, Back]] = {}
        for names in groups.values():
            rows = {name: going[name][0] for name in names}
            previous = going[names[0]][1].previous
            assignment = Assignment(rows[names[0]].certificate, target.name, tuple(names))
            before = {name: row.before for name, row in rows.items() if row.before is not None}
            try:
                bundle = self.bundle(target, assignment, previous) if previous else None
                self._insist(partial(target.provider.restore, assignment, before, bundle), lease)
            except (ProviderError, BadMaterial) as error:
                hint = f"it could not be put back yet: {error.what}"
                self.journal.write(
                    rows, [replace(row, failures=row.failures + 1, hint=hint) for row in rows.values()], version
                )
                continue
            taken |= {name: going[name] for name in names}
        return taken

    def _insist(self, ask: Callable[[], None], lease: Lease) -> None:
        """Something is broken until it is done: a call that got no answer is made again, as long as this run has patience."""
        give_up = self.clock.monotonic() + self.patience
        pause = FIRST_LOOK
        while True:
            lease.check()
            try:
                return ask()
            except Unavailable as error:
                wait = max(pause, error.retry_after or 0.0)
                if self.clock.monotonic() + wait >= give_up:
                    raise
            self.clock.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _look(self, target: Target, going: Mapping[str, tuple[DeploymentRow, Back]], version: Version) -> None:
        """Until every address serves again what it served, or patience is over: then the next run goes on."""
        any_row = next(iter(going.values()))[0]
        assignment = Assignment(any_row.certificate, target.name, tuple(going))
        rows = {name: row for name, (row, _) in going.items()}
        try:
            edges = target.edges(assignment)
        except ProviderError as error:
            hint = f"whether it is back is not known: {error.what}"
            self.journal.write(rows, [replace(row, hint=hint) for row in rows.values()], version)
            return
        missing = self._wait(edges, assignment, rows, version)
        changed = []
        for name, (row, way) in going.items():
            if not missing[name]:
                changed.append(self._restored(row, way))
            elif row.deadline is not None and self.clock.now() >= row.deadline:
                hint = f"{way.what} was put back, but {'; '.join(missing[name])}; certbroker probe {row.certificate}"
                changed.append(self.journal.failed(row, ProviderError(row.why or "", hint=hint)))
            else:
                changed.append(replace(row, hint=f"{way.what} was put back; {'; '.join(missing[name])} so far"))
        self.journal.write(rows, changed, version)
        for name, (_, way) in going.items():
            if way.previous is not None and not missing[name]:
                self._ours_again(target.name, name, way.previous)

    def _wait(
        self, edges: tuple[Edge, ...], assignment: Assignment, rows: Rows, version: Version
    ) -> dict[str, list[str]]:
        give_up = min(self.clock.monotonic() + self.patience, self.deadline)
        pause = FIRST_LOOK
        while True:
            looks = self.looking.look_all(edges, assignment, version)
            missing = {name: is_back(rows[name], looks[name], version) for name in rows}
            if not any(missing.values()) or self.clock.monotonic() + pause >= give_up:
                return missing
            self.clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _restored(self, row: DeploymentRow, way: Back) -> DeploymentRow:
        failures = row.failures + 1
        return replace(
            row,
            phase=Phase.RESTORED,
            failures=failures,
            try_again=self.clock.now() + policy.restored_backoff(failures),
            deadline=None,
            why=f"{row.why}; {way.what} was put back",
            hint=f"certbroker probe {row.certificate}; at once again: certbroker push {row.certificate} --target {row.target}",
        )

    def _ours_again(self, target: str, name: str, previous: Version) -> None:
        """A platform without tags does not tell whose it is: the store says that it is `previous` again."""
        old = self.store.deployment(previous.id, target, name)
        if old is not None:
            now = self.clock.now()
            again = replace(
                old, phase=Phase.COMMITTED, pushed=now, since=now, why="put back", hint=None, failures=0, try_again=None
            )
            self.journal.write({name: old}, [again], previous)
