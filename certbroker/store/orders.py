"""The order journal, written before each step: a process killed anywhere resumes the same order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Unpack

from sqlalchemy import Row, insert, select, update

from certbroker.events import Event
from certbroker.model import KeyType
from certbroker.store import schema
from certbroker.store.history import History
from certbroker.store.rows import NewOrderRow, OrderChanges, OrderRow

_table: Final = schema.acme_order
_OPEN: Final = _table.c.state.in_(("planned", "placed", "presented", "answered", "finalizing"))


class Orders(History):
    """An order is open until it is "done" or "failed"; `add_version` makes it done."""

    def start_order(self, new: NewOrderRow, events: Sequence[Event] = ()) -> OrderRow:
        """State "planned": nothing was sent yet."""
        now = self.now()
        values = {
            "certificate": new.certificate,
            "key_type": new.key_type.value,
            "issuer": new.issuer,
            "directory": new.directory,
            "account_uri": new.account_uri,
            "names": list(new.names),
            "profile": new.profile,
            "replaces": new.replaces,
            "rehearsal": new.rehearsal,
            "why": new.why,
            "exempt": new.exempt,
        }
        with self.writing(events) as connection:
            row = connection.execute(
                insert(_table).values(**values, state="planned", started=now, updated=now).returning(_table)
            ).one()
        return _as_order(row)

    def update_order(self, id: int, events: Sequence[Event] = (), **changes: Unpack[OrderChanges]) -> None:
        """Set what is given."""
        with self.writing(events) as connection:
            connection.execute(update(_table).where(_table.c.id == id).values(**changes, updated=self.now()))

    def order(self, id: int) -> OrderRow | None:
        row = self.row(select(_table).where(_table.c.id == id))
        return None if row is None else _as_order(row)

    def directory_of(self, version_id: int) -> str | None:
        """The directory of the CA that signed a version, as the journal has it."""
        row = self.row(select(_table.c.directory).where(_table.c.version_id == version_id))
        return None if row is None else str(row.directory)

    def open_orders_of(self, certificate: str, key_type: KeyType, *, rehearsal: bool) -> list[OrderRow]:
        """Those that are neither done nor failed, the newest first: more than one while another issuer steps in."""
        rows = self.rows(
            select(_table)
            .where(
                _table.c.certificate == certificate,
                _table.c.key_type == key_type.value,
                _table.c.rehearsal == rehearsal,
                _OPEN,
            )
            .order_by(_table.c.id.desc())
        )
        return [_as_order(row) for row in rows]

    def open_orders(self) -> list[OrderRow]:
        """Oldest first."""
        return [_as_order(row) for row in self.rows(select(_table).where(_OPEN).order_by(_table.c.id))]


def _as_order(row: Row[Any]) -> OrderRow:
    return OrderRow(
        **{
            **row._mapping,
            "key_type": KeyType(row.key_type),
            "names": tuple(row.names),
            "unproven": tuple(row.unproven or ()),
        }
    )
