"""A slow recursor for the CA alone: it passes every question on to the zone's own server, after a while.

The clients ask the zone's server themselves and never meet it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast


@contextmanager
def slow_resolver(host: str, port: int, *, seconds: float) -> Iterator[str]:
    """Answers over UDP as `host`:`port` would, `seconds` later. Its own "host:port"."""
    loop = asyncio.new_event_loop()

    class Question(asyncio.DatagramProtocol):
        """One question on its way to the zone's server; its answer goes back to who asked."""

        def __init__(self, data: bytes, asker: tuple[str, int]) -> None:
            self._data, self._asker = data, asker

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._there = cast("asyncio.DatagramTransport", transport)
            self._there.sendto(self._data)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            here.sendto(data, self._asker)
            self._there.close()

    class Door(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            task = loop.create_task(ask(data, addr))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    under_way: set[asyncio.Task[None]] = set()

    async def ask(data: bytes, asker: tuple[str, int]) -> None:
        await asyncio.sleep(seconds)
        await loop.create_datagram_endpoint(lambda: Question(data, asker), remote_addr=(host, port))

    here, _ = loop.run_until_complete(loop.create_datagram_endpoint(Door, local_addr=("127.0.0.1", 0)))
    thread = threading.Thread(target=loop.run_forever, name="slow resolver", daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{here.get_extra_info('sockname')[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
