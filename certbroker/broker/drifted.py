"""Drift as it was found, in words, and what observation keeps of it: read by `status`, `explain` and the end of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from certbroker.broker.report import State, Trouble
from certbroker.config import Config
from certbroker.deploy.causes import Cause
from certbroker.model import Phase
from certbroker.store import DriftRow, Store


@dataclass(frozen=True, slots=True)
class Difference:
    """One name on one target. `wanted`, `said`, `served` in words; `now` and `hint` are empty where all is well."""

    state: State
    certificate: str
    target: str
    name: str
    cause: Cause
    wanted: str
    said: str
    served: str
    what: str = ""
    now: str = ""
    hint: str = ""
    since: datetime | None = None
    """When this cause was first observed, where that is kept."""


def worst_first(found: Sequence[Difference]) -> list[Difference]:
    order = list(Cause)
    return sorted(found, key=lambda each: (order.index(each.cause), each.certificate, each.target))


def troubles_of(found: Sequence[Difference]) -> tuple[Trouble, ...]:
    """What is not as wanted, in three answers each; the names of one cause together."""
    grouped: dict[tuple[str, str], tuple[Difference, list[str]]] = {}
    for each in found:
        if each.cause.fine:
            continue
        never = each.cause is Cause.NEVER_ISSUED
        about = each.certificate if never else f"{each.certificate} → {each.target}"
        names = grouped.setdefault((about, each.what), (each, []))[1]
        if not never:
            names.append(each.name)
    return tuple(
        Trouble(": ".join(filter(None, (about, ", ".join(names), what))), d.now, d.hint, wait=d.cause.unknown)
        for (about, what), (d, names) in grouped.items()
    )


def known_drifts(store: Store, config: Config, certificate: str | None = None) -> list[Difference]:
    """What is kept of the places that the file declares, of one certificate or all; worst first."""
    rows = {(row.certificate, row.target, row.name): row for row in store.drifts(certificate)}
    declared = [
        config.certificates[name] for name in {row.certificate for row in rows.values()} & {*config.certificates}
    ]
    places = [(c.name, a.target, name) for c in declared for a in c.assignments for name in a.names]
    return worst_first([_as_difference(rows[place]) for place in places if place in rows])


def served_as_wanted(store: Store) -> tuple[int, int]:
    """How many names are committed, and how many delivered, of which no observation says otherwise since."""
    counts, drifted = store.count_deployments(), store.count_drifted()
    committed, delivered = (counts.get(each, 0) - drifted.get(each, 0) for each in (Phase.COMMITTED, Phase.DELIVERED))
    return committed, delivered


def _as_difference(row: DriftRow) -> Difference:
    return Difference(
        state=State(row.state),
        certificate=row.certificate,
        target=row.target,
        name=row.name,
        cause=Cause(row.cause),
        wanted=row.wanted,
        said=row.said,
        served=row.served,
        what=row.what,
        now=row.now,
        hint=row.hint,
        since=row.since,
    )
