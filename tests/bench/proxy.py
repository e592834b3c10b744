"""A long way to the CA: a TCP proxy that holds every byte back for half a round trip, in each direction.

A proxy in user space cannot hold back the kernel's own handshake, so a connection's first bytes wait a round trip more.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

ROUND_TRIP: Final = 0.05
CHUNK: Final = 65536


@dataclass
class Way:
    """An open way. `connections` counts those that were made."""

    port: int
    connections: int = 0


@contextmanager
def long_way(to_port: int, *, round_trip: float = ROUND_TRIP) -> Iterator[Way]:
    """From a free port of loopback to `to_port`. `round_trip`: seconds."""
    loop = asyncio.new_event_loop()
    way = Way(0)

    async def accept(here: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        way.connections += 1
        opened = loop.time() + round_trip
        there, on = await asyncio.open_connection("127.0.0.1", to_port)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(_carry(here, on, round_trip / 2, opened), _carry(there, back, round_trip / 2, opened))

    server = loop.run_until_complete(asyncio.start_server(accept, "127.0.0.1", 0))
    way.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, name="long way", daemon=True)
    thread.start()
    try:
        yield way
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        server.close()
        loop.run_until_complete(_end(asyncio.all_tasks(loop)))
        loop.close()


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, seconds: float, opened: float) -> None:
    """What comes in goes out `seconds` later, and never before `opened`; bytes under way do not hold up the next."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            at, data = await under_way.get()
            await asyncio.sleep(max(0.0, at - loop.time()))
            if not data:
                break
            sink.write(data)
        with contextlib.suppress(OSError):
            sink.close()

    delivering = asyncio.create_task(deliver())
    data = b"-"
    while data:
        try:
            data = await source.read(CHUNK)
        except OSError:
            data = b""
        under_way.put_nowait((max(loop.time(), opened) + seconds, data))
    await delivering


async def _end(under_way: Collection[asyncio.Task[object]]) -> None:
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
