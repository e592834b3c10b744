"""What every step of an order has at hand, and how each is done: the CA, the journal, the others' outcomes untouched."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar, Unpack

from certbroker import events
from certbroker.challenges import Challenges
from certbroker.challenges.caa import CaaFinding
from certbroker.config import IssuerSettings
from certbroker.errors import (
    ChallengeFailed,
    IssuanceError,
    IssuerUnavailable,
    LeaseHeld,
    NothingDone,
    ProviderError,
    RateLimited,
    RecordWanted,
)
from certbroker.events import Emit, Event
from certbroker.issuer.account import AccountDesk
from certbroker.issuer.directory import Directories
from certbroker.issuer.messages import Authorization, Order
from certbroker.issuer.network import CaNetwork, Reply
from certbroker.issuer.order import Work, unfinished
from certbroker.issuer.problem import unknown_account
from certbroker.issuer.request import Refusal
from certbroker.issuer.waiting import Pace, patiently
from certbroker.model import Method
from certbroker.secret import Secret
from certbroker.store import OrderRow, Store
from certbroker.store.rows import OrderChanges
from certbroker.vault import Vault
from certbroker.world import Clock

IN_FLIGHT: Final = 10
"""Requests to one CA at once."""

SPARE_NONCES: Final = 2
"""An order may cost this many nonces more than it must, to have more requests in flight."""

STUMBLES: Final = 5
"""How often in a row the CA may be away when an order is looked at, before this run leaves it to the next."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Conversation:
    """One CA, one account, one run. The store is used by the calling thread only; the pool's threads talk to the CA."""

    settings: IssuerSettings
    store: Store
    vault: Vault
    challenges: Challenges
    network: CaNetwork
    directories: Directories
    account: AccountDesk
    clock: Clock
    emit: Emit
    deadline: float
    minimum: timedelta
    """The least time between two finalizations of one certificate and key type."""
    roots_pem: str | None
    still_ours: Callable[[str], None]
    """Raises LeaseHeld if another run took the certificate over."""
    pool: ThreadPoolExecutor

    @property
    def ca(self) -> str:
        return self.settings.name

    # ---- how things are done -----------------------------------------------------------------------------------------

    def each(self, works: Iterable[Work], act: Callable[[Work], None]) -> None:
        """`act` on each that has no outcome yet, one after the other; trouble is that one's outcome."""
        for work in unfinished(works):
            try:
                act(work)
            except (IssuanceError, ProviderError, NothingDone, LeaseHeld) as error:
                self.fail(work, error)

    def write(self, works: Iterable[Work], act: Callable[[Work], None]) -> None:
        """As `each`, for what is only written to the journal: all in one transaction."""
        if not (works := unfinished(works)):
            return
        with self.store.together():
            self.each(works, act)

    def together(self, items: Iterable[T], ask: Callable[[T], R]) -> list[R | Refusal]:
        """`ask` the CA (or DNS) about each, several at once; an error takes the answer's place."""

        def one(item: T) -> R | Refusal:
            try:
                return ask(item)
            except (IssuanceError, ProviderError, NothingDone) as error:
                return error

        return list(self.pool.map(one, items))

    def asked(self, works: Sequence[Work], ask: Callable[[Work], Reply], hear: Callable[[Work, Reply], None]) -> None:
        """Ask about each order and hear the answer.

        If the CA is away for a moment, or asks us to wait, the order is looked at again later: looking is always safe.
        """
        if not works:
            return
        answers = self.together(works, ask)
        with self.store.together():
            for work, got in zip(works, answers, strict=True):
                if isinstance(got, Reply):
                    work.stumbles = 0
                    reply = got
                    self.each([work], lambda work, reply=reply: hear(work, reply))  # type: ignore[misc]
                else:
                    self._stumble(work, got)

    def _stumble(self, work: Work, error: Refusal) -> None:
        if isinstance(error, RateLimited | IssuerUnavailable) and work.stumbles < STUMBLES:
            work.stumbles += 1
            work.look_later(self.clock.monotonic(), work.pace, error.retry_after)
            if work.look_at < work.until:
                return
        self.fail(work, error)

    def pace(self) -> Pace:
        """For the next wait."""
        return Pace(self.network.way)

    def fail(self, work: Work, error: Refusal, *, over: bool | None = None) -> None:
        """This one's outcome. An order that is over is closed in the journal; any other is gone on with by the next run.

        `over`: None means what the CA refused for good.
        """
        work.outcome = error
        how = "left" if isinstance(error, LeaseHeld) else "waiting" if isinstance(error, RecordWanted) else "failed"
        self.step_over(work, how, error.what)
        if isinstance(error, LeaseHeld):
            return  # the journal is the other run's now
        if over is None:
            # an account that is not known where we thought it was may be found elsewhere, and its orders with it
            passing = isinstance(error, RateLimited | IssuerUnavailable) or unknown_account(error)
            over = isinstance(error, IssuanceError) and not passing
        if work.row is None:
            return
        if over:
            self.abandon(work.row, error.what, error.names if isinstance(error, ChallengeFailed) else ())
        else:
            self.store.update_order(work.row.id, error=error.what)

    # ---- its steps ---------------------------------------------------------------------------------------------------

    def onward(self, works: Iterable[Work], step: str) -> None:
        """They are at this step now, and what each was at before is done."""
        for work in works:
            if work.step != step:
                self.step_over(work, "done")
                work.step, work.step_began = step, self.clock.monotonic()

    def step_over(self, work: Work, outcome: str, error: str | None = None) -> None:
        """The step that it is at has come to this."""
        request = work.request
        self.emit(
            events.Stepped(
                at=self.clock.now(),
                certificate=request.certificate,
                step=work.step,
                outcome=outcome,
                seconds=self.clock.monotonic() - work.step_began,
                key_type=request.key_type.value,
                issuer=self.ca,
                rehearsal=request.rehearsal,
                error=error,
            )
        )

    # ---- time --------------------------------------------------------------------------------------------------------

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - self.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """That long, but not past the deadline."""
        if (left := self.left) > 0:
            self.clock.sleep(min(seconds, left))

    def patiently(self, ask: Callable[[], R]) -> R:
        """As `waiting.patiently`."""
        return patiently(ask, self.clock, self.deadline)

    # ---- the journal -------------------------------------------------------------------------------------------------

    def update(self, work: Work, **changes: Unpack[OrderChanges]) -> None:
        """Write to the journal; before the step that it speaks of."""
        self.store.update_order(work.journal.id, **changes)
        work.row = dataclasses.replace(work.journal, **changes)

    def abandon(self, row: OrderRow, why: str, unproven: tuple[str, ...] = ()) -> None:
        """No certificate comes of this one: its key is forgotten. `unproven`: names whose proof the CA did not accept."""
        self.store.update_order(row.id, state="failed", error=why, unproven=unproven)
        self.store.drop_box("order", str(row.id))

    def tell(self, event: Event) -> None:
        """An event that goes with no change of state."""
        self.store.record(event)
        self.emit(event)

    def seal_key(self, row: OrderRow, key: Secret) -> None:
        owner = str(row.id)
        self.store.put_box("order", owner, self.vault.seal(self.store.id, "order", owner, key))

    def sealed_key(self, row: OrderRow) -> Secret | None:
        owner = str(row.id)
        box = self.store.box("order", owner)
        return None if box is None else self.vault.unseal(self.store.id, "order", owner, box)

    def check_interval(self, work: Work) -> None:
        """The floor that no bug gets under: NothingDone if this certificate and key type were finalized just now.

        To go on with an order that was finalized is not another one, and a rehearsal never counts: a user rehearses and then
        does it.
        """
        request = work.request
        if request.rehearsal or (work.row is not None and work.row.state == "finalizing"):
            return
        last = self.store.variant(request.certificate, request.key_type).finalized
        wait = (last + self.minimum - self.clock.now()).total_seconds() if last else 0.0
        if last and wait > 0:
            error = NothingDone(
                f"{request.certificate} was sent to be signed at {last:%H:%M:%S} UTC, "
                f"and that is done at most once in {self.minimum.total_seconds():.0f} seconds",
                hint=f"wait {wait:.0f} seconds",
            )
            error.retry_after = wait
            raise error

    # ---- the CA ------------------------------------------------------------------------------------------------------

    def stock(self, works: Sequence[Work]) -> None:
        """Nonces and connections, fetched while something else is done, for all that these orders can ask at once."""
        names = sum(len(work.request.names) for work in works)
        self.directories.get()
        self.network.stock(min(IN_FLIGHT, names, 1 + SPARE_NONCES * len(works)), self.pool)

    def caa(self, name: str, method: Method, account_uri: str | None) -> list[CaaFinding]:
        """What CAA says of this CA for `name`; nothing if the CA does not tell its identity."""
        identities = self.directories.get().caa_identities
        if not identities:
            return []
        return self.challenges.caa(
            name, issuers=identities, account_uri=account_uri, wildcard=name.startswith("*."), method=method
        )

    def read_order(self, uri: str) -> Order:
        return Order.read(self.ca, self.patiently(lambda: self.network.ask(uri, "the order")).object())

    def read_authorization(self, url: str) -> Authorization:
        reply = self.patiently(lambda: self.network.ask(url, "an authorization"))
        return Authorization.read(self.ca, url, reply.object())
