"""Proofs as we plan and put them, in DNS or over HTTP, and the journal that knows of each before it exists."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from certbroker.events import Event

Purpose = Literal["challenge", "ownership"]
Kind = Literal["txt", "http"]


@dataclass(frozen=True, slots=True)
class Landing:
    """Where a TXT asked for at `asked` has to be written: at `name`, in `zone`, by `solver`."""

    asked: str
    name: str
    zone: str
    solver: str


@dataclass(frozen=True, slots=True)
class Txt:
    """One TXT value to publish. `name` is the name asked for, e.g. `_acme-challenge.example.com`."""

    purpose: Purpose
    certificate: str
    target: str | None
    order_id: int | None
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One key authorization to answer with over HTTP. `name` is the DNS name or IP address that is proven."""

    certificate: str
    order_id: int | None
    name: str
    value: str


def purpose_of(record: Txt | HttpAnswer) -> Purpose:
    return "challenge" if isinstance(record, HttpAnswer) else record.purpose


class Row(Protocol):
    """One row of the journal: a value we put or were about to put. `zone` is empty for an answer over HTTP."""

    @property
    def id(self) -> int: ...
    @property
    def purpose(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def order_id(self) -> int | None: ...
    @property
    def certificate(self) -> str: ...
    @property
    def target(self) -> str | None: ...
    @property
    def solver(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def handle(self) -> str | None: ...
    @property
    def state(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Placed:
    """A row of the journal as it is after publishing."""

    id: int
    purpose: str
    kind: Kind
    order_id: int | None
    certificate: str
    target: str | None
    solver: str
    zone: str
    name: str
    value: str
    handle: str | None
    state: str

    @classmethod
    def of(cls, row: Row) -> Placed:
        return cls(
            row.id,
            row.purpose,
            row.kind,
            row.order_id,
            row.certificate,
            row.target,
            row.solver,
            row.zone,
            row.name,
            row.value,
            row.handle,
            row.state,
        )


class Journal(Protocol):
    """Where rows are kept; the store fits."""

    def together(self) -> AbstractContextManager[None]:
        """What is written in the block is one transaction."""
        ...

    def plan_record(
        self,
        purpose: Purpose,
        *,
        kind: Kind = "txt",
        order_id: int | None,
        certificate: str,
        target: str | None,
        solver: str,
        zone: str,
        name: str,
        value: str,
    ) -> Row: ...

    def record_present(self, id: int, handle: str | None, *, events: Sequence[Event] = ()) -> None: ...

    def record_removed(self, id: int, *, events: Sequence[Event] = ()) -> None: ...

    def unremoved(self, purpose: Purpose | None = None, order_id: int | None = None) -> Sequence[Row]: ...


def identity(row: Row) -> tuple[object, ...]:
    """What makes two rows the same."""
    return (row.purpose, row.kind, row.order_id, row.certificate, row.target, row.solver, row.name, row.value)
