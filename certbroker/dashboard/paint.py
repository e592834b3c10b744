"""Pages to HTML. The templates hold the words around the values; everything is escaped."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from certbroker.dashboard.links import Links
from certbroker.dashboard.source import Source
from certbroker.serving import Stand
from certbroker.standing import day, minute

WORDS: Final = {
    Stand.BROKEN: "broken",
    Stand.FAILING: "failing",
    Stand.RESTORED: "put back",
    Stand.DRIFTED: "drifted",
    Stand.WAITING: "waits for a person",
    Stand.ARRIVING: "on its way",
    Stand.MISSING: "not pushed yet",
    Stand.UNISSUED: "not issued yet",
    Stand.DELIVERED: "delivered, nobody can look",
    Stand.SERVED: "served, verified",
}
SIGNS: Final = {"ok": "✓", "warn": "!", "fail": "✗", "wait": "…", "none": "·"}


class Painter:
    """Templates by the name of the page's kind."""

    def __init__(self) -> None:
        self._jinja = Environment(
            loader=PackageLoader("certbroker.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.filters.update(
            day=day, minute=minute, words=WORDS.__getitem__, sign=SIGNS.__getitem__, iso=datetime.isoformat
        )
        self._jinja.globals["left"] = left

    def paint(self, kind: str, page: Any, source: Source, links: Links, **more: Any) -> str:
        """The whole HTML page. `kind` is the name of a template."""
        template = self._jinja.get_template(f"{kind}.html")
        return template.render(page=page, kind=kind, links=links, now=source.now(), stale=source.stale, **more)


def left(until: datetime | None, now: datetime) -> str:
    """`41 days`, `5 hours`, `over`: how long until then."""
    if until is None:
        return ""
    seconds = (until - now).total_seconds()
    if seconds <= 0:
        return "over"
    if seconds < 2 * 86400:
        hours = int(seconds // 3600)
        return f"{hours} hour{'' if hours == 1 else 's'}" if hours else "under an hour"
    return f"{int(seconds // 86400)} days"
