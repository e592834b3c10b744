"""The records by which a platform knows whose a name is, published by us where the file allows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from certbroker import events
from certbroker.challenges import Challenges, Txt
from certbroker.deploy.journal import Journal
from certbroker.deploy.target import Target
from certbroker.errors import IssuanceError, NothingDone, ProviderError
from certbroker.model import Assignment, Record

SECONDS: Final = 60.0
"""How long they are waited for until every nameserver of their zone has them."""


def publish(
    target: Target,
    assignment: Assignment,
    records: Sequence[Record],
    challenges: Callable[[], Challenges],
    journal: Journal,
) -> bool:
    """True if all stand now. What is in the way is told; only StoreError is raised."""
    if target.settings.ownership != "publish":
        return False
    texts = {
        (record.name, record.values[0]): Txt(
            purpose="ownership",
            certificate=assignment.certificate,
            target=target.name,
            order_id=None,
            name=record.name,
            value=record.values[0],
        )
        for record in records
        if record.type == "TXT"
    }
    opened = challenges()
    try:
        placed = opened.publish(list(texts.values()), journal.store, journal.emit)
        opened.wait(placed, seconds=SECONDS)
    except (IssuanceError, NothingDone, ProviderError) as error:
        journal.emit(
            events.Checked(
                at=journal.clock.now(),
                certificate=assignment.certificate,
                target=target.name,
                subject="ownership",
                state="fail",
                what=error.what,
            )
        )
        return False
    return bool(texts)
