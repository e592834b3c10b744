"""What keeps other runs away while this one writes."""

from __future__ import annotations

from typing import Protocol


class Lease(Protocol):
    """`check` raises LeaseHeld when it is lost; asked before every outside write."""

    def check(self) -> None: ...
