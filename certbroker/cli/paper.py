"""Printing: signs and colour on a terminal, plain words off it, JSON when asked. The words are the broker's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from certbroker.jsonable import jsonable
from certbroker.saying import Kind, say
from certbroker.world import World

SIGNS = {"ok": "✓", "warn": "!", "fail": "✗", "wait": "…", "none": "·"}
WORDS = {"ok": "ok  ", "warn": "warn", "fail": "fail", "wait": "wait", "none": "-   "}
COLOURS = {"ok": "32", "warn": "33", "fail": "31", "wait": "36", "none": "2"}


class Paper:
    """Where a command writes. `out` is the answer, `story` what happens meanwhile."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.terminal = world.stdout.isatty() and "NO_COLOR" not in world.environ
        self.fancy = world.stdout.isatty()

    def line(self, text: str = "") -> None:
        self._world.stdout.write(text + "\n")

    def story(self, text: str) -> None:
        self._world.stderr.write(text + "\n")

    def sign(self, state: str) -> str:
        if not self.fancy:
            return WORDS[state]
        return f"\x1b[{COLOURS[state]}m{SIGNS[state]}\x1b[0m" if self.terminal else SIGNS[state]

    def json(self, value: Any) -> None:
        self.line(json.dumps(jsonable(value), ensure_ascii=False, indent=2))

    def trouble(self, what: str, now: str = "", hint: str = "", *, kind: Kind = "error") -> None:
        """The three answers, on stderr."""
        say(self._world.stderr, kind, what, now, hint)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table: rich on a terminal, aligned columns off it."""
        if self.fancy:
            from rich.console import Console
            from rich.table import Table
            from rich.text import Text

            table = Table(
                box=None, pad_edge=False, show_header=any(heads), header_style="bold" if self.terminal else ""
            )
            for head in heads:
                table.add_column(head, overflow="fold")
            for row in rows:
                table.add_row(*(Text.from_ansi(cell) for cell in row))
            Console(file=self._world.stdout, no_color=not self.terminal, highlight=False).print(table)
            return
        widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
        for row in ([heads] if any(heads) else []) + list(rows):
            self.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def counted(number: int, one: str, many: str = "") -> str:
    """`1 order`, `2 orders`."""
    return f"{number} {one if number == 1 else many or one + 's'}"
