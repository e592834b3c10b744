"""What the store hands out and takes in: frozen rows, and how `model`'s values lie in JSON columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from certbroker.model import (
    JsonObject,
    JsonValue,
    KeyType,
    Lifetime,
    Live,
    Owner,
    Phase,
    Record,
    Restorable,
    Version,
)
from certbroker.notices import AlertRow as AlertRow
from certbroker.notices import MuteRow as MuteRow
from certbroker.steps import Exemption

OrderState = Literal["planned", "placed", "presented", "answered", "finalizing", "done", "failed"]
RecordState = Literal["planned", "present", "removed"]
Purpose = Literal["challenge", "ownership"]
RecordKind = Literal["txt", "http"]
HandoverPhase = Literal["open", "begun", "waiting", "done", "undoing", "undone"]
FindingState = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What a newly read file changed. Each maps "certificate" and "target" to names, sorted."""

    added: Mapping[str, tuple[str, ...]]
    changed: Mapping[str, tuple[str, ...]]
    gone: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class InForce:
    """What is declared, by name. `generation`: how often that has changed."""

    generation: int
    certificates: Mapping[str, JsonObject]
    targets: Mapping[str, JsonObject]


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """What the file of `host` says of something, as a digest. `last`: when its last run began."""

    host: str
    last: datetime
    kind: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Variant:
    """What is ordered and renewed as one. `finalized`: when a CA was last asked to sign, whatever came of it."""

    certificate: str
    key_type: KeyType
    wanted: Version | None = None
    failures: int = 0
    failing_since: datetime | None = None
    try_again: datetime | None = None
    finalized: datetime | None = None
    error: str | None = None
    hint: str | None = None
    held_until: datetime | None = None
    """It is due and nothing failed, but it is not ordered before this moment."""
    held_why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A version before the store has given it its id and number."""

    certificate: str
    key_type: KeyType
    issuer: str
    profile: str | None
    fingerprint: str
    serial: int
    issued_by: str
    names: tuple[str, ...]
    lifetime: Lifetime
    chain_pem: str
    roots_pem: str | None
    trusted: bool
    rehearsal: bool = False
    account_uri: str | None = None
    key_id: str = ""
    root: str = ""
    roots_seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """An ACME account. Its key is the sealed row ("account", "ISSUER DIRECTORY")."""

    issuer: str
    directory: str
    uri: str
    key_type: KeyType
    bound: bool
    """We made it with an external account binding."""
    made: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrderRow:
    """An order about to be placed."""

    certificate: str
    key_type: KeyType
    issuer: str
    directory: str
    account_uri: str
    names: tuple[str, ...]
    profile: str | None
    replaces: str | None
    rehearsal: bool
    why: str
    exempt: Exemption | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow(NewOrderRow):
    """An order in the journal. It is open until its state is "done" or "failed"."""

    id: int
    state: OrderState
    uri: str | None
    body: JsonObject | None
    started: datetime
    updated: datetime
    expires: datetime | None
    version_id: int | None
    error: str | None
    unproven: tuple[str, ...] = ()
    """Names whose proof the CA did not accept."""


class OrderChanges(TypedDict, total=False):
    """What `update_order` may set; what is left out stays, None empties."""

    state: OrderState
    account_uri: str
    replaces: str | None
    exempt: Exemption | None
    uri: str | None
    body: JsonObject | None
    expires: datetime | None
    error: str | None
    unproven: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """One TXT value or answer over HTTP that we put or were about to put."""

    id: int
    purpose: Purpose
    kind: RecordKind
    order_id: int | None
    certificate: str
    target: str | None
    solver: str
    zone: str
    name: str
    value: str
    handle: str | None
    state: RecordState
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRow:
    """One version on one target for one name. `before_seen`: what each edge served before the push, "" for nothing."""

    version_id: int
    target: str
    name: str
    certificate: str
    key_type: KeyType
    phase: Phase
    since: datetime
    before: Live | None = None
    before_seen: Mapping[str, str] = field(default_factory=dict)
    restorable: Restorable | None = None
    begun: datetime | None = None
    pushed: datetime | None = None
    deadline: datetime | None = None
    failures: int = 0
    try_again: datetime | None = None
    why: str | None = None
    hint: str | None = None
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRow:
    """The last look at one edge for one name. `verdict` is the probe's."""

    target: str
    name: str
    edge: str
    certificate: str
    at: datetime
    verdict: str
    fingerprint: str | None = None
    issued_by: str | None = None
    ends: datetime | None = None
    detail: str | None = None
    seconds: float = 0.0
    """How long the look took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRow:
    """A name on a target that was found not as wanted: the cause, and in words what is wanted, said and served.

    `since`: when this cause was first found; `at`: when the look began that found it last.
    """

    target: str
    name: str
    certificate: str
    cause: str
    state: FindingState
    """"warn": the cause is only that nobody could find out."""
    wanted: str
    said: str
    served: str
    what: str
    now: str
    hint: str
    since: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class DriftChange:
    """What an observation changed: names that are not as wanted now (or for another cause), and those that are again."""

    begun: tuple[DriftRow, ...] = ()
    over: tuple[DriftRow, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelRow:
    """In whose hands a name is where a CA looks for our proof. `since`: first seen so; `at`: last seen so."""

    name: str
    whose: str
    held_by: str
    leads_to: str
    since: datetime
    at: datetime
    was: str | None = None
    """Whose it was before that, in words, and when it was last seen so."""
    was_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A version that was put on a target for a name, and is there as far as we know."""

    certificate: str
    target: str
    name: str
    version_id: int


@dataclass(frozen=True, slots=True)
class PinRow:
    """That target keeps to this version until `until`, because a person said so."""

    certificate: str
    target: str
    version_id: int
    since: datetime
    until: datetime
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverRow:
    """One step of a takeover or a handback."""

    certificate: str
    flow: str
    step: str
    number: int
    do: str
    target: str | None
    what: str
    way_back: str
    """How it is taken back, in words; empty if there is nothing to take back."""
    on_request: bool
    phase: HandoverPhase
    since: datetime
    undo: JsonObject | None = None
    """What taking it back needs."""
    why: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class DueRow:
    """Something that happens by itself at `at`. kind: certificate | window | observe | check | prune."""

    kind: str
    subject: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FindingRow:
    """What a check last found, and since when it is so."""

    kind: str
    name: str
    state: FindingState
    what: str
    hint: str | None
    since: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class RunRow:
    """One invocation that may change something. `ended` is None while it runs, or when it was killed."""

    id: str
    started: datetime
    ended: datetime | None
    command: str
    host: str
    actor: str
    reason: str | None
    digest: str
    exit_code: int | None
    summary: str | None


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One event as it was recorded."""

    id: int
    at: datetime
    run: str | None
    kind: str
    certificate: str | None
    target: str | None
    name: str | None
    data: JsonObject


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Who works on what, by the database's clock."""

    name: str
    holder: str
    fence: int
    expires: datetime


@dataclass(frozen=True, slots=True)
class Swept:
    """How many rows a pruning removed."""

    versions: int
    orders: int
    records: int
    looks: int
    history: int
    runs: int


def plain(value: JsonValue) -> JsonValue:
    """As it comes back from a JSON column: tuples become lists. Raises TypeError for what JSON does not know."""
    return json.loads(json.dumps(value))


def encode_live(live: Live | None) -> dict[str, Any] | None:
    """As JSON. The serial is text: up to 20 bytes are more than some JSON readers keep exactly."""
    if live is None:
        return None
    return {
        "owner": live.owner.value,
        "restorable": live.restorable.value,
        "reference": live.reference,
        "fingerprint": live.fingerprint,
        "serial": None if live.serial is None else f"{live.serial:x}",
        "issued_by": live.issued_by,
        "ends": None if live.ends is None else live.ends.astimezone(UTC).isoformat(),
        "store": live.store,
        "pending": encode_records(live.pending),
    }


def decode_live(value: Mapping[str, Any] | None) -> Live | None:
    """The reverse of `encode_live`."""
    if value is None:
        return None
    return Live(
        owner=Owner(value["owner"]),
        restorable=Restorable(value["restorable"]),
        reference=value["reference"],
        fingerprint=value["fingerprint"],
        serial=None if value["serial"] is None else int(value["serial"], 16),
        issued_by=value["issued_by"],
        ends=None if value["ends"] is None else datetime.fromisoformat(value["ends"]),
        store=value["store"],
        pending=decode_records(value["pending"]),
    )


def encode_records(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [{"name": r.name, "type": r.type, "values": list(r.values), "separator": r.separator} for r in records]


def decode_records(value: Sequence[Mapping[str, Any]] | None) -> tuple[Record, ...]:
    return tuple(Record(r["name"], r["type"], tuple(r["values"]), r["separator"]) for r in value or ())
