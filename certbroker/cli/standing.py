"""`status` on paper: the truth, the table with what is fine folded, then what needs somebody in three answers."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Final

from certbroker.cli.paper import Paper

if TYPE_CHECKING:
    from certbroker.broker import Status
    from certbroker.standing import Cell, Standing

SCREEN: Final = 20
"""A table of more rows is folded: those that are fine and look alike become one."""


def show(paper: Paper, found: Status) -> None:
    """Print it."""
    from certbroker.standing import untold

    paper.line(found.sentence)
    paper.line()
    rows = _folded(paper, found)
    if rows:
        paper.table(("", "", "wanted", "until", "act by", "renews", *found.targets), rows)
    if found.total > len(found.rows):
        paper.line(
            f"{found.total - len(found.rows):,} more, those to be seen to later; all of them: certbroker status --json"
        )
    for each in found.conditions:
        paper.line(f"{paper.sign(each.state)} {each.subject}: {each.what}")
        if each.state != "warn" or each.kind.value == "orphan":
            act_by = f"; act by {_moment(each.act_by)}" if each.act_by else ""
            paper.line(f"      now   {each.now}{act_by}")
        paper.line(f"      hint: {each.hint}")
    for name, remarks in found.remarks.items():
        for remark in remarks:
            paper.line(f"{paper.sign('warn')} {name}: {remark}")
    for orphan in untold(found.orphans, found.conditions):
        paper.line(f"{paper.sign('none')} {orphan.what}    hint: {orphan.hint}")


def _folded(paper: Paper, found: Status) -> list[tuple[str, ...]]:
    """The rows; of those that are fine and alike the first stands for all."""
    alike: dict[tuple[str, ...], list[Standing]] = defaultdict(list)
    for row in found.rows:
        cells = {cell.target: cell for cell in row.cells}
        marks = [_mark(paper, cells.get(target)) for target in found.targets]
        ends = _day(row)
        key = (
            (row.stand.sign, row.wanted, ends, *marks)
            if row.stand.fine
            else (row.certificate, row.wanted, ends, *marks)
        )
        alike[key].append(row)
    rows = []
    for key, group in alike.items():
        for some in [group] if len(found.rows) > SCREEN else [[row] for row in group]:
            first = some[0]
            name = first.certificate if len(some) == 1 else f"{first.certificate} and {len(some) - 1} more"
            act_by = _moment(first.act_by) if first.act_by else "-"
            renews = min((row.renews for row in some if row.renews), default=None)
            rows.append(
                (
                    *(paper.sign(first.stand.sign), name, key[1] or "-", key[2], act_by),
                    *(_moment(renews) if renews else "-", *key[3:]),
                )
            )
    return rows


def _mark(paper: Paper, cell: Cell | None) -> str:
    if cell is None:
        return paper.sign("none").strip()
    label = f"{cell.served} delivered" if cell.stand.value == "delivered" else cell.served
    return f"{paper.sign(cell.stand.sign).strip()} {label}".strip()


def _day(row: Standing) -> str:
    from certbroker.standing import day

    return day(row.ends) if row.ends else "-"


def _moment(moment: datetime) -> str:
    from certbroker.standing import minute

    return minute(moment)
