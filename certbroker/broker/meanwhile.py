"""What an error of a command about one certificate tells besides what happened: what is served meanwhile, and what to type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from certbroker.broker.report import served_now
from certbroker.errors import CertbrokerError, ConfigError, LeaseHeld, StoreError
from certbroker.store import Store


@contextmanager
def meanwhile(store: Store, certificate: str, targets: Sequence[str] = (), *, hint: str = "") -> Iterator[None]:
    """Fill in what an error from within leaves out: what the one of `targets` (or all of it) serves, and `hint`."""
    try:
        yield
    except (ConfigError, LeaseHeld, StoreError):
        raise
    except CertbrokerError as error:
        looked_at = {look.target for look in store.seen(certificate)}
        target = targets[0] if len(targets) == 1 and targets[0] in looked_at else None
        error.now = error.now or served_now(store, certificate, target)
        error.hint = error.hint or hint
        raise
