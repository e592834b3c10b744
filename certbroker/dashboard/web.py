"""The pages as a web application: each as HTML and, below /api, the same values as JSON. It only shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from certbroker.dashboard import live, pages
from certbroker.dashboard.guard import Doorkeeper, Guard
from certbroker.dashboard.links import Served
from certbroker.dashboard.paint import Painter
from certbroker.dashboard.source import Source
from certbroker.errors import StoreError
from certbroker.jsonable import jsonable
from certbroker.metrics import CONTENT_TYPE, exposition

Read = Callable[[Source, Request], Any]

PAGES: Final[dict[str, tuple[str, Read]]] = {
    "overview": ("/", lambda s, r: pages.overview_page(s, offset=_number(r, "offset") or 0, needle=_text(r, "find"))),
    "certificates": ("/certificates/{name}", lambda s, r: pages.certificate_page(s, r.path_params["name"])),
    "targets": (
        "/targets/{name}",
        lambda s, r: pages.target_page(s, r.path_params["name"], offset=_number(r, "offset") or 0),
    ),
    "timeline": ("/timeline", lambda s, r: pages.timeline_page(s, offset=_number(r, "offset") or 0)),
    "readiness": ("/readiness", lambda s, _: pages.readiness_page(s)),
    "runs": ("/runs", lambda s, _: pages.runs_page(s)),
    "history": (
        "/history",
        lambda s, r: pages.history_page(
            s,
            certificate=_text(r, "certificate"),
            target=_text(r, "target"),
            kind=_text(r, "kind"),
            before=_number(r, "before"),
        ),
    ),
}
"""By kind: where it is, and how it is read. The kind is the template's name too."""


def make_app(source: Source, doorkeeper: Doorkeeper) -> ASGIApp:
    """Everything behind the guard. Handlers that read the store run in threads."""
    painter = Painter()
    links = Served()
    routes: list[Route | Mount] = []
    for kind, (path, read) in PAGES.items():
        routes.append(Route(path, _html(kind, read, source, painter, links)))
        routes.append(Route("/api" + ("/overview" if path == "/" else path), _json(read, source)))
    routes.append(Route("/metrics", _metrics(source)))
    routes.append(Route("/healthz", _health(source)))
    routes.append(Route("/live", _live(source)))
    routes.append(Mount("/static", StaticFiles(packages=[("certbroker.dashboard", "static")])))
    handlers: dict[Any, Any] = {StoreError: _no_store, HTTPException: _missing}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), doorkeeper)


def _html(kind: str, read: Read, source: Source, painter: Painter, links: Served) -> Callable[[Request], Response]:
    def show(request: Request) -> Response:
        page = read(source, request)
        if page is None:
            raise HTTPException(404, _none(kind, request))
        return HTMLResponse(painter.paint(kind, page, source, links))

    return show


def _json(read: Read, source: Source) -> Callable[[Request], Response]:
    def show(request: Request) -> Response:
        page = read(source, request)
        if page is None:
            raise HTTPException(404, "the file has nothing of that name")
        return JSONResponse(jsonable(page))

    return show


def _metrics(source: Source) -> Callable[[Request], Response]:
    def show(_request: Request) -> Response:
        text = exposition(source.store, source.config, source.now())
        return Response(text, media_type=CONTENT_TYPE)

    return show


def _health(source: Source) -> Callable[[Request], Response]:
    def show(_request: Request) -> Response:
        source.store.pulse()
        return PlainTextResponse("ok\n")

    return show


def _live(source: Source) -> Callable[[Request], Any]:
    async def show(request: Request) -> Response:
        return await live.stream(request, source)

    return show


def _no_store(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StoreError)
    return PlainTextResponse(f"error: {error.what}\n hint: {error.hint or 'certbroker check'}\n", 503)


def _missing(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code)


def _none(kind: str, request: Request) -> str:
    return f"the file has no {kind.removesuffix('s')} called {request.path_params.get('name', '')[:80]}"


def _text(request: Request, key: str) -> str:
    return request.query_params.get(key, "").strip()[:255]


def _number(request: Request, key: str) -> int | None:
    """A number that was asked for; what is none is refused."""
    text = request.query_params.get(key, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise HTTPException(400, f"{key} must be a number")
    return int(text)
