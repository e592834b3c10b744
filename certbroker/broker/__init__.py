"""The use cases: what the command line, cron and a worker call. Everything here is a selection over one path."""

from certbroker.broker.accounts import (
    AccountView,
    deactivate_account,
    import_account,
    make_account,
    roll_over,
    show_accounts,
)
from certbroker.broker.checks import check
from certbroker.broker.desk import Desk
from certbroker.broker.differences import Difference
from certbroker.broker.drifting import Drifting, drift
from certbroker.broker.findings import Finding
from certbroker.broker.looking import Look, probe
from certbroker.broker.needed import Needed, Records, challenges
from certbroker.broker.opening import home_path, open_desk, open_store, read_config, sqlite_file, store_url
from certbroker.broker.plans import Plans, show
from certbroker.broker.readiness import Ready, ready
from certbroker.broker.report import Entry, Line, Report, State, Trouble, day, minute, readable, served_now
from certbroker.broker.revoking import revoke
from certbroker.broker.rollback import lift, rollback
from certbroker.broker.runs import issue, push, renew
from certbroker.broker.views import Status, explain, status, told

__all__ = [
    "AccountView",
    "Desk",
    "Difference",
    "Drifting",
    "Entry",
    "Finding",
    "Line",
    "Look",
    "Needed",
    "Plans",
    "Ready",
    "Records",
    "Report",
    "State",
    "Status",
    "Trouble",
    "challenges",
    "check",
    "day",
    "deactivate_account",
    "drift",
    "explain",
    "home_path",
    "import_account",
    "issue",
    "lift",
    "make_account",
    "minute",
    "open_desk",
    "open_store",
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
    "told",
]
