"""What is served now, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from certbroker.serving import Cell, Stand
from certbroker.standing import served_now, several
from tests.clock import START

CELL = Cell(
    certificate="main",
    target="fly",
    stand=Stand.SERVED,
    standby=False,
    wanted="v2",
    served="v2",
    words="",
    since=START,
    until=START + timedelta(days=45),
    act_by=START,
    hint="",
    failures=0,
    edges=4,
    proven=4,
)
OLD = replace(CELL, target="fastly", served="v1", until=START + timedelta(days=3), edges=8, proven=7)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([CELL], "4 of 4 edges serve v2, until Thu 7 Jan 2027"),
        ([CELL, OLD], "11 of 12 edges serve v1/v2, until Thu 26 Nov 2026"),
        ([CELL, replace(OLD, standby=True)], "4 of 4 edges serve v2, until Thu 7 Jan 2027"),
        ([replace(OLD, standby=True)], "7 of 8 edges serve v1, until Thu 26 Nov 2026"),
        ([replace(CELL, served="other")], "4 of 4 edges serve a certificate that is not ours, until Thu 7 Jan 2027"),
        ([replace(CELL, served="other/v2")], "4 of 4 edges serve v2 or one that is not ours, until Thu 7 Jan 2027"),
        ([replace(CELL, edges=0, proven=0)], "v2 is there, until Thu 7 Jan 2027; nobody can look"),
        ([replace(CELL, until=START)], "4 of 4 edges serve v2, which ended Mon 23 Nov 09:00 UTC"),
        ([replace(CELL, served="", until=None, proven=0)], "none of 4 edges serves anything valid"),
        ([replace(CELL, served="", until=None, edges=0, proven=0)], "nothing of ours is served"),
        ([], "nothing of ours is served"),
    ],
)
def test_what_is_served_and_until_when(cells: list[Cell], said: str) -> None:
    assert served_now(cells, START) == said


def test_many_names_are_counted() -> None:
    assert several(["a"]) == "a"
    assert several(["a", "b", "c"]) == "a, b, c"
    assert several(["a", "b", "c", "d"]) == "a, b, c and 1 more"
