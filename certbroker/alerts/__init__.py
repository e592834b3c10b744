"""Telling people: what needs somebody goes to whom the file names, once, daily while it lasts, and when it is over."""

from __future__ import annotations

from certbroker.alerts.announcing import announced
from certbroker.alerts.spare import Spare
from certbroker.alerts.telling import Herald, Outcome

__all__ = ["Herald", "Outcome", "Spare", "announced"]
