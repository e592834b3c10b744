"""An inventory and looks at it, with one thing changed at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from certbroker.model import Edge
from certbroker.probe import Seen, Verdict
from certbroker.watch.inventory import AtTarget, Entry, Expected, Inventory, Where
from certbroker.watch.looking import Look
from tests.clock import START

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

V1 = Expected(
    fingerprint="01" * 32,
    label="v1",
    starts=START - 80 * DAY,
    ends=START + 10 * DAY,
    act_by=START + 8 * DAY,
)
V2 = Expected(
    fingerprint="02" * 32,
    label="v2",
    starts=START - DAY,
    ends=START + 89 * DAY,
    act_by=START + 87 * DAY,
)


def at_target(*serves: Expected, target: str = "fly", edges: int = 2, **more: Any) -> AtTarget:
    return AtTarget(
        target=target,
        names=("example.com",),
        serves=tuple(each.fingerprint for each in serves or (V2,)),
        edges=tuple(Where(host=f"192.0.2.{number}") for number in range(1, edges + 1)),
        **more,
    )


def entry(*targets: AtTarget, name: str = "main", versions: tuple[Expected, ...] = (V1, V2)) -> Entry:
    return Entry(name=name, versions=versions, targets=targets or (at_target(),))


def inventory(*entries: Entry, **more: Any) -> Inventory:
    given: dict[str, Any] = {
        "certbroker_inventory": 1,
        "store": "4c1f",
        "host": "broker-1",
        "written": START,
        "next_writing": START + HOUR,
        "last_run": START,
        "certificates": entries or (entry(),),
    }
    return Inventory(**(given | more))


def seen(version: Expected = V2, **more: Any) -> Seen:
    made = Seen(
        Edge("192.0.2.1"),
        "192.0.2.1",
        "example.com",
        START,
        Verdict.VALID,
        version.fingerprint,
        "R11",
        version.ends,
        starts=version.starts,
    )
    return replace(made, **more)


STRANGER: dict[str, Any] = {
    "fingerprint": "ee" * 32,
    "issued_by": "E7",
    "starts": START - 30 * DAY,
    "ends": START + 60 * DAY,
}
"""A certificate that users accept and that the broker does not know."""


def silent(detail: str = "connection refused", verdict: Verdict = Verdict.UNREACHABLE, **more: Any) -> Seen:
    return seen(verdict=verdict, detail=detail, fingerprint=None, issued_by=None, starts=None, ends=None, **more)


def looks(told: Inventory, *what: Seen) -> list[Look]:
    """Each at the certificate and target of the same place, or all at the first."""
    places = [(each, at) for each in told.certificates for at in each.targets]
    return [Look(*places[min(number, len(places) - 1)], one) for number, one in enumerate(what)]
