"""What a load balancer counts requests with."""

from __future__ import annotations


class Bucket:
    """Holds `size` at most, is full at first, and is filled at `per_second`."""

    def __init__(self, per_second: float, size: int) -> None:
        self._per_second = per_second
        self._size = size
        self._level = float(size)
        self._at: float | None = None

    def pour(self, now: float) -> bool:
        """Take one out; False if there is none. `now`: monotonic seconds."""
        passed = 0.0 if self._at is None else now - self._at
        # what adding up fractions loses is not held against anybody
        self._level = min(self._size, self._level + passed * self._per_second + 1e-9)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True
