"""Variants and versions: what was issued, what is wanted, and how ordering it went."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from certbroker.errors import StoreError
from certbroker.events import Event
from certbroker.model import KeyType, Lifetime, RevocationReason, Version
from certbroker.secret import Sealed
from certbroker.store import schema
from certbroker.store.boxes import Boxes
from certbroker.store.engine import ensure, upsert
from certbroker.store.rows import NewVersion, Variant
from certbroker.store.tally import Tally

_version: Final = schema.version
_variant: Final = schema.variant

_V: Final = "v_"

_VARIANTS: Final = select(_variant, *(column.label(_V + column.name) for column in _version.c)).select_from(
    _variant.outerjoin(_version, _variant.c.wanted == _version.c.id)
)
"""Variants, each with its wanted version."""

NewEvents = Sequence[Event] | Callable[[Version], Sequence[Event]]
"""Events of a version that gets its number only now."""


class Versions(Boxes, Tally):
    """Per certificate and key type, versions count from 1 and one is wanted."""

    def variant(self, certificate: str, key_type: KeyType) -> Variant:
        """As it stands; one that was never ordered has all defaults."""
        row = self.row(_VARIANTS.where(_is(certificate, key_type)))
        return Variant(certificate, key_type) if row is None else _as_variant(row)

    def roots(self) -> Mapping[int, str]:
        """By version: the roots (PEM) that it is judged by, where those are not the system's. Equal ones are one text."""
        once: dict[str, str] = {}
        rows = self.rows(
            select(schema.version.c.id, schema.version.c.roots_pem).where(schema.version.c.roots_pem.is_not(None))
        )
        return {row.id: once.setdefault(row.roots_pem, row.roots_pem) for row in rows}

    def variants(self, certificate: str) -> Mapping[KeyType, Variant]:
        """Those that were ever ordered, by key type."""
        mine = _VARIANTS.where(_variant.c.certificate == certificate)
        rows = self.rows(mine.order_by(_variant.c.key_type))
        return {found.key_type: found for found in map(_as_variant, rows)}

    def variants_of(self, certificates: Collection[str]) -> list[Variant]:
        """Those of many certificates, by certificate and key type."""
        mine = _VARIANTS.where(_variant.c.certificate.in_(certificates))
        rows = self.rows(mine.order_by(_variant.c.certificate, _variant.c.key_type))
        return [_as_variant(row) for row in rows]

    def failing_variants(self) -> list[tuple[str, KeyType, Variant]]:
        """Whose last order failed, the longest first."""
        failing = _VARIANTS.where(_variant.c.failing_since.is_not(None)).order_by(_variant.c.failing_since)
        return [(found.certificate, found.key_type, found) for found in map(_as_variant, self.rows(failing))]

    def held_variants(self, now: datetime) -> list[Variant]:
        """That are due, and put off beyond `now`; the longest last."""
        held = _VARIANTS.where(_variant.c.held_until > now).order_by(_variant.c.held_until, _variant.c.certificate)
        return list(map(_as_variant, self.rows(held)))

    def mark_finalizing(self, certificate: str, key_type: KeyType, events: Sequence[Event] = ()) -> None:
        """A CA is about to be asked to sign. Written before the request, so that no crash gets under the least interval."""
        self._change(certificate, key_type, events, finalized=self.now())

    def unmark_finalizing(self, certificate: str, key_type: KeyType) -> None:
        """The CA refused to sign, in so many words: nothing was signed, and another CA may be asked at once."""
        self._change(certificate, key_type, (), finalized=None)

    def order_failed(
        self,
        certificate: str,
        key_type: KeyType,
        *,
        error: str,
        hint: str | None,
        try_again: datetime | None,
        events: Sequence[Event] = (),
    ) -> None:
        """One more failure in a row."""
        self._change(
            certificate,
            key_type,
            events,
            error=error,
            hint=hint,
            try_again=try_again,
            failures=_variant.c.failures + 1,
            failing_since=func.coalesce(_variant.c.failing_since, self.now()),
        )

    def order_held(self, certificate: str, key_type: KeyType, until: datetime | None, why: str | None) -> None:
        """It is not ordered before `until`, though it is due; None: nothing holds it back."""
        self._change(certificate, key_type, (), held_until=until, held_why=why)

    def order_cleared(self, certificate: str, key_type: KeyType, events: Sequence[Event] = ()) -> None:
        """It does not fail any more."""
        self._change(certificate, key_type, events, **_CLEAR)

    def add_version(
        self,
        draft: NewVersion,
        make_box: Callable[[int], Sealed],
        *,
        order_id: int | None = None,
        events: NewEvents = (),
    ) -> Version:
        """Keep what a CA signed, whole or not at all: version, sealed key, wanted (unless a rehearsal), order done.

        Args:
            make_box: seals the key for the new version's id; called inside the transaction, so it must not use the store.
            order_id: the journal's order that ends here; its own sealed key ("order", id) goes.

        Raises:
            StoreError: also if this very certificate is held already.
        """
        with self.restanding(names={draft.certificate}) as (connection, _):
            if self.first(connection, select(_version.c.id).where(_version.c.fingerprint == draft.fingerprint)):
                raise StoreError(f"the store holds the certificate {draft.fingerprint[:12]} already")
            until_now = self._lock(connection, draft.certificate, draft.key_type)
            same = (_version.c.certificate == draft.certificate) & (_version.c.key_type == draft.key_type.value)
            newest = self.first(connection, select(func.max(_version.c.number).label("number")).where(same))
            number = ((newest.number if newest else None) or 0) + 1
            shared = _version.c.key_id == draft.key_id, _version.c.rehearsal == draft.rehearsal
            before = self.first(connection, select(func.max(_version.c.key_use).label("key_use")).where(same, *shared))
            key_use = ((before.key_use if before and draft.key_id else None) or 0) + 1
            made_at = self.now()
            row_of_it = {**_as_row(draft), "number": number, "key_use": key_use, "made": made_at}
            order = schema.acme_order
            if order_id is not None:
                begun = self.first(connection, select(order.c.started).where(order.c.id == order_id))
                row_of_it["took"] = None if begun is None else math.ceil((made_at - begun.started).total_seconds())
            new_id = connection.execute(insert(_version).values(row_of_it).returning(_version.c.id)).scalar_one()
            self._put_box(connection, "version", str(new_id), make_box(new_id))
            if not draft.rehearsal:
                row = update(_variant).where(_is(draft.certificate, draft.key_type))
                with self.counted(connection, [new_id] if until_now is None else [until_now, new_id]):
                    connection.execute(row.values(**_CLEAR, wanted=new_id))
                passed = schema.passed_over
                mine = (passed.c.certificate == draft.certificate) & (passed.c.key_type == draft.key_type.value)
                connection.execute(delete(passed).where(mine, passed.c.issuer == draft.issuer))
            if order_id is not None:
                connection.execute(
                    update(order)
                    .where(order.c.id == order_id)
                    .values(state="done", version_id=new_id, updated=self.now(), error=None)
                )
                self._drop_box(connection, "order", str(order_id))
            [found] = self.fetch(connection, select(_version).where(_version.c.id == new_id))
            made = as_version(found)
            self.append(connection, events(made) if callable(events) else events)
        return made

    def version(self, id: int) -> Version | None:
        return self._one(_version.c.id == id)

    def by_fingerprint(self, fingerprint: str) -> Version | None:
        return self._one(_version.c.fingerprint == fingerprint)

    def versions(self, certificate: str, key_type: KeyType | None = None) -> list[Version]:
        """Newest first, rehearsals included."""
        statement = select(_version).where(_version.c.certificate == certificate).order_by(_version.c.id.desc())
        if key_type is not None:
            statement = statement.where(_version.c.key_type == key_type.value)
        return [as_version(row) for row in self.rows(statement)]

    def all_fingerprints(self, certificate: str) -> frozenset[str]:
        """Of every version held."""
        rows = self.rows(select(_version.c.fingerprint).where(_version.c.certificate == certificate))
        return frozenset(row.fingerprint for row in rows)

    def revoked(self, version_id: int, at: datetime, reason: RevocationReason, events: Sequence[Event] = ()) -> None:
        """The CA revoked it at `at`, and its certificate is due at once. The first time told stands, and a compromise stays one."""
        compromised = RevocationReason.KEY_COMPROMISE.value
        with self.restanding(events) as (connection, touched):
            mine = _version.c.id == version_id
            connection.execute(update(_version).where(mine, _version.c.revoked_at.is_(None)).values(revoked_at=at))
            worse = _version.c.revoked_for.is_(None) | (_version.c.revoked_for != compromised)
            connection.execute(update(_version).where(mine, worse).values(revoked_for=reason.value))
            found = self.first(connection, select(_version.c.certificate).where(mine, _version.c.rehearsal.is_(False)))
            if found is not None:
                touched.add(found.certificate)
                upsert(connection, schema.due, [{"kind": "certificate", "subject": found.certificate, "at": at}])

    def key_revoked(self, key_id: str) -> bool:
        """Whether a certificate with this key was revoked: then nobody knows who else has it."""
        revoked = select(_version.c.id).where(_version.c.key_id == key_id, _version.c.revoked_at.is_not(None)).limit(1)
        return self.row(revoked) is not None

    def _one(self, condition: Any) -> Version | None:
        row = self.row(select(_version).where(condition))
        return None if row is None else as_version(row)

    def _change(self, certificate: str, key_type: KeyType, events: Sequence[Event], **values: Any) -> None:
        with self.restanding(events, {certificate}) as (connection, _):
            self._lock(connection, certificate, key_type)
            connection.execute(update(_variant).where(_is(certificate, key_type)).values(**values))

    def _lock(self, connection: Connection, certificate: str, key_type: KeyType) -> int | None:
        """The variant's row is there and ours until the end: two writers cannot give out one number. What it wants."""
        ensure(connection, _variant, {"certificate": certificate, "key_type": key_type.value, "failures": 0})
        mine = select(_variant.c.wanted).where(_is(certificate, key_type)).with_for_update()
        row = self.first(connection, mine)
        return None if row is None else row.wanted


def _is(certificate: str, key_type: KeyType) -> ColumnElement[bool]:
    return (_variant.c.certificate == certificate) & (_variant.c.key_type == key_type.value)


_CLEAR: Final[Mapping[str, Any]] = {
    "failures": 0,
    "failing_since": None,
    "try_again": None,
    "error": None,
    "hint": None,
    "held_until": None,
    "held_why": None,
}


def as_version(row: Row[Any], prefix: str = "") -> Version:
    """From its columns, which may carry a prefix in a join."""
    of = row._mapping
    return Version(
        id=of[prefix + "id"],
        certificate=of[prefix + "certificate"],
        key_type=KeyType(of[prefix + "key_type"]),
        number=of[prefix + "number"],
        issuer=of[prefix + "issuer"],
        profile=of[prefix + "profile"],
        fingerprint=of[prefix + "fingerprint"],
        serial=int(of[prefix + "serial"], 16),
        issued_by=of[prefix + "issued_by"],
        names=tuple(of[prefix + "names"]),
        lifetime=Lifetime(of[prefix + "starts"], of[prefix + "ends"]),
        chain_pem=of[prefix + "chain_pem"],
        roots_pem=of[prefix + "roots_pem"],
        trusted=of[prefix + "trusted"],
        rehearsal=of[prefix + "rehearsal"],
        account_uri=of[prefix + "account_uri"],
        revoked_at=of[prefix + "revoked_at"],
        key_id=of[prefix + "key_id"],
        key_use=of[prefix + "key_use"],
        revoked_for=None if (why := of[prefix + "revoked_for"]) is None else RevocationReason(why),
        root=of[prefix + "root"],
        roots_seen=tuple(of[prefix + "roots_seen"]),
    )


def _as_row(draft: NewVersion) -> dict[str, Any]:
    return {
        "certificate": draft.certificate,
        "key_type": draft.key_type.value,
        "issuer": draft.issuer,
        "profile": draft.profile,
        "fingerprint": draft.fingerprint,
        "serial": f"{draft.serial:x}",
        "issued_by": draft.issued_by,
        "names": list(draft.names),
        "starts": draft.lifetime.starts,
        "ends": draft.lifetime.ends,
        "chain_pem": draft.chain_pem,
        "roots_pem": draft.roots_pem,
        "key_id": draft.key_id,
        "root": draft.root,
        "roots_seen": list(draft.roots_seen),
        "trusted": draft.trusted,
        "rehearsal": draft.rehearsal,
        "account_uri": draft.account_uri,
    }


def _as_variant(row: Row[Any]) -> Variant:
    return Variant(
        certificate=row.certificate,
        key_type=KeyType(row.key_type),
        wanted=None if row.wanted is None else as_version(row, _V),
        failures=row.failures,
        failing_since=row.failing_since,
        try_again=row.try_again,
        finalized=row.finalized,
        error=row.error,
        hint=row.hint,
        held_until=row.held_until,
        held_why=row.held_why,
    )
