"""A row of the matrix through the whole thing: the real command line, sockets, and edges that terminate TLS.

The same trouble meets Fastly and Fly at once, at the call that edges follow, and ends in the words that the tables have. Each cell
begins where the one before has ended.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from certbroker.testkit.simulator import Fault, Request, Response
from tests.golden import FOLDER
from tests.matrix.faults import HTML, SLOW_DOWN, TROUBLES
from tests.matrix.test_matrix import CELL, LABEL
from tests.scenarios.test_restore import BLUE_EDGE, FASTLY_EDGE, choking, phases
from tests.scenarios.town import Town, town

ROWS: Final = {
    "fastly": ("fastly.txt", "PATCH activations ID example.com"),
    "fly-blue": ("fly.txt", "POST certificates custom example.com"),
}
"""Of the table of renewals, which is the first."""
TARGETS: Final = {"fastly": ("fastly", FASTLY_EDGE), "fly-blue": ("fly", BLUE_EDGE)}
MORE_RUNS: Final = 2


def _switches(request: Request) -> bool:
    return request.write and ("/activations" in request.path or request.path.endswith("/custom"))


@contextmanager
def _fault(place: Town, make: Callable[[], Fault]) -> Iterator[None]:
    for kind, _ in TARGETS.values():
        place.platform(kind).faults.append(make())
    yield
    for kind, _ in TARGETS.values():
        place.platform(kind).faults.clear()


@contextmanager
def _one_edge(place: Town) -> Iterator[None]:
    """One edge of each hears of the change, no other does."""
    others = [edge for address, edge in place.house.edges.items() if address not in (FASTLY_EDGE, BLUE_EDGE)]
    for edge in others:
        edge.listeners[0].stuck = True
    yield
    for edge in others:
        edge.listeners[0].stuck = False


@contextmanager
def _breaks_one(place: Town) -> Iterator[None]:
    served = {kind: place.platform(kind).serving_at(edge)["example.com"][0] for kind, edge in TARGETS.values()}
    with (
        choking(place, "fastly", FASTLY_EDGE, on=lambda chain: chain != served["fastly"]),
        choking(place, "fly", BLUE_EDGE, on=lambda chain: chain != served["fly"]),
    ):
        yield


CELLS: Final = {
    "500, done": lambda place: _fault(place, lambda: Fault(HTML, when="after", matches=_switches)),
    "429, wait": lambda place: _fault(
        place, lambda: Fault(Response.of(429, SLOW_DOWN, **{"Retry-After": "900"}), matches=_switches)
    ),
    "reset, done": lambda place: _fault(place, lambda: Fault("reset", when="after", matches=_switches)),
    "lie": lambda place: _fault(place, lambda: Fault("lie", matches=_switches)),
    "one edge": _one_edge,
    "breaks one": _breaks_one,
}


def test_whatever_goes_wrong_two_more_runs_of_the_command_mend_it(tmp_path: Path) -> None:
    with town(tmp_path / "town") as place:
        place.configure(certificates=place.certificate(targets=tuple(TARGETS)))
        place.run("renew")
        tables = {target: _row(target) for target in TARGETS}
        for number, (name, trouble) in zip(itertools.count(2), CELLS.items(), strict=False):
            _arrives(place)
            with trouble(place):
                place.run("renew", ends=None)
                first = {target: _word(place, target, number) for target in TARGETS}
            needed = _mended(place, number)
            for target, table in tables.items():
                assert f"{first[target]} +{needed[target]}".removesuffix(" +0") == table[name], f"{target}: {name}"
        assert place.orders == 1


def _row(target: str) -> dict[str, str]:
    """The words of the table for one call, by column."""
    file, call = ROWS[target]
    text = (FOLDER / "matrix" / file).read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith(f"  {call} "))[2 + LABEL :]
    return {each.name: row[n * CELL : (n + 1) * CELL].strip() for n, each in enumerate(TROUBLES)}


def _arrives(place: Town) -> None:
    """One more version, signed before: nothing is ordered."""
    place.later(hours=25)
    place.run("renew", ends=None)
    chain, key = place.ca.issue_directly("example.com", "*.example.com")
    file = place.folder / "pair.pem"
    file.write_text(chain + key.reveal())
    file.chmod(0o600)
    place.run("import", "main", str(file), "--yes")


def _word(place: Town, target: str, number: int) -> str:
    worst = ("restoring", "failed", "restored", "waiting", "verifying", "committed")
    return min(phases(place, target, f"v{number}"), key=worst.index)


def _mended(place: Town, number: int) -> dict[str, int]:
    """How many more runs each target needs until it is committed and served."""
    needed: dict[str, int] = {}
    for run in range(MORE_RUNS + 1):
        if run:
            place.later(minutes=61)
            place.run("renew", ends=None)
        for target in TARGETS:
            if target not in needed and _word(place, target, number) == "committed":
                needed[target] = run
    assert set(needed) == set(TARGETS)
    with place.store() as store:
        wanted = next(version.fingerprint for version in store.versions("main") if version.number == number)
    looks = place.run("probe", "main", "--json").json["looks"]
    assert {look["target"] for look in looks} == set(TARGETS)
    assert {look["fingerprint"] for look in looks} == {wanted}
    return needed
