"""The orders of one run: one batch an issuer; where one does not deliver, once more at the next of the certificate's list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from certbroker import events, failover, policy
from certbroker.broker.desk import Desk
from certbroker.broker.done import Done
from certbroker.challenges import Means
from certbroker.errors import CertbrokerError, LeaseHeld, RateLimited, RecordWanted, StoreError, VaultError
from certbroker.failover import Cause
from certbroker.issuer import OrderRequest
from certbroker.limits import Told
from certbroker.model import Certificate, KeyType, Version
from certbroker.plan import Hold, Order, Plan
from certbroker.store import Lease

Tried = frozenset[tuple[KeyType, str]]
"""Issuers that this run has had no luck with for one certificate."""


class Orders:
    """Every failure ends in the store and in `done`; only store and vault trouble is raised.

    Args:
        replan: plans a certificate again, as the store is now; it is told which issuers this run has tried.
    """

    def __init__(
        self,
        desk: Desk,
        done: Mapping[str, Done],
        leases: Mapping[str, Lease],
        replan: Callable[[Certificate, Tried], Plan],
    ) -> None:
        self._desk = desk
        self._done = done
        self._leases = leases
        self._replan = replan
        self._tried: defaultdict[str, set[tuple[KeyType, str]]] = defaultdict(set)

    def place(self, wanted: Sequence[Order]) -> None:
        """Ask for all of them, and for what failed at the issuers that step in, until nobody is left to ask."""
        while wanted:
            failed = self._ask(wanted)
            following = [self._step_in(order, error) for order, error in failed]
            wanted = [order for order in following if order is not None]

    def _ask(self, wanted: Sequence[Order]) -> list[tuple[Order, CertbrokerError]]:
        """What came of no certificate, and why."""
        by_issuer: defaultdict[str, list[Order]] = defaultdict(list)
        for order in wanted:
            by_issuer[order.issuer].append(order)
        failed: list[tuple[Order, CertbrokerError]] = []
        for issuer, orders in by_issuer.items():
            began = self._desk.world.clock.monotonic()
            results = self._obtain(issuer, orders)
            seconds = self._desk.world.clock.monotonic() - began
            for order, result in zip(orders, results, strict=True):
                done = self._done[order.certificate]
                done.seconds[""] = done.seconds.get("", 0.0) + seconds
                done.why.append(order.why)
                if isinstance(result, Version):
                    done.ordered.append(result)
                elif isinstance(result, LeaseHeld):
                    done.held_by = result.holder
                else:
                    failed.append((order, result))
                    self._note_limit(issuer, result)
        return failed

    def _note_limit(self, issuer: str, error: CertbrokerError) -> None:
        """A limit that other orders would meet too is remembered for them."""
        if isinstance(error, RateLimited) and error.subject is not None and error.retry_after:
            now = self._desk.world.clock.now()
            until = now + timedelta(seconds=error.retry_after)
            directory = self._desk.config.issuers[issuer].directory
            self._desk.store.put_told(directory, Told(error.subject, now, until, error.what))

    def _obtain(self, issuer: str, orders: Sequence[Order]) -> Sequence[Version | CertbrokerError]:
        requests = [
            OrderRequest(
                o.certificate,
                o.key_type,
                o.names,
                _reason(o),
                o.replaces,
                key_of=o.key_of,
                means=Means.of(self._desk.certificate(o.certificate)),
                exempt=o.exempt,
            )
            for o in orders
        ]
        try:
            return self._desk.issuer(issuer).obtain(
                requests, still_ours=lambda certificate: self._leases[certificate].check()
            )
        except (StoreError, VaultError):
            raise
        except CertbrokerError as error:  # e.g. no account can be had: the same for all of them
            return [error] * len(orders)

    # ---- what failed -------------------------------------------------------------------------------------------------

    def _step_in(self, order: Order, error: CertbrokerError) -> Order | None:
        """The order at the issuer that steps in; None if nobody does: then it is a failure, tried again later."""
        if not self._passed_over(order, error):
            self._failed(order, error, min([self._backed_off(order, error), *self._better_ones_free(order)]))
            return None
        self._tried[order.certificate].add((order.key_type, order.issuer))
        certificate = self._desk.certificate(order.certificate)
        again = self._replan(certificate, frozenset(self._tried[order.certificate]))
        following = next((o for o in again.orders if o.key_type is order.key_type), None)
        if following is None:
            waits = next((hold for hold in again.holds if hold.key_type is order.key_type and hold.awaited), None)
            if waits is not None:
                self._put_off(order, waits)
                return None
            held = [hold.until for hold in again.holds if hold.key_type is order.key_type and hold.until]
            self._failed(order, error, min(held) if held else self._backed_off(order, error))
            return None
        self._done[order.certificate].stepped_in.append(f"{error.what}; {following.issuer} steps in")
        return following

    def _put_off(self, order: Order, hold: Hold) -> None:
        """Nothing failed: the issuer is to be had again while there is time."""
        self._done[order.certificate].holds.append(hold)
        if self._desk.store.variant(order.certificate, order.key_type).error is not None:
            self._desk.store.order_cleared(order.certificate, order.key_type)

    def _better_ones_free(self, order: Order) -> list[datetime]:
        """When issuers that it prefers, and that are passed over, can be asked: a mistake at this one is not waited for there."""
        issuers = self._desk.certificate(order.certificate).issuers
        before = issuers[: issuers.index(order.issuer)]
        known = self._desk.store.passed(order.certificate, order.key_type) if before else []
        return [p.until for p in known if p.issuer in before and p.until > self._desk.world.clock.now()]

    def _backed_off(self, order: Order, error: CertbrokerError) -> datetime:
        failures = self._desk.store.variant(order.certificate, order.key_type).failures + 1
        asked = failover.asked(error)
        wait = policy.order_backoff(failures, asked.total_seconds() if asked else None, self._left(order))
        return self._desk.world.clock.now() + wait

    def _passed_over(self, order: Order, error: CertbrokerError) -> bool:
        """Remember not to ask this issuer for a while, if another one may do better and we have time left to ask it."""
        desk, now = self._desk, self._desk.world.clock.now()
        if len(desk.certificate(order.certificate).issuers) < 2 or desk.world.clock.monotonic() >= desk.deadline:
            return False
        known = desk.store.passed(order.certificate, order.key_type)
        passed = failover.pass_over(
            order.issuer,
            error,
            now,
            before=next((each for each in known if each.issuer == order.issuer), None),
            signing=self._signing(order),
            left=self._left(order),
        )
        if passed is None:
            return False
        if passed.cause is Cause.REFUSED:
            desk.store.unmark_finalizing(order.certificate, order.key_type)
        event = events.IssuerPassedOver(
            at=now,
            certificate=order.certificate,
            key_type=order.key_type.value,
            issuer=order.issuer,
            cause=passed.cause.value,
            until=passed.until,
            error=passed.why,
        )
        desk.store.put_passed(order.certificate, order.key_type, passed, events=[event])
        desk.emit(event)
        return True

    def _signing(self, order: Order) -> datetime | None:
        """When the order was sent to be signed, if it was and is not over."""
        store = self._desk.store
        rows = store.open_orders_of(order.certificate, order.key_type, rehearsal=False)
        if not any(row.issuer == order.issuer and row.state == "finalizing" for row in rows):
            return None
        return store.variant(order.certificate, order.key_type).finalized

    def _left(self, order: Order) -> timedelta | None:
        """How long the present certificate still lasts."""
        wanted = self._desk.store.variant(order.certificate, order.key_type).wanted
        return wanted.lifetime.ends - self._desk.world.clock.now() if wanted else None

    def _failed(self, order: Order, error: CertbrokerError, again: datetime) -> None:
        """One more failure in a row; the next try is `again`."""
        if isinstance(error, RecordWanted):
            self._waits(order, error)
            return
        self._done[order.certificate].order_errors.append(error)
        store, now = self._desk.store, self._desk.world.clock.now()
        event = events.OrderFailed(
            at=now,
            certificate=order.certificate,
            key_type=order.key_type.value,
            issuer=order.issuer,
            error=error.what,
            hint=error.hint,
            try_again=again,
        )
        store.order_failed(
            order.certificate, order.key_type, error=error.what, hint=error.hint, try_again=again, events=[event]
        )
        self._desk.emit(event)

    def _waits(self, order: Order, error: RecordWanted) -> None:
        """Nothing failed: a person has to act, and every run looks whether it is done."""
        done = self._done[order.certificate]
        if error.what not in done.waits:
            done.waits.append(error.what)
        store, now = self._desk.store, self._desk.world.clock.now()
        if store.variant(order.certificate, order.key_type).error is not None:
            # what failed before is not what stands in the way now
            store.order_cleared(order.certificate, order.key_type)
        event = events.Checked(at=now, subject=f"certificate/{order.certificate}", state="warn", what=error.what)
        if store.put_finding("certificate", order.certificate, "warn", error.what, error.hint, events=[event]):
            self._desk.emit(event)


def _reason(order: Order) -> str:
    return "; ".join(text for text in (order.why, order.key_why, order.instead) if text)
