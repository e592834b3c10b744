"""An alert in words: what happened, what is served now and until when, what to type, and where to look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from certbroker.notices.deciding import Telling
from certbroker.notices.phrases import minute

_HEADS: Final = {"begun": "", "lasts": "still: ", "over": "over: "}


@dataclass(frozen=True, slots=True)
class Message:
    """The same for every way: a line to be read on a lock screen, the whole text, and values for programs."""

    title: str
    text: str
    values: dict[str, Any]


def message(telling: Telling, *, now: datetime, host: str, link: str | None) -> Message:
    """`host`: who says so. `link`: the dashboard."""
    each, row = telling.condition, telling.row
    if each is None:
        assert row is not None
        title = f"over: {row.subject}"
        lines = [row.what, f"over at {minute(now)}; it began {minute(row.since)}"]
        values: dict[str, Any] = {
            "key": row.key,
            "kind": row.kind,
            "subject": row.subject,
            "what": row.what,
            "severity": row.severity,
        }
        page = _page(link, None)
    else:
        wakes = "!! " if each.severity == "page" else ""
        title = f"{wakes}{_HEADS[telling.change]}{each.subject}: {each.what}"
        lines = [each.what, f"now:  {each.now}", f"hint: {each.hint}"]
        lines += [f"act by {minute(each.act_by)}"] if each.act_by else []
        lines += [f"since {minute(each.since)}"]
        values = {
            "key": each.key,
            "kind": each.kind.value,
            "severity": each.severity,
            "subject": each.subject,
            "certificates": list(each.certificates),
            "target": each.target,
            "what": each.what,
            "now": each.now,
            "hint": each.hint,
            "since": each.since.isoformat(),
            "act_by": each.act_by.isoformat() if each.act_by else None,
        }
        page = _page(link, each.certificates[0] if len(each.certificates) == 1 else None)
    lines += [page] if page else []
    said = {"change": telling.change, **values, "at": now.isoformat(), "host": host, "link": page}
    return Message(f"certbroker: {title}", "\n".join([*lines, f"certbroker on {host}"]), said)


def _page(link: str | None, certificate: str | None) -> str | None:
    if link is None or certificate is None:
        return link
    return f"{link}/certificates/{quote(certificate, safe='')}"
