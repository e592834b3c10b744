"""An issuer that is lied to: the scene, and what must hold whatever is said.

CERTBROKER_FUZZ=n tries n times as many cases as usual.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from certbroker.config import IssuerSettings
from certbroker.errors import CertbrokerError, IssuanceError, NothingDone, ProviderError
from certbroker.keys import check_pair
from certbroker.policy import order_backoff
from certbroker.sandbox.ca import SandboxCA
from tests.clock import TestClock
from tests.issuer.desk import Desk, desk, own_dns
from tests.issuer.liar import Liar

BASE: Final = "http://ca.test"
SETTINGS: Final = IssuerSettings("sandbox", f"{BASE}/dir", agree_to_terms=True)
NAMES: Final = ("example.com", "*.example.com")
CASES: Final = 25 * int(os.environ.get("CERTBROKER_FUZZ", "1"))

REQUESTS: Final = 500
"""More than any lie may make us send for one certificate in one run of ten minutes."""

LONGEST: Final = 6000
"""Characters of one message."""


@contextmanager
def scene(folder: Path) -> Iterator[tuple[SandboxCA, Desk, Liar]]:
    clock = TestClock()
    with own_dns() as dns:
        ca = SandboxCA(
            clock=clock, rng=random.Random(7), lookup_txt=dns.lookup_txt, base_url=BASE, chain_length=3, alternates=1
        )
        ca.bad.finalize_seconds = 1.0
        liar = Liar(ca, clock)
        choosy = replace(SETTINGS, preferred_chain="a root that no chain ends at")  # so that every alternate is read
        with desk(folder, choosy, dns.address, clock, transport=liar) as at:
            yield ca, at, liar
        assert ca.bugs == []
        assert ca.violations == []
        assert dns.txt("_acme-challenge.example.com") == []


def within_bounds(at: Desk, liar: Liar, act: Callable[[], Any]) -> Any:
    """What it returns, or the error of ours that it raises; in time, and after a bounded number of requests."""
    liar.asked = 0
    began = at.world.clock.monotonic()
    try:
        result = act()
    except (IssuanceError, NothingDone, ProviderError) as error:
        result = error
    assert at.world.clock.monotonic() <= began + at.seconds + 1
    assert liar.asked <= REQUESTS
    if isinstance(result, CertbrokerError):
        fit_to_show(result.what, result.hint)
        order_backoff(1, result.retry_after)
    return result


def fit_to_show(*texts: str | None) -> None:
    for text in filter(None, texts):
        assert text.isprintable(), ascii(text)
        assert len(text) < LONGEST


def nothing_secret(at: Desk, folder: Path) -> None:
    """No private key in anything that is told, nor in the clear in the store."""
    keys = [at.store.box("account", f"sandbox {BASE}/dir")]
    secrets = []
    for box in filter(None, keys):
        secrets.append(json.loads(at.vault.unseal(at.store.id, "account", f"sandbox {BASE}/dir", box).reveal())["d"])
    for version in at.store.versions("main"):
        key_box = at.store.box("version", str(version.id))
        assert key_box is not None
        key = at.vault.unseal(at.store.id, "version", str(version.id), key_box)
        check_pair(version.chain_pem, key, NAMES, version.lifetime.starts)
        secrets += [line for line in key.reveal().splitlines() if "-----" not in line]
    told = repr(at.told) + "".join(json.dumps(event.data()) for event in at.told)
    files = b"".join(path.read_bytes() for path in folder.rglob("store.db*"))
    for secret in secrets:
        assert secret not in told
        assert secret.encode() not in files
    for event in at.told:
        fit_to_show(*(value for value in event.data().values() if isinstance(value, str)))
