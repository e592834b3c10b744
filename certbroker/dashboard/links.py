"""Where each page is: below the root of a server, or as files beside each other."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote, urlencode


class Links(Protocol):
    """What a template asks for the address of a page or of one of its parts."""

    exported: bool
    """No server behind it: nothing to filter with, nothing that is live."""

    def page(self, kind: str, name: str = "", **query: str | int) -> str: ...
    def asset(self, name: str) -> str: ...


class Served:
    """On a server."""

    exported = False

    def page(self, kind: str, name: str = "", **query: str | int) -> str:
        """`/certificates/main?offset=25`; the overview is `/`."""
        path = "/" if kind == "overview" else f"/{kind}" + (f"/{quote(name, safe='')}" if name else "")
        given = {key: value for key, value in query.items() if value not in ("", None)}
        return path + (f"?{urlencode(given)}" if given else "")

    def asset(self, name: str) -> str:
        return f"/static/{name}"


class Files:
    """In a folder, opened from a disk: `up` leads from the page back to its top."""

    exported = True

    def __init__(self, up: str = "") -> None:
        self._up = up

    def page(self, kind: str, name: str = "", **query: str | int) -> str:
        """`certificates/main.html`, `index-25.html`."""
        return self._up + file_of(kind, name, int(query.get("offset", 0) or 0))

    def asset(self, name: str) -> str:
        return f"{self._up}static/{name}"


def file_of(kind: str, name: str = "", offset: int = 0) -> str:
    """The file of a page, below the folder of the export."""
    stem = "index" if kind == "overview" else kind + (f"/{quote(name, safe='')}" if name else "")
    return stem + (f"-{offset}" if offset else "") + ".html"
