"""What stands and what needs somebody: the one truth that `status`, the dashboard, alerts, metrics and the watcher read.

From the store and the file alone: no network, no vault, no secret. See README.md beside this file.
"""

from __future__ import annotations

from certbroker.notices import Condition, Kind, Severity
from certbroker.serving import Cell, Stand, Standing
from certbroker.standing.conditions import conditions
from certbroker.standing.facts import Facts, First, Outage
from certbroker.standing.gathering import gather
from certbroker.standing.orphans import Orphan
from certbroker.standing.overview import PAGE, Overview, as_of, needs, overview, untold
from certbroker.standing.words import day, minute, served_now, several

__all__ = [
    "PAGE",
    "Cell",
    "Condition",
    "Facts",
    "First",
    "Kind",
    "Orphan",
    "Outage",
    "Overview",
    "Severity",
    "Stand",
    "Standing",
    "as_of",
    "conditions",
    "day",
    "gather",
    "minute",
    "needs",
    "overview",
    "served_now",
    "several",
    "untold",
]
