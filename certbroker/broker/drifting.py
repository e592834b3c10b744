"""`drift`: what differs from what is wanted, and why; `--heal` re-enters the saga by the path that `push` takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from certbroker.broker.desk import Desk
from certbroker.broker.differences import Difference, differences
from certbroker.broker.done import Done
from certbroker.broker.report import Report, Trouble
from certbroker.broker.running import running
from certbroker.broker.runs import reconcile
from certbroker.broker.taking_in import take_in
from certbroker.broker.telling import tell
from certbroker.deploy.drift import Cause
from certbroker.plan import Selection


@dataclass(frozen=True, slots=True)
class Drifting:
    """Every name, worst first, as it was found, and what became of healing it."""

    differences: tuple[Difference, ...]
    healed: Report | None
    exit_code: int

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What was found, the names of one cause together; of what a healing took on, its own report tells."""
        found: dict[tuple[str, str], tuple[Difference, list[str]]] = {}
        for each in self.differences:
            if each.cause.fine or (self.healed is not None and each.cause.healable):
                continue
            never = each.cause is Cause.NEVER_ISSUED
            about = each.certificate if never else f"{each.certificate} → {each.target}"
            names = found.setdefault((about, each.what), (each, []))[1]
            if not never:
                names.append(each.name)
        return tuple(
            Trouble(": ".join(filter(None, (about, ", ".join(names), what))), d.now, d.hint, wait=d.cause.unknown)
            for (about, what), (d, names) in found.items()
        )


def drift(
    desk: Desk, names: Sequence[str] = (), *, heal: bool = False, yes: bool = False, reason: str | None = None
) -> Drifting:
    """Compare, for the certificates `names` or all. `heal`: push where a push helps; nothing is ordered.

    `yes`: also where it replaces a certificate that is not ours.
    """
    chosen = [desk.certificate(name) for name in names] or list(desk.config.certificates.values())
    found = tuple(differences(desk, chosen))
    ill = [each for each in found if each.cause.healable]
    healed = _heal(desk, names, ill, yes=yes, reason=reason) if heal and ill else None
    left = [each for each in found if not each.cause.fine and not (healed and each.cause.healable)]
    codes = {3 if each.cause.unknown else 1 for each in left} | ({healed.exit_code} if healed else {0})
    return Drifting(found, healed, next(code for code in (1, 3, 0) if code in codes))


def _heal(desk: Desk, names: Sequence[str], ill: Sequence[Difference], *, yes: bool, reason: str | None) -> Report:
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
            done += reconcile(desk, chosen, selection)
        return tell(run, done, [])
