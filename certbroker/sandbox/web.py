"""The web as the embedded CAs see it: port 80 of whatever address the embedded DNS gives a name."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Final

SECONDS: Final = 5.0
MOST: Final = 4096
"""Bytes of an answer."""


class Web:
    """`fetch` is what a CA is handed. `port` is where "port 80" really listens: a laboratory has no right to the real one.

    Args:
        addresses: the IP addresses of a DNS name.
    """

    def __init__(self, addresses: Callable[[str], list[str]], port: int = 80) -> None:
        self._addresses = addresses
        self.port = port

    def fetch(self, host: str, path: str) -> bytes:
        """The body. Raises OSError if nobody answers, LookupError if it is no 200."""
        bare = host.removeprefix("[").removesuffix("]")
        addresses = [bare] if bare != host or bare.replace(".", "").isdigit() else self._addresses(bare)
        if not addresses:
            raise OSError(0, f"no address found for {bare}")
        line = http.client.HTTPConnection(addresses[0], self.port, timeout=SECONDS)
        try:
            line.request("GET", path, headers={"Host": host, "User-Agent": "certbroker-sandbox"})
            answer = line.getresponse()
            if answer.status != 200:
                raise LookupError(f"{answer.status}")
            return answer.read(MOST)
        except http.client.HTTPException as error:
            raise LookupError(type(error).__name__) from None
        finally:
            line.close()
