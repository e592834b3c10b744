"""What certbroker knows, in SQL. The only room that knows SQL.

Callers see one flat `Store`; each file beside this one holds the part of it that its name says. SQLite is the embedded
default (one host, many threads, several processes); PostgreSQL serves many hosts with the same code.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from certbroker.secret import Sealed
from certbroker.store.accounts import Accounts
from certbroker.store.agreed import Agreed
from certbroker.store.alerts import Alerts
from certbroker.store.birth import prepare
from certbroker.store.ca_limits import CaLimits
from certbroker.store.declared import Declared, said_digest
from certbroker.store.deployments import Deployments
from certbroker.store.due import Due
from certbroker.store.findings import Findings
from certbroker.store.forgetting import Forgetting
from certbroker.store.handovers import Handovers
from certbroker.store.labels import Labels
from certbroker.store.leases import Lease, Leases
from certbroker.store.looks import Looks
from certbroker.store.measured import At, LooksAt, Measured, Moments, Ordered
from certbroker.store.orders import Orders
from certbroker.store.passed import Passed
from certbroker.store.pins import Pins
from certbroker.store.published import Published
from certbroker.store.retention import Retention
from certbroker.store.rows import (
    Account,
    AlertRow,
    ClaimRow,
    DeploymentRow,
    DriftChange,
    DriftRow,
    DueRow,
    FindingRow,
    FindingState,
    HandoverPhase,
    HandoverRow,
    HistoryRow,
    InForce,
    LabelRow,
    LeaseRow,
    MuteRow,
    NewOrderRow,
    NewVersion,
    OrderRow,
    OrderState,
    PinRow,
    Placed,
    PublishedRow,
    Purpose,
    RunRow,
    SeenRow,
    Swept,
    TakenIn,
    Variant,
)
from certbroker.store.standings import TallyRow
from certbroker.store.versions import Versions
from certbroker.world import Clock

__all__ = [
    "Account",
    "AlertRow",
    "At",
    "ClaimRow",
    "DeploymentRow",
    "DriftChange",
    "DriftRow",
    "DueRow",
    "FindingRow",
    "FindingState",
    "HandoverPhase",
    "HandoverRow",
    "HistoryRow",
    "InForce",
    "LabelRow",
    "Lease",
    "LeaseRow",
    "LooksAt",
    "Moments",
    "MuteRow",
    "NewOrderRow",
    "NewVersion",
    "OrderRow",
    "OrderState",
    "Ordered",
    "PinRow",
    "Placed",
    "PublishedRow",
    "Purpose",
    "RunRow",
    "Sealed",
    "SeenRow",
    "Store",
    "Swept",
    "TakenIn",
    "TallyRow",
    "Variant",
    "said_digest",
]


class Store(
    Declared,
    Versions,
    Accounts,
    Orders,
    CaLimits,
    Passed,
    Pins,
    Agreed,
    Alerts,
    Handovers,
    Published,
    Deployments,
    Forgetting,
    Looks,
    Due,
    Findings,
    Labels,
    Leases,
    Measured,
    Retention,
):
    """Open one with `Store.open`. All methods may be called from any thread; all raise StoreError when it refuses."""

    id: str
    """8 hex digits, made with the store; objects at targets carry it in their names."""

    @classmethod
    def open(cls, url: str, clock: Clock) -> Self:
        """Open, make or migrate it.

        Args:
            url: `sqlite:////folder/store.db` or `postgresql://user@host/database`.

        Raises:
            StoreError: it cannot be used, or a newer certbroker has migrated it; it is untouched then.
        """
        store = cls(url, clock)
        try:
            store.id = prepare(store)
        except BaseException:
            store.close()
            raise
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
