"""Which issuers are passed over for a variant, and until when: the next run does not knock at a door that was shut just now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, select

from certbroker.events import Event
from certbroker.failover import Cause, PassedOver
from certbroker.model import KeyType
from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.history import History

_table: Final = schema.passed_over


class Passed(History):
    """One row per certificate, key type and issuer; a version from that issuer ends it (`add_version`)."""

    def put_passed(self, certificate: str, key_type: KeyType, passed: PassedOver, events: Sequence[Event] = ()) -> None:
        """What was remembered of the same issuer before is replaced."""
        row = {
            "certificate": certificate,
            "key_type": key_type.value,
            "issuer": passed.issuer,
            "cause": passed.cause.value,
            "since": passed.since,
            "until": passed.until,
            "why": passed.why,
            "times": passed.times,
        }
        with self.writing(events) as connection:
            upsert(connection, _table, [row])

    def passed(self, certificate: str, key_type: KeyType) -> list[PassedOver]:
        """Also those whose time is over, by issuer."""
        mine = (_table.c.certificate == certificate) & (_table.c.key_type == key_type.value)
        return [_as_passed(row) for row in self.rows(select(_table).where(mine).order_by(_table.c.issuer))]

    def passed_now(self, now: datetime) -> list[tuple[str, PassedOver]]:
        """Of all certificates, those that are in force at `now`."""
        rows = self.rows(select(_table).where(_table.c.until > now).order_by(_table.c.certificate, _table.c.issuer))
        return [(row.certificate, _as_passed(row)) for row in rows]


def _as_passed(row: Row[Any]) -> PassedOver:
    return PassedOver(row.issuer, Cause(row.cause), row.since, row.until, row.why, row.times)
