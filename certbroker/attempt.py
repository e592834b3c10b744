"""The wide event: all events of a run about one certificate, told once more as one, when that certificate's attempt is over."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

from certbroker import __version__, events
from certbroker.events import Event

E = TypeVar("E", bound=Event)

WORST_FIRST: Final = ("failed", "restoring", "restored", "left", "waiting", "verifying", "served", "delivered", "done")
"""Outcomes of steps; that of several is the worst of them."""

AT_TARGETS: Final = ("push", "verify", "restore")

_TRIED: Final = (events.Stepped, events.OrderFailed, events.IssuerPassedOver)
"""With one of these a certificate was worked on; the others tell more of it."""

_KEPT: Final = (
    *_TRIED,
    events.OrderStarted,
    events.OrderResumed,
    events.ReplacesRefused,
    events.ProofPublished,
    events.Issued,
    events.Moved,
    events.Regressed,
    events.Bug,
)


def worst(outcomes: Iterable[str]) -> str | None:
    """None if there is none."""
    return min(outcomes, key=WORST_FIRST.index, default=None)


class Attempts:
    """Hears everything that a run tells, from any of its threads. What is over is forgotten here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._run: events.RunStarted | None = None
        self._heard: defaultdict[str, list[Event]] = defaultdict(list)
        self._many = 0

    def hear(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, events.RunStarted):
                self._run = event
            elif isinstance(event, _KEPT) and event.certificate is not None:
                self._heard[event.certificate].append(event)

    def over(self, run: str, certificates: Collection[str] | None = None) -> list[events.Attempted]:
        """The attempts at `certificates` (None: all) that end now. `run` names the run, unlike any other anywhere."""
        with self._lock:
            names = list(self._heard) if certificates is None else [n for n in certificates if n in self._heard]
            ended = [(name, self._heard.pop(name)) for name in names]
            started, first = self._run, self._many
            self._many += len(ended)
        if started is None:
            return []
        return [
            _told(started, name, heard, hashlib.sha256(f"{run} {first + number}".encode()).hexdigest()[:32])
            for number, (name, heard) in enumerate(ended)
            if any(isinstance(event, _TRIED) for event in heard)
        ]


def _told(run: events.RunStarted, certificate: str, heard: Sequence[Event], trace: str) -> events.Attempted:
    steps = _of(heard, events.Stepped)
    issued = _of(heard, events.Issued)
    places = _places(steps)
    slowest = max(places, key=lambda target: places[target][1], default=None)
    outcome, error, hint = _ended(heard, steps, issued, {target: how for target, (how, _) in places.items()})
    began, ended = _span(heard)
    count = [how for how, _ in places.values()].count
    last = issued[-1] if issued else None
    proofs = _of(heard, events.ProofPublished)
    return events.Attempted(
        at=ended,
        certificate=certificate,
        trace=trace,
        outcome=outcome,
        seconds=(ended - began).total_seconds(),
        error=error,
        hint=hint,
        command=run.command,
        actor=run.actor,
        host=run.host,
        reason=run.reason,
        digest=run.digest,
        program=__version__,
        why=next((event.why for event in _of(heard, events.OrderStarted)), None),
        issuer=next((step.issuer for step in reversed(steps) if step.issuer), None),
        passed_over=_once(event.issuer for event in _of(heard, events.IssuerPassedOver)),
        key_types=_once(step.key_type for step in steps),
        orders=len(_of(heard, events.OrderStarted)),
        resumed=len(_of(heard, events.OrderResumed)),
        issued=len(issued),
        rehearsal=any(step.rehearsal for step in steps),
        replaces_refused=len(_of(heard, events.ReplacesRefused)),
        proofs=len(proofs),
        solvers=_once(event.solver for event in proofs),
        version=last.version if last else None,
        fingerprint=last.fingerprint if last else None,
        ends=last.ends if last else None,
        order_seconds=_took(steps, "order"),
        authorizations_seconds=_took(steps, "authorizations"),
        challenge_seconds=_took(steps, "challenge"),
        finalize_seconds=_took(steps, "finalize"),
        push_seconds=_took(steps, "push"),
        verify_seconds=_took(steps, "verify"),
        restore_seconds=_took(steps, "restore"),
        targets=len(places),
        targets_served=count("served"),
        targets_delivered=count("delivered"),
        targets_verifying=count("verifying"),
        targets_waiting=count("waiting"),
        targets_failed=count("failed"),
        targets_restored=count("restored") + count("restoring"),
        troubled=tuple(target for target, (how, _) in places.items() if how not in ("served", "delivered")),
        slowest=slowest,
        slowest_seconds=places[slowest][1] if slowest is not None else None,
        regressions=len(_of(heard, events.Regressed)),
        bugs=len(_of(heard, events.Bug)),
    )


def _places(steps: Sequence[events.Stepped]) -> dict[str, tuple[str, float]]:
    """What became of it at each target, by the last step there, and how long all of them took."""
    found: dict[str, tuple[str, float]] = {}
    for step in steps:
        if step.target is not None:
            found[step.target] = (step.outcome, found.get(step.target, ("", 0.0))[1] + step.seconds)
    return found


def _ended(
    heard: Sequence[Event],
    steps: Sequence[events.Stepped],
    issued: Sequence[events.Issued],
    places: dict[str, str],
) -> tuple[str, str | None, str | None]:
    """The outcome; what went wrong, if something did, and what to do about it."""
    bugs, failed = _of(heard, events.Bug), _of(heard, events.OrderFailed)
    orders = {step.key_type: step for step in steps if step.step not in AT_TARGETS}  # the last of each key type
    ended = [step for step in orders.values() if step.outcome != "done"]
    how = [*(step.outcome for step in ended), *places.values(), *(["failed"] if bugs or failed else [])]
    outcome = worst(how) or ("issued" if issued else "done")
    if outcome in ("served", "delivered", "issued", "done"):
        return outcome, None, None
    moved = [m for m in _of(heard, events.Moved) if places.get(m.target or "") == outcome and m.why]
    said = [
        *((bug.error, None) for bug in bugs),
        *((event.error, event.hint) for event in failed),
        *((step.error, None) for step in ended if step.outcome == outcome),
        *((m.why, m.hint) for m in reversed(moved)),
        *((step.error, None) for step in steps if step.outcome == outcome),
    ]
    error, hint = next(((text, hint) for text, hint in said if text), (None, None))
    return outcome, error, hint


def _span(heard: Sequence[Event]) -> tuple[datetime, datetime]:
    """From the first to the last that was heard. What people do to clocks meanwhile cannot turn it round."""
    starts = [e.at - timedelta(seconds=e.seconds) if isinstance(e, events.Stepped) else e.at for e in heard]
    return min(starts), max(event.at for event in heard)


def _took(steps: Sequence[events.Stepped], name: str) -> float | None:
    """All such steps together; None if there was none."""
    found = [step.seconds for step in steps if step.step == name]
    return sum(found) if found else None


def _once(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


def _of(heard: Sequence[Event], kind: type[E]) -> list[E]:
    return [event for event in heard if isinstance(event, kind)]
