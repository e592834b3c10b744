"""Around each run: the heartbeat hears of its start and of its end, and people are told what needs them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from certbroker.alerts.telling import Herald
from certbroker.errors import CertbrokerError, StoreError
from certbroker.saying import say
from certbroker.world import World

log = logging.getLogger("certbroker")
FAILED = (1, 2)
"""Exit codes of which the heartbeat hears as failures; what waits for a person is told, and is none."""


@contextmanager
def announced(world: World, herald: Herald) -> Iterator[list[int]]:
    """The caller appends the run's exit code; a run that raises instead has failed. No trouble here is one of the run."""
    codes: list[int] = []
    refused: CertbrokerError | None = None
    herald.beat("/start")
    try:
        yield codes
    except CertbrokerError as error:
        if isinstance(error, StoreError) or not herald.listens:  # its address may be a secret that is not there
            refused = error
        raise
    finally:
        _tell(world, herald, refused)
        unheard = herald.beat("/fail" if not codes or codes[-1] in FAILED else "")
        if unheard:
            say(world.stderr, "note", f"the heartbeat was not heard: {unheard}")


def _tell(world: World, herald: Herald, refused: CertbrokerError | None) -> None:
    try:
        for each in herald.tell(refused):
            if each.error:
                say(world.stderr, "note", f"nobody was told on the way {each.way}: {each.error}")
    except StoreError as error:
        say(world.stderr, "note", f"not everything was told: {error.what}")
    except Exception:
        log.exception("people could not be told")
        say(world.stderr, "note", "nobody was told of anything, by a mistake of ours; -vv shows it")
