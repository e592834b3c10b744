"""How fast one CA is asked: each of its endpoints has a rate of its own, and all lines to the CA share them."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from certbroker.limits import Rates
from certbroker.pacing import Pacer
from certbroker.world import Clock

if TYPE_CHECKING:
    from certbroker.issuer.messages import Directory


class CaPace:
    """One CA, as far as this process asks it. Thread-safe.

    No burst is smaller than what is under way at once (`conversation.IN_FLIGHT`), so threads that wake late and send together
    still find at the CA what they waited for.
    """

    def __init__(self, clock: Clock, rates: Rates, directory: str) -> None:
        """`directory`: its URL."""
        self._pacers = {each.name: Pacer(clock, getattr(rates, each.name)) for each in fields(rates)}
        self._rate_at = {directory: "directory"}
        self._renewal_info: str | None = None

    def learn(self, directory: Directory) -> None:
        """What is asked for where. Before that, everything but the directory is one of the others."""
        places = {
            "new_nonce": directory.new_nonce,
            "new_account": directory.new_account,
            "new_order": directory.new_order,
            "revoke": directory.revoke,
        }
        self._rate_at |= {url: rate for rate, url in places.items() if url is not None}
        self._renewal_info = directory.renewal_info

    def wait(self, url: str, deadline: float) -> bool:
        """Sleep until `url` may be asked. False, at once, if that is not before `deadline` (monotonic seconds)."""
        info = self._renewal_info
        rate = "renewal_info" if info is not None and url.startswith(info) else self._rate_at.get(url, "others")
        return self._pacers[rate].wait(deadline)
