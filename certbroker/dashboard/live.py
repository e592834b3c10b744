"""Server-sent events: an open page hears that something happened, and fetches itself anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from certbroker.dashboard.source import Source
from certbroker.errors import StoreError

EVERY = 1.0
"""Seconds between two looks at the store: three look-ups by index."""

KEEP = 15
"""Looks without news after which a comment is sent, so that nobody in between takes the line for dead."""


async def stream(request: Request, source: Source) -> StreamingResponse:
    """`event: changed` whenever the store's pulse is another one. Ends when the browser leaves."""
    return StreamingResponse(
        _changes(request, source), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
    )


async def _changes(request: Request, source: Source) -> AsyncIterator[str]:
    last, quiet = await _pulse(source), 0
    yield "retry: 3000\n\n"
    while not await request.is_disconnected():
        await asyncio.sleep(EVERY)
        pulse = await _pulse(source)
        if pulse != last and pulse:
            last, quiet = pulse, 0
            yield "event: changed\ndata:\n\n"
        else:
            quiet += 1
            if quiet % KEEP == 0:
                yield ": still here\n\n"


async def _pulse(source: Source) -> str:
    """Empty while the store cannot be read."""
    try:
        return await run_in_threadpool(source.store.pulse)
    except StoreError:
        return ""
