"""A rig: an adapter and the place it writes to. An author builds one for his adapter; the conformance suite does the rest."""

from __future__ import annotations

import base64
import functools
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, unquote_plus, urlsplit

import requests

from certbroker.errors import ProviderError, UsageError
from certbroker.model import Assignment, Bundle, Done, Failed, Keep, KeyType, Live, Outcome, Traits
from certbroker.pacing import Pacer, Rate
from certbroker.provider import Context, Provider
from certbroker.secret import Secret, SecretRef
from certbroker.session import Session
from certbroker.testkit.bundles import NOW, make_bundle
from certbroker.testkit.line import Gate, Killed, Line

STORE: Final = "5ca1ab1e"
OTHER_STORE: Final = "0ddba11a"
"""Ids of two stores: ours, and somebody else's."""


class _Clock:
    """Stands still for the date; counts for time-outs."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def context(
    *,
    line: Line | None = None,
    secrets: Mapping[str, Secret] | None = None,
    store_id: str = STORE,
    target: str = "place",
    now: datetime = NOW,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Context:
    """What an adapter is opened with in a rig. `secrets` are what `{ env = "NAME" }` finds; sessions are not slowed down."""
    clock = _Clock(now)

    def session(
        *, service: str, base: str, authorize: Callable[[], Mapping[str, Secret]], traits: Traits | None = None
    ) -> Session:
        if line is None:
            raise AssertionError("this rig has no line, and the adapter asked for a session")
        pacer = Pacer(clock, Rate(1e6, 1))
        return Session(service, base.rstrip("/"), line, clock, clock.monotonic() + 600, pacer, authorize)

    def resolve(ref: SecretRef) -> Secret:
        found = (secrets or {}).get(ref.env or "")
        if line is not None:
            line.resolved += 1
        if found is None:
            raise UsageError(f"{ref} is not set")
        return found

    return Context(target, store_id, session, resolve, clock.now, environ or {}, cwd or Path("/nonexistent"))


@dataclass
class Rig:
    """One empty place and a way to it, made anew for every test.

    Required:
        make: opens a fresh instance, as every run does, for the store of that id.
        served: what the place really serves for a name, as a fingerprint; None: nothing. Read from the simulator or the
            disk, never through the adapter.
        state: everything at the place, one entry per object, by its id; comparable with ==, changes when the object does.
        gate: what its writes pass.
        names: at least two, of one certificate, ready to be served at once.

    What the platform is like:
        line: for what speaks HTTP.
        other_names: of a second certificate.
        secrets: tokens it is opened with; they must not show up anywhere.
        per_name: names of one certificate can be switched one by one.
        rewrites: the platform does not tell enough to know that a push is not needed, so a second one writes again.
        tells_store: objects there say which store wrote them.

    What can be tried only if the author says how (each test that needs one is skipped without it):
        put_foreign: put things of other people there; returns how to read them back.
        occupy: let somebody else's certificate be served for all names; returns its fingerprint.
        crowd: put so much there that every listing takes several pages.
        refuse: the place refuses this name from now on, and takes the others.
        hold: the place takes this name, and serves it only when a record stands.
        manage: let the platform serve certificates of its own for all names, and allow all that it may allow.
        grant: what the platform wants to see before it issues one of its own stands from now on.
    """

    make: Callable[[str], Provider]
    served: Callable[[str], str | None]
    state: Callable[[], Mapping[str, Any]]
    gate: Gate
    names: tuple[str, ...] = ("example.com", "*.example.com", "www.example.net")
    line: Line | None = None
    other_names: tuple[str, ...] = ("other.example.org",)
    secrets: tuple[Secret, ...] = ()
    now: datetime = NOW
    key_type: KeyType = KeyType.P256
    target: str = "place"
    per_name: bool = True
    rewrites: bool = False
    tells_store: bool = True
    put_foreign: Callable[[], Callable[[], Any]] | None = None
    occupy: Callable[[], str] | None = None
    crowd: Callable[[], None] | None = None
    refuse: Callable[[str], None] | None = None
    hold: Callable[[str], None] | None = None
    manage: Callable[[], object] | None = None
    grant: Callable[[], None] | None = None
    shown: list[str] = field(default_factory=list)
    """Every text that the adapter let out: errors and what hangs on them, its repr, what it pruned."""

    # ---- bundles -----------------------------------------------------------------------------------------------------

    @property
    def assignment(self) -> Assignment:
        return Assignment("main", self.target, self.names)

    @property
    def first(self) -> Bundle:
        return self.bundle(1)

    @property
    def renewed(self) -> Bundle:
        return self.bundle(2)

    def bundle(self, number: int, *, names: tuple[str, ...] = (), certificate: str = "main") -> Bundle:
        """Version `number`, always the same for the same arguments; `names`: push these alone."""
        whole = self.names if certificate == "main" else self.other_names
        made = _bundle(whole, certificate, self.target, self.key_type, self.now, number)
        return Bundle(Assignment(certificate, self.target, names or whole), made.version, made.key_pem)

    # ---- one run each ------------------------------------------------------------------------------------------------

    def open(self, store_id: str = STORE) -> Provider:
        """A fresh instance."""
        provider = self.make(store_id)
        self.shown.append(repr(provider))
        return provider

    def inspect(self, store_id: str = STORE) -> Mapping[str, Live]:
        """What a fresh instance says of our names."""
        return self.open(store_id).inspect(self.assignment)

    def push(
        self, bundle: Bundle, store_id: str = STORE, *, before: Mapping[str, Live] | None = None
    ) -> Mapping[str, Outcome]:
        """As a run does it: look, then push, with one fresh instance. With `before` it was looked at earlier."""
        provider = self.open(store_id)
        return provider.push(bundle, provider.inspect(bundle.assignment) if before is None else before)

    def prune(self, *keep: Bundle) -> tuple[str, ...]:
        """A fresh instance prunes `main`; `keep` are wanted still."""
        removed = self.open().prune(self.assignment, Keep(frozenset(bundle.fingerprint for bundle in keep)))
        self.shown.extend(removed)
        return removed

    def attempt(
        self, act: Callable[..., object], *args: Any, **named: Any
    ) -> tuple[Mapping[str, Outcome | Live], list[ProviderError]]:
        """Do it and hand back what came of it and every error, raised or handed over. Fails on what is no ProviderError."""
        try:
            result = act(*args, **named)
        except Killed:
            return {}, []
        except ProviderError as error:
            self._remember(error)
            return {}, [error]
        except Exception as error:
            self._remember(error)
            raise AssertionError(f"it raised {type(error).__name__}, which is no ProviderError") from error
        outcomes = result if isinstance(result, Mapping) else {}
        errors = [outcome.error for outcome in outcomes.values() if isinstance(outcome, Failed)]
        for handed in errors:
            self._remember(handed)
        self.shown.append(repr(outcomes))
        return outcomes, errors

    def _remember(self, error: BaseException | None) -> None:
        """Everything of an error that could be printed: its words, its members, its traceback, and what caused it."""
        while error is not None:
            self.shown += [repr(error), str(error), repr(vars(error)), "".join(traceback.format_exception(error))]
            error = error.__cause__ or error.__context__

    def serves(self, names: Sequence[str] = ()) -> set[str | None]:
        """The fingerprints served for our names (or for `names`)."""
        return {self.served(name) for name in names or self.names}


NewRig = Callable[[], Rig]
"""Makes a rig with a new, empty place."""


@functools.cache
def _bundle(
    names: tuple[str, ...], certificate: str, target: str, key_type: KeyType, now: datetime, number: int
) -> Bundle:
    return make_bundle(names, certificate=certificate, target=target, key_type=key_type, now=now, number=number)


def leaks(rigs: Sequence[Rig], logged: str) -> list[str]:
    """Where a key or token of these rigs came out: an address, a log, or something the adapter let out."""
    texts = {
        "an address": "\n".join(address(request) for rig in rigs if rig.line for request in rig.line.sent),
        "a log": logged,
        "an error, a repr or what was pruned": "\n".join(text for rig in rigs for text in rig.shown),
    }
    secrets = {secret for rig in rigs for secret in (rig.first.key_pem, rig.renewed.key_pem, *rig.secrets)}
    return [place for place, text in texts.items() if any(shows(text, secret) for secret in secrets)]


def shows(text: str, secret: Secret) -> bool:
    """Whether `text` holds the secret, or a long line of it, plainly, percent-encoded or in base64."""
    whole = secret.reveal()
    pieces = {line for line in whole.splitlines() if len(line) > 15 and not line.startswith("-----")} or {whole}
    pieces |= {base64.b64encode(whole.encode()).decode(), quote_plus(whole)}
    plain = unquote_plus(text)
    return any(piece in text or piece in plain for piece in pieces)


def address(request: requests.PreparedRequest) -> str:
    """Path and query of a request, as a log would keep them."""
    parts = urlsplit(request.url or "")
    return f"{parts.path}?{parts.query}"


def done_is_true(rig: Rig, outcomes: Mapping[str, object], bundle: Bundle | None = None) -> None:
    """Nothing is called done that is not served. `bundle`: what was pushed; the renewed one by default."""
    wanted = (bundle or rig.renewed).fingerprint
    for name, outcome in outcomes.items():
        assert not isinstance(outcome, Done) or rig.served(name) == wanted, f"{name} is not done"
