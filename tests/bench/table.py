"""The results as a markdown table, and the bars that were missed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tests.bench.cases import Case, Result

HEAD: Final = (
    "| case | client | wall | certbroker to it | bar | CPU | peak memory | requests | connections |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def lines(case: Case, results: Sequence[Result]) -> Iterator[str]:
    """One row a client."""
    own = next(result for result in results if result.client == "certbroker").spent.wall
    for result in results:
        bar = case.bars.get(result.client)
        cells = (
            case.words if result.client == "certbroker" else "",
            result.client + (" (scaled)" if result.scaled else ""),
            f"{result.spent.wall:.2f} s",
            "" if result.client == "certbroker" else f"{own / result.spent.wall:.2f}",
            f"{bar}" if bar else "",
            f"{result.spent.cpu:.2f} s",
            f"{result.spent.peak:.0f} MiB",
            f"{result.requests:.0f}",
            f"{result.connections:.0f}",
        )
        yield f"| {' | '.join(cells)} |"


def missed(case: Case, results: Sequence[Result]) -> Iterator[str]:
    """In words."""
    own = next(result for result in results if result.client == "certbroker").spent
    for result in results:
        bar = case.bars.get(result.client)
        if bar is not None and own.wall > bar * result.spent.wall:
            yield f"{case.words}: {own.wall / result.spent.wall:.2f} times {result.client}, at most {bar}"
    if case.most_mb is not None and own.peak * 1.048576 > case.most_mb:
        yield f"{case.words}: {own.peak * 1.048576:.0f} MB, at most {case.most_mb}"
