"""Alembic runs this file. The connection, in a transaction, comes from `run.upgrade`."""

from __future__ import annotations

from alembic import context

from certbroker.store import schema

context.configure(
    connection=context.config.attributes["connection"], target_metadata=schema.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
