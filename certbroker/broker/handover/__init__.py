"""`takeover` and `handback`: from a platform's own certificate to ours and back, step by step, each with its way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from certbroker.broker.desk import Desk, nearest
from certbroker.broker.handover import facts as looked
from certbroker.broker.handover.told import Handover, StepView
from certbroker.broker.handover.walk import Walk
from certbroker.broker.report import served_now
from certbroker.errors import CertbrokerError, UsageError
from certbroker.handover import TAKEOVER, handback_of
from certbroker.handover import handback as plan_handback
from certbroker.handover import takeover as plan_takeover
from certbroker.model import Certificate

__all__ = ["Handover", "StepView", "handback", "take_back", "takeover"]


def takeover(
    desk: Desk,
    name: str,
    *,
    step: int | None = None,
    everything: bool = False,
    retire: bool = False,
    wait: float | None = None,
    why: str | None = None,
) -> Handover:
    """From the platforms' own certificates to ours. Without `step` or `everything`: the plan alone.

    Args:
        step: carry out this one.
        everything: all that are not done, but what the platforms have of their own stays unless `retire`.
        wait: seconds to stay and look at slow edges.

    Raises UsageError, ProviderError (DNS or a platform cannot be asked), LeaseHeld.
    """
    certificate = desk.certificate(name)
    with _untouched(desk, certificate):
        planned = plan_takeover(looked.gather(desk, certificate))
    return Walk(desk, certificate, TAKEOVER, planned).forward(step, everything, retire, wait, why)


def handback(
    desk: Desk,
    name: str,
    target: str,
    *,
    step: int | None = None,
    everything: bool = False,
    wait: float | None = None,
    why: str | None = None,
) -> Handover:
    """From ours to the platform's own at `target`. As `takeover`."""
    certificate = desk.certificate(name)
    return _handback(desk, certificate, target).forward(step, everything, False, wait, why)


def take_back(
    desk: Desk,
    name: str,
    target: str | None = None,
    *,
    step: int | None = None,
    wait: float | None = None,
    why: str | None = None,
) -> Handover:
    """Take back what was begun or done, the last first: of the takeover, or of the handback of `target`; or only `step`."""
    certificate = desk.certificate(name)
    walk = Walk(desk, certificate, TAKEOVER, ()) if target is None else _handback(desk, certificate, target, plan=False)
    return walk.back(step, wait, why)


def _handback(desk: Desk, certificate: Certificate, target: str, *, plan: bool = True) -> Walk:
    here = next((each for each in certificate.assignments if each.target == target), None)
    if here is None:
        hint = nearest(target, {each.target: each for each in certificate.assignments})
        raise UsageError(f"{certificate.name} has no target {target}", hint=hint)
    with _untouched(desk, certificate):
        planned = plan_handback(looked.place(desk, here)) if plan else ()
    return Walk(desk, certificate, handback_of(target), planned, target)


@contextmanager
def _untouched(desk: Desk, certificate: Certificate) -> Iterator[None]:
    """What goes wrong while facts are gathered has changed nothing."""
    try:
        yield
    except CertbrokerError as error:
        error.now = error.now or f"nothing was touched; last seen: {served_now(desk.store, certificate.name)}"
        raise
