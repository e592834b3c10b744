"""The results as markdown: a row for each client, and the table of the README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tests.bench.cases import OWN, Case
from tests.bench.results import Result

HEAD: Final = (
    "| case | client | wall | certbroker to it | bar | CPU | peak memory | requests | connections |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def lines(case: Case, results: Sequence[Result]) -> Iterator[str]:
    """One row a client."""
    own = _of(results, OWN)
    assert own is not None
    for result in results:
        bar = case.bars.get(result.client)
        run = result.run
        ticks = f" ({run.looks:.0f} ticks)" if run.looks and result is own else ""
        cells = (
            case.words if result is own else "",
            result.client + (" (scaled)" if result.scaled else ""),
            f"{result.wall:.2f} s",
            "" if result is own else f"{own.wall / result.wall:.2f}",
            f"{bar}" if bar else "",
            f"{run.spent.cpu:.2f} s",
            f"{run.spent.peak:.0f} MiB",
            f"{run.requests:.0f}{ticks}",
            f"{run.connections:.0f}",
        )
        yield f"| {' | '.join(cells)} |"


def _of(results: Sequence[Result], client: str) -> Result | None:
    return next((result for result in results if result.client == client), None)
