"""The order of a takeover: proven without the label that the platform holds, or with it lent for as long as the order takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from certbroker.broker.desk import Desk
from certbroker.broker.done import Done
from certbroker.broker.facts import wanted_at
from certbroker.broker.handover import facts as looked
from certbroker.broker.handover.told import Came
from certbroker.broker.lent import put_back
from certbroker.broker.runs import reconcile
from certbroker.errors import MethodNotOffered, NothingDone
from certbroker.handover import Way, ways
from certbroker.model import Certificate, Method
from certbroker.plan import Selection

if TYPE_CHECKING:
    from certbroker.challenges.lending import Lent


def order(desk: Desk, certificate: Certificate, lent: Sequence[Lent]) -> Came:
    """By the first way that the CA offers. A label that is lent is ours only until the order is over, however it ends.

    Raises CertbrokerError if a label cannot be had or given back.
    """
    put_back(desk, lent)  # what a run that died here may have left
    held = [wanted_at(desk, certificate, each.target) for each in certificate.assignments]
    if all(held):
        return Came("done", f"{', '.join(dict.fromkeys(v.label for v in held if v))} is there")
    found = ways(looked.proving(desk, certificate))
    for way in found:
        names = {label.name for label in way.lent}
        came, offered = _order_by(desk, certificate, way, [each for each in lent if each.name in names])
        if offered or way is found[-1]:
            return came
    return Came("untouched", "nothing in the file proves the names without a label that is not ours")


def _order_by(desk: Desk, certificate: Certificate, way: Way, lent: Sequence[Lent]) -> tuple[Came, bool]:
    """What came of it, and whether the CA offers that way."""
    lending = desk.challenges().lending
    try:
        for each in lent:
            lending.take_away(each)
        with _proven_by(desk, certificate, way.method):
            done = reconciled(
                desk, certificate, Selection(by_hand="takeover", targets=frozenset(), ignore_backoff=True)
            )
    finally:
        put_back(desk, lent)
    if done.ordered and not done.order_errors:
        labels = ", ".join(dict.fromkeys(version.label for version in done.ordered))
        back = f", the CNAME {names_of(lent)} is back" if lent else ""
        return Came("done", f"{labels} is issued, proven by {way.method}{back}"), True
    error = done.order_errors[0] if done.order_errors else None
    what = error.what if error else "; ".join(done.waits) or held_words(done)
    hint = (error.hint if error else "") or f"certbroker explain {certificate.name}"
    return Came("waiting" if done.waits else "failed", what, hint), not isinstance(error, MethodNotOffered)


@contextmanager
def _proven_by(desk: Desk, certificate: Certificate, method: Method) -> Iterator[None]:
    """For this order the file says another method."""
    config = desk.config
    changed = replace(certificate, challenge=method)
    desk.config = replace(config, certificates={**config.certificates, certificate.name: changed})
    try:
        yield
    finally:
        desk.config = config


def reconciled(desk: Desk, certificate: Certificate, selection: Selection) -> Done:
    """The one path, for this certificate. Raises NothingDone if somebody else works on it."""
    (done,) = reconcile(desk, [desk.certificate(certificate.name)], selection)
    if done.held_by:
        hint = "nothing was touched; try again later"
        raise NothingDone(f"{certificate.name} is being worked on by {done.held_by}", hint=hint)
    return done


def held_words(done: Done) -> str:
    """Why nothing was done."""
    told = [*done.bugs, *(f"{hold.why}{f'; {hold.hint}' if hold.hint else ''}" for hold in done.holds)]
    return "; ".join(told) or "nothing was ordered"


def names_of(lent: Sequence[Lent]) -> str:
    return ", ".join(each.name for each in lent)
