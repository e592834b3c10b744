"""The embedded CA. `SandboxCA` is the whole of it; `BadDays` are its moods, `Problem` is how it refuses."""

from certbroker.sandbox.ca.badday import BadDays
from certbroker.sandbox.ca.books import Issued, Order
from certbroker.sandbox.ca.problem import Problem
from certbroker.sandbox.ca.server import SandboxCA

__all__ = ["BadDays", "Issued", "Order", "Problem", "SandboxCA"]
