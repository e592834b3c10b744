"""Facts to steps. Pure: reads no clock, no disk, no network; each step carries its reason in words.

A plan is what a run would do. `renew`, `issue`, `push` and `plan` are selections over it: the first three carry it out, the
last shows it. Every (target, name) is compared with the wanted version, never this run with the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from certbroker import policy
from certbroker.model import Assignment, Certificate, KeyType, Live, Owner, Phase, Version, Window


@dataclass(frozen=True, slots=True)
class VariantFacts:
    """What the store knows of certificate x key type."""

    wanted: Version | None = None
    window: Window | None = None
    finalized: datetime | None = None
    failures: int = 0
    try_again: datetime | None = None
    error: str | None = None
    open_order: bool = False
    """An earlier run left an order behind; it goes on whatever the rules say."""


@dataclass(frozen=True, slots=True)
class DeploymentFacts:
    """How far the wanted version is on (target, name)."""

    version_id: int
    phase: Phase
    try_again: datetime | None = None
    deadline: datetime | None = None
    why: str | None = None
    drifted: bool = False
    """It was committed, and the last look saw something else."""


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """One target of this certificate. `live` is None where nobody looked (offline, or nothing to do)."""

    name: str
    key_types: tuple[KeyType, ...]
    accept_untrusted: bool = False
    most_names: int | None = None
    deployments: Mapping[str, DeploymentFacts] = field(default_factory=dict)
    live: Mapping[str, Live] | None = None
    trouble: str | None = None
    """Why it cannot be asked or written now."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known about one certificate at `now`."""

    now: datetime
    every: timedelta
    certificate: Certificate
    variants: Mapping[KeyType, VariantFacts]
    targets: Mapping[str, TargetFacts]
    profiles: Mapping[str, str | None] = field(default_factory=dict)
    """The profile each issuer is configured with."""
    test_issuers: frozenset[str] = frozenset()
    """Issuers known to be test CAs."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What part of the plan this run is about."""

    order: bool = True
    by_hand: str | None = None
    """`issue`: order now, for this reason."""
    targets: frozenset[str] | None = None
    ignore_backoff: bool = False
    yes: bool = False
    """The owner agreed to replace what is not ours."""
    heal: bool = False
    """`push`: also what drifted; `renew` only shows it."""
    store_id: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """Ask `issuer` for a certificate. `replaces` is the version the CA is told it replaces."""

    certificate: str
    key_type: KeyType
    issuer: str
    names: tuple[str, ...]
    why: str
    replaces: Version | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """Make `assignment.target` serve `version` (None: the one that this plan orders) for the assignment's names."""

    assignment: Assignment
    key_type: KeyType
    version: Version | None
    why: str
    foreign: tuple[str, ...] = ()
    """Names at which it replaces a certificate that is not ours."""


@dataclass(frozen=True, slots=True)
class Verify:
    """Look whether the edges serve what was pushed."""

    assignment: Assignment
    version: Version


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that is not done now. `person`: somebody must act; else time does."""

    certificate: str
    target: str | None
    why: str
    person: bool = False
    hint: str | None = None
    until: datetime | None = None
    failed: bool = False


Step = Order | Push | Verify | Hold


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps for one certificate, in the order they are done; `remarks` need no step."""

    certificate: Certificate
    steps: tuple[Step, ...]
    remarks: tuple[str, ...] = ()
    next_look: datetime | None = None
    """When something is due again if these steps succeed."""

    @property
    def orders(self) -> tuple[Order, ...]:
        return tuple(step for step in self.steps if isinstance(step, Order))

    @property
    def pushes(self) -> tuple[Push, ...]:
        return tuple(step for step in self.steps if isinstance(step, Push))

    @property
    def holds(self) -> tuple[Hold, ...]:
        return tuple(step for step in self.steps if isinstance(step, Hold))

    @property
    def verifies(self) -> tuple[Verify, ...]:
        return tuple(step for step in self.steps if isinstance(step, Verify))


def plan(facts: Facts, selection: Selection) -> Plan:
    """What to do for one certificate."""
    blocked = _other_store(facts)
    if blocked:
        return Plan(facts.certificate, tuple(blocked))
    ordering = _orders(facts, selection)
    orders = {step.key_type: step for step in ordering if isinstance(step, Order)}
    pushing = [step for target in facts.targets.values() for step in _pushes(facts, selection, target, orders)]
    if orders and pushing and all(isinstance(step, Hold) and step.person for step in pushing):
        ordering = [step for step in ordering if not isinstance(step, Order)]  # nobody would get the certificate
    return Plan(facts.certificate, (*ordering, *pushing), _remarks(facts), _next_look(facts))


def situation(facts: Facts, key_type: KeyType) -> policy.Situation:
    """What the rules look at."""
    known = facts.variants.get(key_type, VariantFacts())
    c = facts.certificate
    return policy.Situation(facts.now, facts.every, key_type, c.names, c.issuers, known.wanted, known.window)


def version_for(facts: Facts, target: TargetFacts) -> tuple[KeyType | None, Version | None]:
    """The first key type of the certificate that the target accepts, and its wanted version."""
    for key_type in facts.certificate.keys:
        if key_type in target.key_types:
            return key_type, facts.variants.get(key_type, VariantFacts()).wanted
    return None, None


def _other_store(facts: Facts) -> list[Hold]:
    holds = []
    for target in facts.targets.values():
        stores = sorted({live.store or "?" for live in (target.live or {}).values() if live.owner is Owner.OTHER_STORE})
        if stores:
            why = f"{target.name} is served from the store {', '.join(stores)}, which is not this one"
            hint = "use the store that wrote it ([store] url), or restore its backup; to take over, remove its objects at the provider first"
            holds.append(Hold(facts.certificate.name, target.name, why, person=True, hint=hint, failed=True))
    return holds


def _orders(facts: Facts, selection: Selection) -> list[Step]:
    if not selection.order:
        return []
    c = facts.certificate
    steps: list[Step] = []
    for key_type in c.keys:
        known = facts.variants.get(key_type, VariantFacts())
        why = selection.by_hand or policy.reason_to_order(situation(facts, key_type))
        if why is None and known.open_order:
            why = "an order is under way"
        if why is None:
            continue
        if known.try_again and known.try_again > facts.now and not selection.ignore_backoff:
            text = f"{why}; the last try failed: {known.error or 'see history'}"
            steps.append(Hold(c.name, None, text, until=known.try_again, failed=True))
            continue
        if known.finalized and not known.open_order:
            again = known.finalized + policy.MINIMUM_BETWEEN_ORDERS
            if again > facts.now:
                steps.append(Hold(c.name, None, f"{why}; ordered only a moment ago", until=again))
                continue
        have = known.wanted
        replaces = have if have and have.issuer == c.issuers[0] and not have.revoked_at else None
        steps.append(Order(c.name, key_type, c.issuers[0], c.names, why, replaces))
    return steps


def _pushes(facts: Facts, selection: Selection, target: TargetFacts, orders: Mapping[KeyType, Order]) -> list[Step]:
    c = facts.certificate
    if selection.targets is not None and target.name not in selection.targets:
        return []
    key_type, version = version_for(facts, target)
    if key_type is None:
        why = f"{target.name} accepts none of {', '.join(c.keys)}"
        return [
            Hold(
                c.name,
                target.name,
                why,
                person=True,
                failed=True,
                hint=f"add one of {', '.join(target.key_types)} to keys",
            )
        ]
    names = c.names_on(target.name)
    if target.most_names is not None and len(c.names) > target.most_names:
        why = f"{target.name} takes at most {target.most_names} names, {c.name} has {len(c.names)}"
        return [Hold(c.name, target.name, why, person=True, failed=True, hint="split the certificate in the file")]
    coming = key_type in orders
    if coming:
        version = None
    elif version is None:
        return []
    if refused := _untrusted(facts, target, version, orders.get(key_type)):
        return [refused]
    if target.trouble:
        return [Hold(c.name, target.name, target.trouble, failed=True)]
    push: list[str] = []
    verify: list[str] = []
    held: list[DeploymentFacts] = []
    for name in names:
        known = target.deployments.get(name)
        if version is None or known is None or known.version_id != version.id:
            push.append(name)
        elif known.phase in (Phase.PUSHED, Phase.VERIFYING):
            verify.append(name)
        elif known.phase.settled:
            if known.drifted and selection.heal:
                push.append(name)
        elif known.try_again and known.try_again > facts.now and not selection.ignore_backoff:
            held.append(known)
        else:
            push.append(name)
    steps: list[Step] = []
    if verify and version is not None:
        steps.append(Verify(Assignment(c.name, target.name, tuple(verify)), version))
    if held:
        until = min(known.try_again for known in held if known.try_again)
        steps.append(Hold(c.name, target.name, held[0].why or "the last push failed", until=until, failed=True))
    if push:
        steps.append(_push(facts, selection, target, tuple(push), key_type, version))
    return steps


def _push(
    facts: Facts,
    selection: Selection,
    target: TargetFacts,
    names: tuple[str, ...],
    key_type: KeyType,
    version: Version | None,
) -> Step:
    c = facts.certificate
    live = target.live or {}
    foreign = tuple(name for name in names if name in live and live[name].owner is Owner.FOREIGN)
    if foreign and not selection.yes:
        ends = max((end for name in foreign if (end := live[name].ends)), default=None)
        until = f", until {ends:%a %d %b %Y}" if ends else ""
        why = f"{target.name} serves a certificate that is not ours for {', '.join(foreign)}{until}"
        again = f"certbroker push {c.name} --target {target.name}" if selection.heal else f"certbroker renew {c.name}"
        return Hold(
            c.name,
            target.name,
            why,
            person=True,
            hint=f"to replace it, once: {again} --yes",
        )
    return Push(
        Assignment(c.name, target.name, names), key_type, version, _why_push(target, names, version, live), foreign
    )


def _why_push(target: TargetFacts, names: tuple[str, ...], version: Version | None, live: Mapping[str, Live]) -> str:
    known = [target.deployments[name] for name in names if name in target.deployments]
    if version is not None and any(d.version_id == version.id for d in known):
        phases = {d.phase for d in known if d.version_id == version.id}
        if Phase.WAITING in phases:
            return "waited for a record"
        if any(d.drifted for d in known):
            return "served something else when last looked at"
        return "the last push did not arrive"
    if known:
        return "serves the version before"
    owners = {live[name].owner for name in names if name in live}
    if Owner.FOREIGN in owners:
        return "serves a certificate that is not ours"
    if Owner.MANAGED in owners:
        return "serves the platform's own certificate"
    return "nothing of ours there" if target.live is not None else "never pushed"


def _untrusted(facts: Facts, target: TargetFacts, version: Version | None, order: Order | None) -> Hold | None:
    """A chain that the system does not trust goes only where the owner said so."""
    if target.accept_untrusted:
        return None
    if version is not None and not version.trusted:
        why = f"{version.label} is not trusted by the system's roots ({version.issued_by})"
    elif order is not None and order.issuer in facts.test_issuers:
        why = f"{order.issuer} is a test CA; no client trusts it"
    else:
        return None
    hint = f"use a production issuer, or set accept_untrusted = true in [target.{target.name}]"
    return Hold(facts.certificate.name, target.name, why, person=True, hint=hint, failed=True)


def _remarks(facts: Facts) -> tuple[str, ...]:
    found = []
    for key_type in facts.certificate.keys:
        s = situation(facts, key_type)
        if s.have and (text := policy.remark(s, facts.profiles.get(s.have.issuer))):
            found.append(text)
    return tuple(dict.fromkeys(found))


def _next_look(facts: Facts) -> datetime | None:
    """The earliest moment something is due by itself: a renewal, an ARI answer, a retry."""
    moments: list[datetime] = []
    for key_type in facts.certificate.keys:
        known = facts.variants.get(key_type, VariantFacts())
        if known.try_again and known.error:
            moments.append(max(known.try_again, facts.now))
        elif known.wanted is not None:
            moments.append(policy.renewal_moment(situation(facts, key_type)))
        if known.window is not None:
            moments.append(known.window.ask_again)
    for target in facts.targets.values():
        _, version = version_for(facts, target)
        if version is None:
            continue
        for name in facts.certificate.names_on(target.name):
            known_d = target.deployments.get(name)
            if known_d is None or known_d.version_id != version.id:
                moments.append(facts.now)
            elif not known_d.phase.settled:
                moments.append(known_d.try_again or facts.now)
    return min(moments, default=None)
