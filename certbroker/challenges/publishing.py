"""Proofs put where the CA looks and taken away again: several at a time, each in the journal before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from certbroker.challenges.opened import Opened
from certbroker.challenges.records import HttpAnswer, Journal, Placed, Row, Txt, identity, purpose_of
from certbroker.challenges.several import as_they_come
from certbroker.challenges.solver import ADOPTED
from certbroker.errors import CertbrokerError
from certbroker.events import Checked, Emit, ProofPublished, ProofRemoved
from certbroker.world import Clock

AT_ONCE: Final = 8
"""How many records are written at the same time; each solver paces its own calls besides."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """`place` says where a record belongs, as the journal is to have it; it raises NothingDone or ProviderError if nobody can put it there."""

    opened: Opened
    place: Callable[[Txt | HttpAnswer], Placed]
    clock: Clock

    def publish_each(
        self, records: Sequence[Txt | HttpAnswer], journal: Journal, emit: Emit
    ) -> list[Placed | CertbrokerError]:
        """One outcome for each record, in their order: one bad zone does not hold up the others."""
        outcomes: dict[int, Placed | CertbrokerError] = {}
        known = {
            identity(row): Placed.of(row)
            for purpose in sorted({purpose_of(record) for record in records})
            for row in journal.unremoved(purpose)
        }
        planned: dict[int, Placed] = {}
        places: dict[int, Placed] = {}
        for index, record in enumerate(records):
            try:
                places[index] = self.place(record)
            except CertbrokerError as error:
                outcomes[index] = error
        with journal.together():
            for index, place in places.items():
                if identity(place) in known:
                    planned[index] = known[identity(place)]
                    continue
                row = journal.plan_record(
                    purpose_of(records[index]),
                    kind=place.kind,
                    order_id=place.order_id,
                    certificate=place.certificate,
                    target=place.target,
                    solver=place.solver,
                    zone=place.zone,
                    name=place.name,
                    value=place.value,
                )
                known[identity(place)] = Placed.of(row)
                planned[index] = replace(known[identity(place)], state="new")
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            for done in as_they_come(pool, self.opened.present_all, self.opened.bundled(planned)):
                with journal.together():
                    for index, handle in (found for _, task in done for found in task.result().items()):
                        outcomes[index] = (
                            self._note_present(planned[index], handle, journal, emit)
                            if isinstance(handle, str)
                            else handle
                        )
        return [outcomes[index] for index in range(len(records))]

    def _note_present(self, row: Placed, handle: str, journal: Journal, emit: Emit) -> Placed:
        """A value that an earlier run wrote is found standing: it is ours all the same, the journal says so."""
        kept: str | None = handle
        if row.state != "new" and handle.startswith(ADOPTED):
            kept = row.handle
        event = ProofPublished(
            at=self.clock.now(),
            certificate=row.certificate,
            target=row.target,
            solver=row.solver,
            record=row.name,
        )
        journal.record_present(row.id, kept, events=(event,))
        emit(event)
        return replace(row, handle=kept, state="present")

    def remove(self, rows: Sequence[Row], journal: Journal, emit: Emit) -> list[tuple[Row, CertbrokerError]]:
        """Take away what we wrote. Never raises for one row: it is told, returned, and stays in the journal."""
        failed: list[tuple[Row, CertbrokerError]] = []
        ours = {index: row for index, row in enumerate(rows) if not _adopted(row)}
        with journal.together():
            for row in filter(_adopted, rows):
                journal.record_removed(row.id)
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            for done in as_they_come(pool, self.opened.clean_up_all, self.opened.bundled(ours)):
                with journal.together():
                    for index, error in (found for _, task in done for found in task.result().items()):
                        if error is not None:
                            failed.append((rows[index], error))
                        self._note_removed(rows[index], error, journal, emit)
        return failed

    def _note_removed(self, row: Row, error: CertbrokerError | None, journal: Journal, emit: Emit) -> None:
        about = {"certificate": row.certificate, "target": row.target}
        now = self.clock.now()
        if error is not None:
            thing = "the answer for" if row.kind == "http" else "TXT"
            what = f"{thing} {row.name} stays for now: {error.what}"
            emit(Checked(at=now, subject=f"solver {row.solver}", state="warn", what=what, **about))
        else:
            event = ProofRemoved(at=now, solver=row.solver, record=row.name, **about)
            journal.record_removed(row.id, events=(event,))
            emit(event)


def _adopted(row: Row) -> bool:
    """The value stood there before us: not ours to remove; only the journal forgets it."""
    return row.handle is not None and row.handle.startswith(ADOPTED)
