"""The tables. Times are aware UTC datetimes; fingerprints are hex; JSON columns hold what `model` can rebuild.

Everything is keyed so that several key types and several names per target fit: a *variant* is certificate x key type, a
*deployment* is version x target x name.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from certbroker.store.columns import Moment, Words

REVISION: Final = "0001"
"""The newest migration this program knows. A store with another one is migrated, or refused if it is newer."""


metadata = MetaData()

_json = JSON(none_as_null=True)
_serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER

meta = Table("meta", metadata, Column("key", String(40), primary_key=True), Column("value", Text, nullable=False))
"""`id` (the store's id), `generation` (how often what is declared has changed)."""

host = Table(
    "host",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("file", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("generation", Integer),
)
"""The digest of the file each host last came with. `generation`: which declaration all of it was part of, if all of it was;
while both are the same (`meta`), only due rows are looked at."""

claim = Table(
    "claim",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("kind", String(16), primary_key=True),  # certificate | target
    Column("name", String(255), primary_key=True),
    Column("digest", String(64), nullable=False),
    Index("claim_name", "kind", "name"),
)
"""What each host's file says of a certificate or target, as a digest of `declared.data`, in force or not."""

declared = Table(
    "declared",
    metadata,
    Column("kind", String(16), primary_key=True),  # certificate | target
    Column("name", String(255), primary_key=True),
    Column("data", _json, nullable=False),
    Column("gone", Moment),
    Index("declared_gone", "gone"),
)
"""What the file declares, as last taken in; `gone` is set when it left the file (an orphan)."""

variant = Table(
    "variant",
    metadata,
    Column("certificate", String(255), primary_key=True),
    Column("key_type", String(16), primary_key=True),
    Column("wanted", ForeignKey("version.id")),
    Column("failures", Integer, nullable=False, default=0),
    Column("failing_since", Moment),
    Column("try_again", Moment),
    Column("finalized", Moment),
    Column("error", Words),
    Column("hint", Words),
    Column("held_until", Moment),
    Column("held_why", Words),
    Index("variant_failing", "failing_since"),
    Index("variant_held", "held_until"),
    Index("variant_wanted", "wanted"),
)
"""What is ordered and renewed as one. `finalized` is the last time a CA was asked to sign, whatever came of it. `held_until`: it is due,
nothing failed, and it is ordered no sooner."""

version = Table(
    "version",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("certificate", String(255), nullable=False),
    Column("key_type", String(16), nullable=False),
    Column("number", Integer, nullable=False),
    Column("issuer", String(64), nullable=False),
    Column("profile", String(64)),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("serial", String(64), nullable=False),
    Column("issued_by", Words, nullable=False),
    Column("names", _json, nullable=False),
    Column("starts", Moment, nullable=False),
    Column("ends", Moment, nullable=False),
    Column("chain_pem", Text, nullable=False),
    Column("roots_pem", Text),
    Column("key_id", String(64), nullable=False),
    Column("key_use", Integer, nullable=False),
    Column("root", Words, nullable=False),
    Column("roots_seen", _json, nullable=False),
    Column("trusted", Boolean, nullable=False),
    Column("rehearsal", Boolean, nullable=False),
    Column("account_uri", Text),
    Column("revoked_at", Moment),
    Column("revoked_for", String(24)),
    Column("made", Moment, nullable=False),
    Column("took", Integer),
    Index("version_certificate", "certificate", "key_type", "number", unique=True),
    Index("version_key", "key_id"),
    sqlite_autoincrement=True,  # an id is bound into the sealed key, and never given out twice
)
"""What was issued or imported. `took`: seconds from its order's start until it was here; imported ones have none."""

sealed = Table(
    "sealed",
    metadata,
    Column("kind", String(16), primary_key=True),  # version | account | rollover | order
    Column("owner", String(400), primary_key=True),  # the row's id, as text
    Column("kid", String(64), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("box", LargeBinary, nullable=False),
)
"""Sealed private keys. The row's kind and owner are bound into the ciphertext: a box moved to another row does not open."""

account = Table(
    "account",
    metadata,
    Column("issuer", String(64), primary_key=True),
    Column("directory", String(255), primary_key=True),
    Column("uri", Text, nullable=False),
    Column("key_type", String(16), nullable=False),
    Column("bound", Boolean, nullable=False),
    Column("made", Moment, nullable=False),
)

issuer = Table(
    "issuer",
    metadata,
    Column("directory", String(255), primary_key=True),
    Column("content", _json, nullable=False),
    Column("at", Moment, nullable=False),
)
"""Cached ACME directories."""

acme_order = Table(
    "acme_order",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("certificate", String(255), nullable=False),
    Column("key_type", String(16), nullable=False),
    Column("issuer", String(64), nullable=False),
    Column("directory", String(255), nullable=False),
    Column("account_uri", Text, nullable=False),
    Column("names", _json, nullable=False),
    Column("profile", String(64)),
    Column("replaces", Words),
    Column("rehearsal", Boolean, nullable=False),
    Column("why", Words, nullable=False),
    Column("exempt", String(8)),  # window | names
    Column("state", String(16), nullable=False),  # planned | placed | presented | answered | finalizing | done | failed
    Column("uri", Text),
    Column("body", _json),
    Column("started", Moment, nullable=False),
    Column("updated", Moment, nullable=False),
    Column("expires", Moment),
    Column("version_id", ForeignKey("version.id")),
    Column("error", Words),
    Column("unproven", _json),
    Index("acme_order_open", "certificate", "key_type", "state"),
    Index("acme_order_state", "state"),
    Index("acme_order_started", "directory", "started"),
    sqlite_autoincrement=True,
)
"""The order journal, written before each step: a process killed anywhere resumes the same order."""

ca_limit = Table(
    "ca_limit",
    metadata,
    Column("directory", String(255), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("until", Moment, nullable=False),
    Column("why", Words, nullable=False),
    Index("ca_limit_until", "until"),
)
"""What a CA told us: nothing more before `until` for that domain, or for the account (`subject` is empty)."""

passed_over = Table(
    "passed_over",
    metadata,
    Column("certificate", String(255), primary_key=True),
    Column("key_type", String(16), primary_key=True),
    Column("issuer", String(64), primary_key=True),
    Column("cause", String(16), nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment, nullable=False),
    Column("why", Words, nullable=False),
    Column("times", Integer, nullable=False),
    Index("passed_over_until", "until"),
)
"""Issuers that are not asked for a variant until then, because another one of its list steps in."""

published = Table(
    "published",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("purpose", String(16), nullable=False),  # challenge | ownership
    Column("kind", String(8), nullable=False),  # txt | http
    Column("order_id", ForeignKey("acme_order.id")),
    Column("certificate", String(255), nullable=False),
    Column("target", String(64)),
    Column("solver", String(64), nullable=False),
    Column("zone", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("value", Text, nullable=False),
    Column("handle", Words),
    Column("state", String(16), nullable=False),  # planned | present | removed
    Column("at", Moment, nullable=False),
    Index("published_state", "state"),
    Index("published_order", "order_id"),
)
"""TXT values and answers over HTTP that we put or were about to put; the clean-up after a crash reads it."""

window = Table(
    "window",
    metadata,
    Column("version_id", ForeignKey("version.id"), primary_key=True),
    Column("start", Moment, nullable=False),
    Column("end", Moment, nullable=False),
    Column("drawn", Moment, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("ask_again", Moment, nullable=False),
    Column("explanation_url", Words),
)

deployment = Table(
    "deployment",
    metadata,
    Column("version_id", ForeignKey("version.id"), primary_key=True),
    Column("target", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("certificate", String(255), nullable=False),
    Column("key_type", String(16), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("since", Moment, nullable=False),
    Column("before", _json),
    Column("before_seen", _json),
    Column("restorable", String(16)),
    Column("begun", Moment),
    Column("pushed", Moment),
    Column("deadline", Moment),
    Column("failures", Integer, nullable=False, default=0),
    Column("try_again", Moment),
    Column("why", Words),
    Column("hint", Words),
    Column("records", _json),
    Index("deployment_certificate", "certificate", "target", "name"),
    Index("deployment_place", "target", "name", "since"),
    Index("deployment_phase", "phase"),
)
"""Version x target x name. `begun` is when its last push began, `before` is what `inspect` said before the push, `before_seen` what each edge served."""

pin = Table(
    "pin",
    metadata,
    Column("certificate", String(255), primary_key=True),
    Column("target", String(64), primary_key=True),
    Column("version_id", ForeignKey("version.id"), nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment, nullable=False),
    Column("why", Words, nullable=False),
    Index("pin_version", "version_id"),
)
"""What a person rolled back: that target keeps to this version, whatever is wanted."""

alert = Table(
    "alert",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("way", String(40), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("subject", Words, nullable=False),
    Column("what", Words, nullable=False),
    Column("since", Moment, nullable=False),
    Column("first", Moment, nullable=False),
    Column("told", Moment, nullable=False),
)
"""What was told, on which way, and when last: the row goes when it was told that it is over."""

mute = Table(
    "mute",
    metadata,
    Column("what", String(255), primary_key=True),
    Column("until", Moment, nullable=False),
    Column("why", Words, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("at", Moment, nullable=False),
)
"""What a person does not want to hear of for a while."""

agreed = Table(
    "agreed",
    metadata,
    Column("certificate", String(255), primary_key=True),
    Column("target", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("live", _json, nullable=False),
    Column("at", Moment, nullable=False),
)
"""What is not ours and may be replaced, because the owner said so once; over as soon as ours is proven there."""
handover = Table(
    "handover",
    metadata,
    Column("certificate", String(255), primary_key=True),
    Column("flow", String(80), primary_key=True),  # takeover | handback TARGET
    Column("step", String(80), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("do", String(16), nullable=False),
    Column("target", String(64)),
    Column("what", Words, nullable=False),
    Column("way_back", Words, nullable=False),
    Column("on_request", Boolean, nullable=False),
    Column("phase", String(16), nullable=False),  # open | begun | waiting | done | undoing | undone
    Column("undo", _json),
    Column("why", Words),
    Column("hint", Words),
    Column("since", Moment, nullable=False),
    Index("handover_phase", "phase"),
)
"""The steps of a takeover or a handback. `undo` is what taking it back needs, written before anything outside is touched."""

tally = Table(
    "tally",
    metadata,
    Column("phase", String(16), primary_key=True),
    Column("many", Integer, nullable=False),
)
"""How many deployments of wanted versions are in that phase."""

standing = Table(
    "standing",
    metadata,
    Column("certificate", String(255), primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("stand", String(16), nullable=False),
    Column("wanted", Words, nullable=False),
    Column("words", Words, nullable=False),
    Column("since", Moment),
    Column("until", Moment),
    Column("ends", Moment),
    Column("renews", Moment),
    Column("act_by", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("length", Integer),
    Column("took", Integer),
    Column("places", Integer, nullable=False),
    Column("served", Integer, nullable=False),
    Index("standing_rank", "rank", "act_by", "certificate"),
    Index("standing_act_by", "act_by", "certificate"),
    Index("standing_renews", "renews", "certificate"),
)
"""How each declared certificate stands, made anew with every row it follows from. `length`, `took`: seconds."""

standing_cell = Table(
    "standing_cell",
    metadata,
    Column("certificate", String(255), primary_key=True),
    Column("target", String(64), primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("stand", String(16), nullable=False),
    Column("standby", Boolean, nullable=False),
    Column("wanted", Words, nullable=False),
    Column("served", Words, nullable=False),
    Column("words", Words, nullable=False),
    Column("since", Moment),
    Column("until", Moment),
    Column("act_by", Moment, nullable=False),
    Column("hint", Words, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("edges", Integer, nullable=False),
    Column("proven", Integer, nullable=False),
    Index("standing_cell_rank", "rank", "certificate", "target"),
    Index("standing_cell_target", "target", "rank", "act_by", "certificate"),
)
"""The same at each of its targets."""

standing_tally = Table(
    "standing_tally",
    metadata,
    Column("target", String(64), primary_key=True),
    Column("stand", String(16), primary_key=True),
    Column("many", Integer, nullable=False),
    Column("edges", Integer, nullable=False),
    Column("proven", Integer, nullable=False),
)
"""How many certificates stand so (`target` is empty), and how many at that target, with their edges."""

seen = Table(
    "seen",
    metadata,
    Column("target", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("edge", String(320), primary_key=True),
    Column("certificate", String(255), nullable=False),
    Column("at", Moment, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("fingerprint", String(64)),
    Column("issued_by", Words),
    Column("ends", Moment),
    Column("detail", Words),
    Column("seconds", Float, nullable=False),
    Index("seen_certificate", "certificate"),
    Index("seen_at", "at"),
)
"""The last look at each edge."""

drift = Table(
    "drift",
    metadata,
    Column("target", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("certificate", String(255), nullable=False),
    Column("cause", String(16), nullable=False),
    Column("state", String(8), nullable=False),  # warn | fail
    Column("wanted", Words, nullable=False),
    Column("said", Words, nullable=False),
    Column("served", Words, nullable=False),
    Column("what", Words, nullable=False),
    Column("now", Words, nullable=False),
    Column("hint", Words, nullable=False),
    Column("since", Moment, nullable=False),
    Column("at", Moment, nullable=False),
    Index("drift_certificate", "certificate"),
)
"""Where the last observation of what stands (committed or delivered) found it not as wanted; what is as wanted has no row."""

due = Table(
    "due",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("subject", String(400), primary_key=True),
    Column("at", Moment, nullable=False),
    Index("due_at", "at"),
    Index("due_kind", "kind", "at"),
)
"""Everything that happens by itself. kind: certificate | window | observe | check | prune; subject: what it is about."""

lease = Table(
    "lease",
    metadata,
    Column("name", String(400), primary_key=True),
    Column("holder", String(255), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("expires", Moment, nullable=False),
)

finding = Table(
    "finding",
    metadata,
    Column("kind", String(16), primary_key=True),  # target | solver | issuer | dns | label | vault | store
    Column("name", String(400), primary_key=True),
    Column("state", String(8), nullable=False),  # ok | warn | fail
    Column("what", Words, nullable=False),
    Column("hint", Words),
    Column("since", Moment, nullable=False),
    Column("at", Moment, nullable=False),
    Index("finding_state", "state"),
)
"""What `check` last found, and since when."""

label = Table(
    "label",
    metadata,
    Column("name", String(320), primary_key=True),
    Column("whose", String(16), nullable=False),
    Column("held_by", Words, nullable=False),
    Column("leads_to", String(255), nullable=False),
    Column("since", Moment, nullable=False),
    Column("at", Moment, nullable=False),
    Column("was", Words),
    Column("was_at", Moment),
    Index("label_at", "at"),
)
"""In whose hands the names are where CAs look for our proofs, as last seen, and whose they were before that."""

run = Table(
    "run",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("started", Moment, nullable=False),
    Column("ended", Moment),
    Column("command", Words, nullable=False),
    Column("host", String(255), nullable=False),
    Column("actor", String(255), nullable=False),
    Column("reason", Words),
    Column("digest", String(64), nullable=False),
    Column("exit_code", Integer),
    Column("summary", Words),
    Index("run_started", "started"),
)

history = Table(
    "history",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("run", String(16)),
    Column("kind", String(32), nullable=False),
    Column("certificate", String(255)),
    Column("target", String(64)),
    Column("name", String(255)),
    Column("data", _json, nullable=False),
    Index("history_at", "at"),
    Index("history_certificate", "certificate", "at"),
    Index("history_target", "target", "at"),
)
