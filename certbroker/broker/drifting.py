"""`drift`: what differs from what is wanted, and why; `--heal` re-enters the saga by the path that `push` takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from certbroker.broker.desk import Desk
from certbroker.broker.done import Done
from certbroker.broker.drifted import Difference, known_drifts, troubles_of
from certbroker.broker.facts import Looked
from certbroker.broker.observing import observe
from certbroker.broker.report import Report, Trouble
from certbroker.broker.running import running
from certbroker.broker.runs import reconcile
from certbroker.broker.taking_in import take_in
from certbroker.broker.telling import tell
from certbroker.plan import Selection


@dataclass(frozen=True, slots=True)
class Drifting:
    """Every name, worst first, as it was found, what of it is not fine, and what became of healing it.

    What the report of the healing tells is not among `troubles`.
    """

    differences: tuple[Difference, ...]
    troubles: tuple[Trouble, ...]
    healed: Report | None
    exit_code: int


def drift(
    desk: Desk, names: Sequence[str] = (), *, heal: bool = False, yes: bool = False, reason: str | None = None
) -> Drifting:
    """Compare, for the certificates `names` or all, and keep what was found. `heal`: push where a push helps; nothing is ordered.

    `yes`: also where it replaces a certificate that is not ours.
    """
    chosen = [desk.certificate(name) for name in names] or list(desk.config.certificates.values())
    looked: Looked = {}
    found = observe(desk, chosen, looked).found
    ill = [each for each in found if each.cause.healable]
    healed = _heal(desk, names, ill, looked, yes=yes, reason=reason) if heal and ill else None
    left = [each for each in found if not each.cause.fine]
    if healed is not None:
        told = {(each.target, each.name) for each in known_drifts(desk.store, desk.config) if not each.cause.unknown}
        left = [each for each in left if not each.cause.healable and (each.target, each.name) not in told]
    codes = {3 if each.cause.unknown else 1 for each in left} | ({healed.exit_code} if healed else {0})
    return Drifting(found, troubles_of(left), healed, next(code for code in (1, 3, 0) if code in codes))


def _heal(
    desk: Desk,
    names: Sequence[str],
    ill: Sequence[Difference],
    looked: Looked,
    *,
    yes: bool,
    reason: str | None,
) -> Report:
    targets: dict[str, set[str]] = {}
    for each in ill:
        targets.setdefault(each.certificate, set()).add(each.target)
    with running(desk, "drift", reason) as run:
        take_in(desk, names)
        done: list[Done] = []
        for where in dict.fromkeys(frozenset(each) for each in targets.values()):
            chosen = [
                desk.config.certificates[name]
                for name, at in targets.items()
                if at == where and name in desk.config.certificates
            ]
            selection = Selection(order=False, targets=where, ignore_backoff=True, yes=yes, heal=True)
            done += reconcile(desk, chosen, selection, looked=looked)
        return tell(run, done, [])
