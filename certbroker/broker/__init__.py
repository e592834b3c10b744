"""The use cases: what the command line, cron and a worker call. Everything here is a selection over one path.

A command pays for what it uses: each name is imported with its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from certbroker.broker.accounts import (
        AccountView,
        deactivate_account,
        import_account,
        make_account,
        roll_over,
        show_accounts,
    )
    from certbroker.broker.authority import Permissions, permissions
    from certbroker.broker.checks import check
    from certbroker.broker.desk import Desk
    from certbroker.broker.drifted import Difference
    from certbroker.broker.drifting import Drifting, drift
    from certbroker.broker.findings import Finding
    from certbroker.broker.forgetting import Forgotten, forget, forget_host
    from certbroker.broker.looking import Look, probe
    from certbroker.broker.needed import Needed, Records, challenges
    from certbroker.broker.opening import (
        beside_store,
        home_path,
        open_desk,
        open_store,
        read_config,
        sqlite_file,
        store_url,
    )
    from certbroker.broker.ownership import Ownership, who_owns
    from certbroker.broker.plans import Plans, show
    from certbroker.broker.readiness import Ready, ready
    from certbroker.broker.report import Entry, Line, Report, State, Trouble, day, minute, readable, served_now
    from certbroker.broker.revoking import revoke
    from certbroker.broker.rolling_back import lift, rollback
    from certbroker.broker.runs import issue, push, renew
    from certbroker.broker.views import Status, explain, status

__all__ = [
    "AccountView",
    "Desk",
    "Difference",
    "Drifting",
    "Entry",
    "Finding",
    "Forgotten",
    "Line",
    "Look",
    "Needed",
    "Ownership",
    "Permissions",
    "Plans",
    "Ready",
    "Records",
    "Report",
    "State",
    "Status",
    "Trouble",
    "beside_store",
    "challenges",
    "check",
    "day",
    "deactivate_account",
    "drift",
    "explain",
    "forget",
    "forget_host",
    "home_path",
    "import_account",
    "issue",
    "lift",
    "make_account",
    "minute",
    "open_desk",
    "open_store",
    "permissions",
    "probe",
    "push",
    "read_config",
    "readable",
    "ready",
    "renew",
    "revoke",
    "roll_over",
    "rollback",
    "served_now",
    "show",
    "show_accounts",
    "sqlite_file",
    "status",
    "store_url",
    "who_owns",
]


_PLACES: Final = {
    "accounts": "AccountView deactivate_account import_account make_account roll_over show_accounts",
    "authority": "Permissions permissions",
    "checks": "check",
    "desk": "Desk",
    "drifted": "Difference",
    "drifting": "Drifting drift",
    "findings": "Finding",
    "forgetting": "Forgotten forget forget_host",
    "looking": "Look probe",
    "needed": "Needed Records challenges",
    "opening": "beside_store home_path open_desk open_store read_config sqlite_file store_url",
    "ownership": "Ownership who_owns",
    "plans": "Plans show",
    "readiness": "Ready ready",
    "report": "Entry Line Report State Trouble day minute readable served_now",
    "revoking": "revoke",
    "rolling_back": "lift rollback",
    "runs": "issue push renew",
    "views": "Status explain status",
}


def __getattr__(name: str) -> Any:
    place = next((place for place, names in _PLACES.items() if name in names.split()), None)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{place}"), name)
