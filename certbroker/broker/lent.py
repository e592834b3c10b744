"""CNAMEs that were taken away for an order: they are put back, whoever died in between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from certbroker.broker.desk import Desk
from certbroker.broker.report import Line, State
from certbroker.errors import CertbrokerError, LeaseHeld

if TYPE_CHECKING:
    from certbroker.challenges.lending import Lent

KEY = "lent"
KIND = "takeover"
"""Of the finding that one could not be put back."""


def lease_of(certificate: str) -> str:
    """The lease that a takeover or handback holds from its first step to its last."""
    return f"handover/{certificate}"


def written(lent: Iterable[Lent]) -> dict[str, Any]:
    """As a step's undo."""
    return {KEY: [asdict(each) for each in lent]}


def read(undo: Mapping[str, Any] | None) -> list[Lent]:
    from certbroker.challenges.lending import Lent  # with dnspython; most runs have nothing to put back

    return [Lent(**each) for each in (undo or {}).get(KEY, ())]


def put_back(desk: Desk, lent: Iterable[Lent]) -> None:
    """Twice equals once; what proofs of ours were left at these names goes first. Raises NothingDone, saying what to do by hand."""
    from certbroker.challenges.lending import by_hand

    lent = list(lent)
    names = {each.name for each in lent}
    left = [row for row in desk.store.unremoved("challenge") if row.name in names]
    if left:
        desk.challenges().remove(left, desk.store, desk.emit)
    lending = desk.challenges().lending
    for each in lent:
        try:
            lending.put_back(each)
        except CertbrokerError as error:
            raise by_hand(each, error) from None


def return_lent(desk: Desk) -> list[Line]:
    """What `renew` does first: an order that borrowed a label and died gives it back, unless it is still under way."""
    lines = []
    for row in desk.store.under_way():
        lent = read(row.undo) if row.do == "order" else []
        if not lent:
            continue
        try:
            with desk.store.lease(lease_of(row.certificate), f"{desk.world.host}, putting a CNAME back"):
                put_back(desk, lent)
                desk.store.put_handover([replace(row, phase="open", undo=None, since=desk.world.clock.now())])
                said = f"a takeover was cut off: the CNAME {', '.join(each.name for each in lent)} is put back"
                lines.append(Line(State.OK, row.certificate, said))
                desk.store.put_finding(KIND, row.certificate, "ok", said)
        except LeaseHeld:
            continue
        except CertbrokerError as error:
            desk.store.put_finding(KIND, row.certificate, "fail", error.what, error.hint)
    return lines
