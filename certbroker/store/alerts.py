"""What people were told, and what they do not want to hear of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from sqlalchemy import delete, select

from certbroker.store import schema
from certbroker.store.engine import upsert
from certbroker.store.history import History
from certbroker.store.rows import AlertRow, MuteRow

_alert: Final = schema.alert
_mute: Final = schema.mute


class Alerts(History):
    """One row a condition and way; one a mute."""

    def alerts(self) -> list[AlertRow]:
        """All that was told and is not over yet, by key and way."""
        rows = self.rows(select(_alert).order_by(_alert.c.key, _alert.c.way))
        return [AlertRow(**row._mapping) for row in rows]

    def put_alert(self, row: AlertRow) -> None:
        """It was told, for the first time or once more."""
        with self.writing() as connection:
            upsert(connection, _alert, [asdict(row)])

    def drop_alert(self, key: str, way: str) -> None:
        """It was told that it is over."""
        with self.writing() as connection:
            connection.execute(delete(_alert).where(_alert.c.key == key, _alert.c.way == way))

    def mutes(self) -> list[MuteRow]:
        """Those whose time is not over, by name."""
        rows = self.rows(select(_mute).where(_mute.c.until > self.now()).order_by(_mute.c.what))
        return [MuteRow(**row._mapping) for row in rows]

    def put_mute(self, row: MuteRow) -> None:
        """A new one takes the place of the one before; those that are over go."""
        with self.writing() as connection:
            connection.execute(delete(_mute).where(_mute.c.until <= self.now()))
            upsert(connection, _mute, [asdict(row)])

    def drop_mute(self, what: str) -> bool:
        """True if there was one."""
        with self.writing() as connection:
            return connection.execute(delete(_mute).where(_mute.c.what == what)).rowcount > 0
