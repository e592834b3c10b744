"""The server under the pages."""

from __future__ import annotations

import uvicorn
from starlette.types import ASGIApp


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Says nothing of itself, neither in headers nor in a log of who came; open pages do not hold up its end."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
    )
