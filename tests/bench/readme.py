"""The README's section "How fast", written from one run so that it cannot say anything else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from tests.bench.cases import OWN, Case
from tests.bench.peers import ROOT
from tests.bench.quiet_night import MANY, Night
from tests.bench.results import Result

FILE: Final = ROOT / "README.md"
PEERS: Final = ("certbot", "lego", "bound")

SECTION: Final = re.compile(r"(?<=^## How fast\n).*?(?=^## )", re.DOTALL | re.MULTILINE)

WORDS: Final = """
`{command}`, {cores} cores, {day}: Pebble behind a line of 50 ms, dns-01 by RFC 2136 at one BIND, process start included. Medians. "To it" is
certbroker's time to theirs. {peers} are told not to wait for DNS. The bound is a client that does nothing but the fewest requests.

| case | certbroker | certbot, to it | lego, to it | bound, to it |
|---|---|---|---|---|
{rows}

"""


@dataclass(frozen=True)
class Told:
    """All that one run of the bench has found."""

    cases: Sequence[tuple[Case, Sequence[Result]]]
    versions: dict[str, float]
    """Seconds of `--version`."""
    many: Night
    """MANY certificates of which nothing is due."""


def write(told: Told, *, command: str, cores: int, at: datetime, peers: Sequence[str]) -> None:
    """Into the README. `peers`: names and versions."""
    words = WORDS.format(
        command=command,
        cores={2: "two", 4: "four", 8: "eight"}.get(cores, str(cores)),
        day=f"{at:%-d %b %Y}",
        peers=" and ".join(peers),
        rows="\n".join(rows(told)),
    )
    text = Path(FILE).read_text()
    assert SECTION.search(text), "the README has no section How fast"
    FILE.write_text(SECTION.sub(lambda _: words, text, count=1))


def rows(told: Told) -> list[str]:
    found = [_row(case, results) for case, results in told.cases]
    own, certbot = told.versions[OWN], told.versions.get("certbot")
    found.append(_line("`--version`", f"{own:.2f} s", _beside(own, certbot)))
    contacts = "no request" if not told.many.contacts else f"{told.many.contacts} requests"
    found.append(
        _line(f"nothing due, {MANY:,} certificates, the file's reading apart", f"{told.many.rest:.2f} s, {contacts}")
    )
    return found


def _row(case: Case, results: Sequence[Result]) -> str:
    by_client = {result.client: result for result in results}
    own = by_client[OWN]
    scaled = f" (peers: {case.peers_make}, scaled)" if any(result.scaled for result in results) else ""
    walls = [by_client[peer].wall if peer in by_client else None for peer in PEERS]
    return _line(case.words + scaled, f"{own.wall:.2f} s", *(_beside(own.wall, wall) for wall in walls))


def _beside(own: float, theirs: float | None) -> str:
    if theirs is None:
        return ""
    return f"{theirs:.0f} s, {own / theirs:.2f}" if theirs >= 100 else f"{theirs:.2f} s, {own / theirs:.2f}"


def _line(*cells: str) -> str:
    five = (*cells, "", "", "", "")[:5]
    return f"| {' | '.join(five)} |".replace("  ", " ")
