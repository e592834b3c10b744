"""The words that every face shares: moments, and what is served now and until when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from certbroker.notices import day as day
from certbroker.notices import minute as minute
from certbroker.notices import several as several
from certbroker.serving import OTHER, Cell


def served_now(cells: Sequence[Cell], now: datetime) -> str:
    """What users get there as far as we know: `8 of 8 edges serve v1, until Thu 7 Jan 2027`.

    Standby targets are spoken of only where there are no others.
    """
    facing = [cell for cell in cells if not cell.standby] or list(cells)
    labels = {part for cell in facing for part in cell.served.split("/") if part}
    ours = "/".join(sorted(labels - {OTHER}))
    what = f"{ours} or one that is not ours" if ours and OTHER in labels else ours or "a certificate that is not ours"
    edges, proven = sum(cell.edges for cell in facing), sum(cell.proven for cell in facing)
    until = min((cell.until for cell in facing if cell.until), default=None)
    if until is None and not proven:
        return f"none of {edges} edges serves anything valid" if edges else "nothing of ours is served"
    end = "" if until is None else f", which ended {minute(until)}" if until <= now else f", until {day(until)}"
    if edges:
        return f"{proven} of {edges} edges serve {what}{end}"
    return f"{what} is there{end}; nobody can look"
