"""Reconciling certificates with what is wanted: the one path that `renew`, `issue`, `push` and a night job share.

For each certificate: take its lease, ask the CA when to renew (each CA about all of its own together), plan, order (all orders
of the run in one batch), plan again, push and verify (targets in parallel), write down what is due next. A certificate of which
nothing wants to be done is planned once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final, TypeVar

from certbroker import events, policy
from certbroker.broker import labels
from certbroker.broker.desk import Desk
from certbroker.broker.done import Done
from certbroker.broker.facts import Looked, gather
from certbroker.broker.observing import OBSERVE
from certbroker.broker.orders import Orders, Tried
from certbroker.broker.rationing import ration
from certbroker.broker.running import bug
from certbroker.errors import LeaseHeld, StoreError, VaultError
from certbroker.model import Assignment, Certificate, Version
from certbroker.plan import Facts, Hold, Plan, Push, Restore, Selection, Verify, due_next, plan
from certbroker.store import DueRow, Lease, Variant

LEASE_SECONDS: Final = 120.0

T = TypeVar("T")
R = TypeVar("R")


class Reconciler:
    """One run over a set of certificates."""

    def __init__(
        self, desk: Desk, selection: Selection, *, refresh_windows: bool = False, looked: Looked | None = None
    ) -> None:
        self._desk = desk
        self._selection = selection
        self._refresh = refresh_windows
        self._looked: Looked = {} if looked is None else looked
        self._done: dict[str, Done] = {}

    def run(self, certificates: Sequence[Certificate]) -> list[Done]:
        """Reconcile them. Every failure ends in the store and in the answer; only store and vault trouble is raised."""
        with ExitStack() as stack:
            leases = stack.enter_context(self._leases(certificates))
            mine = [certificate for certificate in certificates if certificate.name in leases]
            self._each(self._to_ask(mine), self._ask_windows, lambda item: [version.certificate for version in item[1]])
            mine = self._without_idle(mine)
            plans, _ = ration(self._desk, self._each(mine, self._plan, _own_name))
            if any(p.orders or p.pushes for p in plans):
                self._desk.check_vault()
            orders = Orders(self._desk, self._done, leases, self._plan)
            orders.place([order for p in plans for order in p.orders])
            after = self._each(mine, lambda certificate: self._plan(certificate, order=False), _own_name)
            first = {p.certificate.name: p for p in plans}
            for p in after:
                self._remember_holds(first[p.certificate.name], p)
            self._push(after, leases)
            ordered = [certificate for certificate in mine if self._done[certificate.name].ordered]
            self._each([ordered] if ordered else [], self._settle, lambda some: [each.name for each in some])
            due = self._each(mine, self._due, _own_name)
            self._desk.store.set_due([row for rows in due for row in rows])
        self._desk.close_attempts([certificate.name for certificate in certificates])
        return [self._done[certificate.name] for certificate in certificates]

    # ---- leases ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _leases(self, certificates: Sequence[Certificate]) -> Iterator[dict[str, Lease]]:
        """Take what is free, in the order of the names: two runs cannot wait for each other. The store's heartbeat keeps it.

        A certificate that somebody else works on is left to him.
        """
        store = self._desk.store
        holder = f"{self._desk.world.host}, run {store.run}"
        leases: dict[str, Lease] = {}
        self._done = {certificate.name: Done(certificate.name) for certificate in certificates}
        with store.together():
            for name in sorted(self._done):
                try:
                    leases[name] = store.lease(f"certificate/{name}", holder, seconds=LEASE_SECONDS)
                except LeaseHeld as held:
                    self._done[name].held_by = held.holder
        try:
            yield leases
        finally:
            with store.together():
                for lease in leases.values():
                    lease.release()

    # ---- plan --------------------------------------------------------------------------------------------------------

    def _plan(self, certificate: Certificate, tried: Tried = frozenset(), *, order: bool = True) -> Plan:
        facts = gather(self._desk, certificate, self._looked, look=True, heal=self._selection.heal)
        return self._made(facts, tried, order=order)

    def _made(self, facts: Facts, tried: Tried = frozenset(), *, order: bool = True) -> Plan:
        s = self._selection
        chosen = replace(
            s,
            order=s.order and order,
            by_hand=s.by_hand if order else None,
            tried=tried,
            store_id=self._desk.store.id,
        )
        made = plan(facts, chosen)
        for push in made.pushes if s.yes else ():
            self._remember_yes(push)
        return made

    def _remember_yes(self, push: Push) -> None:
        """Before anything is done: whatever fails from here on, the next run does not ask again."""
        there = self._looked.get((push.assignment.certificate, push.assignment.target))
        replaced = {name: there[name] for name in push.foreign} if isinstance(there, dict) else {}
        if replaced:
            self._desk.store.agree(push.assignment.certificate, push.assignment.target, replaced)

    def _to_ask(self, certificates: Sequence[Certificate]) -> list[tuple[str, list[Version]]]:
        """By issuer: the wanted versions about which the CA's last answer is due to be asked again (RFC 9773)."""
        if not self._selection.order:
            return []
        desk, now = self._desk, self._desk.world.clock.now()
        known = desk.store.variants_of([certificate.name for certificate in certificates])
        windows = desk.store.windows([each.wanted.id for each in known if each.wanted])
        by_issuer: defaultdict[str, list[Version]] = defaultdict(list)
        for each in known:
            version = each.wanted
            if version is None or version.issuer not in desk.config.issuers:
                continue
            if self._refresh or policy.time_to_ask(windows.get(version.id), each.finalized, now):
                by_issuer[version.issuer].append(version)
        return list(by_issuer.items())

    def _ask_windows(self, item: tuple[str, list[Version]]) -> None:
        issuer, versions = item
        self._desk.issuer(issuer).windows(versions)

    def _without_idle(self, certificates: Sequence[Certificate]) -> list[Certificate]:
        """Those of which something may want to be done. The others are due when they say so, all written in one go."""
        busy: list[Certificate] = []
        rows: list[DueRow] = []
        for certificate in certificates:
            with self._desk.store.one_look():
                idle = self._idle(certificate)
            if idle is None:
                busy.append(certificate)
            else:
                rows.append(DueRow("certificate", certificate.name, idle))
        self._desk.store.set_due(rows)
        return busy

    def _idle(self, certificate: Certificate) -> datetime | None:
        """When it is due again, if the store alone tells that nothing is to be done; None: look closer."""
        try:
            if self._selection.heal or any(self._desk.config.targets[a.target].heal for a in certificate.assignments):
                return None  # what drifted is known by asking
            facts = gather(self._desk, certificate, self._looked, look=False)
            return None if self._made(facts).steps else due_next(facts)
        except (StoreError, VaultError):
            raise
        except Exception:  # noqa: BLE001 - design section 11: a bug is this certificate's, and met again where it is told
            return None

    def _remember_holds(self, first: Plan, second: Plan) -> None:
        """What is not done and why, as state: `status` and the exit code read it from the store."""
        done = self._done[first.certificate.name]
        held = list(first.holds)
        if first.orders:  # what was held for the version to come may go ahead with the one that came
            held = [hold for hold in first.holds if hold.target is None] + list(second.holds)
        done.holds = list(dict.fromkeys([*done.holds, *held]))
        if self._selection.order:
            self._remember_put_off(first.certificate, done.holds)
        saga = self._desk.saga
        for hold in done.holds:
            if hold.target is None or hold.until is not None:
                continue  # already in the store: a failed order or push with its next try
            facts = gather(self._desk, first.certificate, self._looked, look=False)
            accepted = facts.targets[hold.target].key_types
            key_type = next((key for key in first.certificate.keys if key in accepted), first.certificate.keys[0])
            version = facts.variants[key_type].wanted
            names = hold.names or first.certificate.names_on(hold.target)
            if version is not None:
                saga.hold(
                    Assignment(first.certificate.name, hold.target, names),
                    version,
                    why=hold.why,
                    hint=hold.hint,
                    failed=hold.failed,
                )
            elif not hold.failed:
                self._desk.store.put_finding("certificate", first.certificate.name, "warn", hold.why, hold.hint)
            else:
                now = self._desk.world.clock.now()
                self._desk.store.order_failed(
                    first.certificate.name, key_type, error=hold.why, hint=hold.hint, try_again=now
                )

    def _remember_put_off(self, certificate: Certificate, holds: Sequence[Hold]) -> None:
        """Which orders are due and wait for their time."""
        store = self._desk.store
        known = store.variants(certificate.name)
        for key_type in certificate.keys:
            mine = (hold for hold in holds if hold.put_off and hold.key_type is key_type)
            hold = next(mine, None)
            found = (hold.until, hold.why) if hold else (None, None)
            before = known.get(key_type, Variant(certificate.name, key_type))
            if found != (before.held_until, before.held_why):
                store.order_held(certificate.name, key_type, *found)

    # ---- push --------------------------------------------------------------------------------------------------------

    def _push(self, plans: Sequence[Plan], leases: dict[str, Lease]) -> None:
        """Targets in parallel, the certificates of one target one after the other: a slow one holds up nobody else."""
        by_target: dict[str, list[Push | Verify | Restore]] = {}
        for p in plans:
            steps: tuple[Push | Verify | Restore, ...] = (*p.restores, *p.pushes, *p.verifies)  # worst first
            for step in steps:
                by_target.setdefault(step.assignment.target, []).append(step)
        self._each(
            list(by_target.items()),
            lambda item: self._one_target(item[0], item[1], leases),
            lambda item: [step.assignment.certificate for step in item[1]],
        )

    def _one_target(self, name: str, steps: Sequence[Push | Verify | Restore], leases: dict[str, Lease]) -> None:
        saga = self._desk.saga
        target = self._desk.target(name)
        clock = self._desk.world.clock
        self._look_back(name, [s.assignment.certificate for s in steps if isinstance(s, Push) and s.version])
        for step in steps:
            certificate = step.assignment.certificate
            done = self._done[certificate]
            began = clock.monotonic()
            if step.version is None:
                continue  # the order it waits for did not come
            if isinstance(step, Verify | Restore):
                look = saga.verify if isinstance(step, Verify) else saga.restore
                try:
                    look(target, step.assignment, step.version, leases[certificate])
                except LeaseHeld as held:
                    done.held_by = held.holder
                    continue
                done.verified.append(name)
            else:
                before = self._looked.get((certificate, name))
                try:
                    saga.push(
                        target,
                        step.assignment,
                        step.version,
                        before if isinstance(before, dict) else {},
                        leases[certificate],
                        take_over=step.take_over,
                    )
                except LeaseHeld as held:
                    done.held_by = held.holder
                    continue
                done.pushed.append(name)
            done.seconds[name] = clock.monotonic() - began

    # ---- what is due next --------------------------------------------------------------------------------------------

    def _due(self, certificate: Certificate) -> list[DueRow]:
        with self._desk.store.one_look():
            facts = gather(self._desk, certificate, self._looked, look=False)
        now = facts.now
        done = self._done[certificate.name]
        held = [hold.until for hold in done.holds if hold.key_type is not None and hold.until is not None]
        rows = [DueRow("certificate", certificate.name, max(min([due_next(facts), *held]), now))]
        if done.pushed or done.verified:
            rows.append(DueRow("observe", certificate.name, now + OBSERVE))
        wanted = {v.wanted.id for v in facts.variants.values() if v.wanted}
        for assignment in certificate.assignments:
            here = facts.targets[assignment.target].deployments
            mine = [here[name] for name in assignment.names if name in here]
            if assignment.target in (*done.pushed, *done.verified) and all(
                d.phase.settled and d.version_id in wanted for d in mine
            ):
                rows.append(self._prune(assignment.target, certificate.name))
        return rows

    def _prune(self, target: str, certificate: str) -> DueRow:
        """When that target is searched for what nobody uses any more: a grace time from now."""
        grace = self._desk.target(target).traits.prune_grace
        return DueRow("prune", f"{target}/{certificate}", self._desk.world.clock.now() + grace)

    def _look_back(self, target: str, certificates: Sequence[str]) -> None:
        """Written before the pushes: a run that dies during one, or right after its commit, is looked after all the same."""
        at = self._desk.world.clock.now() + OBSERVE
        rows = [[self._prune(target, certificate), DueRow("observe", certificate, at)] for certificate in certificates]
        self._desk.store.set_due([row for pair in rows for row in pair])

    def _settle(self, ordered: Sequence[Certificate]) -> None:
        """An order went through: what it has proven wrong is not left to stand until somebody checks again."""
        known = {(f.kind, f.name) for f in self._desk.store.findings() if f.state != "ok"}
        what = "an order went through"
        for certificate in ordered:
            for kind in ("dns", "caa", "certificate"):
                if (kind, certificate.name) in known:
                    now = self._desk.world.clock.now()
                    event = events.Checked(at=now, subject=f"{kind}/{certificate.name}", state="ok", what=what)
                    self._desk.store.put_finding(kind, certificate.name, "ok", what, events=[event])
                    self._desk.emit(event)
        labels.proven(self._desk, ordered)

    def _each(self, items: Sequence[T], work: Callable[[T], R], certificates: Callable[[T], Sequence[str]]) -> list[R]:
        """In parallel; one that meets a bug of ours does not stop the others (its certificates are marked)."""

        def guarded(item: T) -> tuple[R] | None:
            try:
                return (work(item),)
            except (StoreError, VaultError):
                raise
            except Exception as error:  # noqa: BLE001 - design section 11: per certificate and per target
                for name in certificates(item):
                    self._done[name].bugs.append(bug(self._desk, name, error))
                return None

        if len(items) < 2 or self._desk.at_once < 2:
            found = [guarded(item) for item in items]
        else:
            with ThreadPoolExecutor(max_workers=self._desk.at_once) as pool:
                found = list(pool.map(guarded, items))
        return [result[0] for result in found if result is not None]


def _own_name(certificate: Certificate) -> tuple[str]:
    return (certificate.name,)
