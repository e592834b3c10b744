"""A run in the history, from its start to its exit code."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from certbroker import events
from certbroker.broker.desk import Desk
from certbroker.broker.findings import remember, unopened
from certbroker.broker.telling import Run
from certbroker.errors import CertbrokerError, IssuanceError, LeaseHeld, ProviderError, VaultError


@contextmanager
def running(desk: Desk, command: str, reason: str | None) -> Iterator[Run]:
    """An error ends the run too. `reason`: why, in the words of whoever asked."""
    world, store = desk.world, desk.store
    desk.began = True
    run = Run(desk, _run_id(desk), world.clock.now(), world.clock.monotonic())
    store.begin_run(
        run.id,
        command=command,
        actor=world.actor,
        host=world.host,
        reason=reason,
        digest=desk.config.digest,
        started=run.started,
    )
    desk.emit(
        events.RunStarted(
            at=run.started,
            command=command,
            actor=world.actor,
            host=world.host,
            reason=reason,
            digest=desk.config.digest,
        )
    )
    try:
        yield run
    except CertbrokerError as error:
        if isinstance(error, VaultError):
            remember(desk, unopened(desk, error))
        exit_code = 0 if isinstance(error, LeaseHeld) else 1 if isinstance(error, IssuanceError | ProviderError) else 2
        run.end(exit_code, error.what)
        raise


def _run_id(desk: Desk) -> str:
    """Short enough to be said aloud, so it may be one that the history has already: then another."""
    while True:
        drawn = "".join(desk.world.random.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(6))
        if not desk.store.knows_run(drawn):
            return drawn


def bug(desk: Desk, certificate: str, error: Exception) -> str:
    """Record something that we did not foresee; returns it in words. The other certificates go on, and the run ends 1."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    text = f"{type(error).__name__}: {error}"
    event = events.Bug(at=desk.world.clock.now(), certificate=certificate, error=text, where=where)
    desk.store.record(event)
    desk.emit(event)
    return f"{text} ({where})"
