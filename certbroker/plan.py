"""Facts to steps. Pure: reads no clock, no disk, no network; each step carries its reason in words.

A plan is what a run would do. `renew`, `issue`, `push` and `plan` are selections over it: the first three carry it out, the
last shows it. Every (target, name) is compared with the wanted version, never this run with the last one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from certbroker import policy
from certbroker.facts import DeploymentFacts, Facts, OpenOrder, Pin, Selection, TargetFacts, VariantFacts
from certbroker.model import Assignment, KeyType, Live, Owner, Phase, Restorable, Version
from certbroker.ordering import orders, situation
from certbroker.steps import Hold, Order, Plan, Push, Restore, Step, Verify

__all__ = [
    "DeploymentFacts",
    "Facts",
    "Hold",
    "OpenOrder",
    "Order",
    "Pin",
    "Plan",
    "Push",
    "Restore",
    "Selection",
    "Step",
    "TargetFacts",
    "VariantFacts",
    "Verify",
    "due_next",
    "given_back",
    "plan",
    "rationed",
    "situation",
    "version_for",
]


def plan(facts: Facts, selection: Selection) -> Plan:
    """What to do for one certificate."""
    blocked = _other_store(facts)
    if blocked:
        return Plan(facts.certificate, tuple(blocked))
    ordering = orders(facts, selection)
    ordered = {step.key_type: step for step in ordering if isinstance(step, Order)}
    pushing = [step for target in facts.targets.values() for step in _pushes(facts, selection, target, ordered)]
    if ordered and pushing and all(isinstance(step, Hold) and step.person for step in pushing):
        ordering = [step for step in ordering if not isinstance(step, Order)]  # nobody would get the certificate
    return Plan(facts.certificate, (*ordering, *pushing), _remarks(facts), _next_look(facts))


def rationed(made: Plan, decided: Mapping[KeyType, Order | Hold]) -> Plan:
    """The same plan with these in the place of its orders; what would push the version of one that waits waits with it."""
    steps: list[Step] = []
    for step in made.steps:
        if isinstance(step, Order):
            steps.append(decided.get(step.key_type, step))
        elif not (isinstance(step, Push) and step.version is None and isinstance(decided.get(step.key_type), Hold)):
            steps.append(step)
    return replace(made, steps=tuple(steps))


def due_next(facts: Facts) -> datetime:
    """When this certificate is to be looked at again: now, if something is open."""
    moment = _next_look(facts)
    if any(known.wanted and known.window is None for known in facts.variants.values()):
        moment = min(moment or facts.now + policy.ASK_AGAIN, facts.now + policy.ASK_AGAIN)
    return max(moment or facts.now + facts.every, facts.now)


def version_for(facts: Facts, target: TargetFacts) -> tuple[KeyType | None, Version | None]:
    """What the target is to serve: the version it is pinned to, else the wanted one of the first key type that it accepts."""
    if target.pin is not None:
        return target.pin.version.key_type, target.pin.version
    for key_type in facts.certificate.keys:
        if key_type in target.key_types:
            return key_type, facts.variants.get(key_type, VariantFacts()).wanted
    return None, None


def given_back(certificate: str, target: str) -> Hold:
    """A person gave it back to the platform's own certificate: nothing is pushed there until a person wants that again."""
    why = f"{target} was given back to the platform's own certificate"
    hint = (
        f"take {target} out of targets in [certificate.{certificate}]; to serve ours there again: "
        f"certbroker takeover {certificate} --all"
    )
    return Hold(certificate, target, why, person=True, hint=hint)


def _other_store(facts: Facts) -> list[Hold]:
    holds = []
    for target in facts.targets.values():
        stores = sorted({live.store or "?" for live in (target.live or {}).values() if live.owner is Owner.OTHER_STORE})
        if stores:
            why = f"{target.name} is served from the store {', '.join(stores)}, which is not this one"
            hint = "use the store that wrote it ([store] url), or restore its backup; to take over, remove its objects at the provider first"
            holds.append(Hold(facts.certificate.name, target.name, why, person=True, hint=hint, failed=True))
    return holds


def _pushes(facts: Facts, selection: Selection, target: TargetFacts, orders: Mapping[KeyType, Order]) -> list[Step]:
    c = facts.certificate
    if selection.targets is not None and target.name not in selection.targets:
        return []
    if target.theirs and target.name not in selection.take_over:
        return [given_back(c.name, target.name)]
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
    if target.pin is None and key_type in orders:
        version = None
    elif version is None:
        return []
    pinned = _pinned(facts, target, key_type, orders)
    if refused := _untrusted(facts, target, version, orders.get(key_type)):
        return [refused]
    push: list[str] = []
    verify: list[str] = []
    restore: list[str] = []
    held: list[DeploymentFacts] = []
    for name in names:
        if version is not None and name not in version.names:
            continue  # it is new in the file, and waits for the order
        known = target.deployments.get(name)
        if version is None or known is None or known.version_id != version.id:
            push.append(name)
        elif known.phase in (Phase.PUSHED, Phase.VERIFYING):
            verify.append(name)
        elif known.phase is Phase.RESTORING:
            restore.append(name)
        elif known.phase.settled:
            if known.drifted and (selection.heal or target.heal):
                push.append(name)
        else:
            later = known.try_again and known.try_again > facts.now and not selection.ignore_backoff
            held += [known] if later else []
            push += [] if later else [name]
            if known.deadline and known.deadline > facts.now and (later or target.trouble):
                verify.append(name)  # it failed, and may have arrived
    steps: list[Step] = [pinned] if pinned else []
    if verify and version is not None:
        steps.append(Verify(Assignment(c.name, target.name, tuple(verify)), version))
    if restore and version is not None:
        steps.append(Restore(Assignment(c.name, target.name, tuple(restore)), version))
    if held:
        until = min(known.try_again for known in held if known.try_again)
        steps.append(Hold(c.name, target.name, held[0].why or "the last push failed", until=until, failed=True))
    if target.trouble and (push or not steps):
        steps.append(Hold(c.name, target.name, target.trouble, failed=True))
    elif push and version is not None and version.revoked_at is not None:
        why = f"{version.label} is revoked: it goes nowhere any more"
        hint = f"the version to come is pushed: certbroker renew {c.name}"
        steps.append(Hold(c.name, target.name, why, until=facts.now, person=True, failed=True, hint=hint))
    elif push:
        steps += _push(facts, selection, target, tuple(push), key_type, version)
    return steps


def _pinned(facts: Facts, target: TargetFacts, key_type: KeyType, orders: Mapping[KeyType, Order]) -> Hold | None:
    """What is wanted waits while the target is pinned to something else."""
    pin, wanted = target.pin, facts.variants.get(key_type, VariantFacts()).wanted
    if pin is None or (key_type not in orders and (wanted is None or wanted.id == pin.version.id)):
        return None
    c = facts.certificate.name
    why = f"{pin.version.label} is pinned by hand{f' ({pin.why})' if pin.why else ''}, at the longest until {_day(pin.until)}"
    hint = f"certbroker rollback {c} --target {target.name} --lift"
    return Hold(c, target.name, why, person=True, hint=hint, pinned=True)


def _day(moment: datetime) -> str:
    return f"{moment:%a} {moment.day} {moment:%b %Y}"


def _push(
    facts: Facts,
    selection: Selection,
    target: TargetFacts,
    names: tuple[str, ...],
    key_type: KeyType,
    version: Version | None,
) -> list[Step]:
    """What is not ours waits for the owner's yes, name by name: the renewal of the others is not held back by it."""
    c = facts.certificate
    live = target.live or {}
    there = {name for name in names if version is not None and name in live and live[name].agrees(version)}
    agreed = target.agreed | {name for name, known in target.deployments.items() if target.heal and known.drifted}
    foreign = tuple(n for n in names if n in live and live[n].owner is Owner.FOREIGN and n not in there | agreed)
    if foreign and not selection.yes:
        why = f"{target.name} serves a certificate that is not ours for {', '.join(foreign)}{_how_long(live, foreign)}"
        again = f"certbroker push {c.name} --target {target.name}" if selection.heal else f"certbroker renew {c.name}"
        hint = f"to replace it, once: {again} --yes"
        hold = Hold(c.name, target.name, why, person=True, hint=hint, names=foreign)
        others = tuple(name for name in names if name not in foreign)
        return [hold, *(_push(facts, selection, target, others, key_type, version) if others else [])]
    why = _why_push(target, names, version, live)
    over = target.name in selection.take_over
    return [Push(Assignment(c.name, target.name, names), key_type, version, why, foreign, over)]


def _how_long(live: Mapping[str, Live], foreign: Collection[str]) -> str:
    """Of what is not ours: until when it would do, and whether it could come back."""
    ends = max((end for name in foreign if (end := live[name].ends)), default=None)
    until = f", until {ends:%a %d %b %Y}" if ends else ""
    lost = any(live[name].restorable is Restorable.NO for name in foreign)
    return until + ("; it could not be put back" if lost else "")


def _why_push(target: TargetFacts, names: tuple[str, ...], version: Version | None, live: Mapping[str, Live]) -> str:
    known = [target.deployments[name] for name in names if name in target.deployments]
    there = [name for name in names if name in live and live[name].owner is Owner.FOREIGN]
    if foreign := [name for name in there if version is None or not live[name].agrees(version)]:
        return f"serves a certificate that is not ours{_how_long(live, foreign)}"
    if version is not None and any(d.version_id == version.id for d in known):
        phases = {d.phase for d in known if d.version_id == version.id}
        if Phase.WAITING in phases:
            return f"it waits: {next((d.why for d in known if d.phase is Phase.WAITING and d.why), 'for a record')}"
        if Phase.RESTORED in phases:
            return "made things worse the last time and was put back"
        if said := next((d.why for d in known if d.phase is Phase.PENDING and d.why), None):
            return said
        if drifted := next((d.drift for d in known if d.drifted), ""):
            return drifted
        return "the last push did not arrive"
    if known:
        return "serves the version before"
    if version is not None and all(name in live and live[name].agrees(version) for name in names):
        return f"serves {version.label} already, put there by somebody else"
    owners = {live[name].owner for name in names if name in live}
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
    found: list[str] = []
    for key_type in facts.certificate.keys:
        s = situation(facts, key_type)
        if s.have:
            found += policy.remarks(s, facts.wishes.get(s.have.issuer, policy.Wishes()))
    found += map(policy.left_out, facts.left_out)
    found += _drifts(facts)
    return tuple(dict.fromkeys(found))


def _drifts(facts: Facts) -> list[str]:
    """What was observed not to be as wanted any more, the names of one cause together."""
    found: dict[tuple[str, str], list[str]] = {}
    for target in facts.targets.values():
        for name, known in target.deployments.items():
            if known.drift:
                found.setdefault((target.name, known.drift), []).append(name)
    return [f"{target}: {', '.join(names)}: {what}" for (target, what), names in found.items()]


def _next_look(facts: Facts) -> datetime | None:
    """The earliest moment something is due by itself: a renewal, an ARI answer, a retry."""
    moments: list[datetime] = []
    for key_type in facts.certificate.keys:
        known = facts.variants.get(key_type, VariantFacts())
        if known.try_again and known.error:
            moments.append(max(known.try_again, facts.now))
        elif known.held_until and known.held_until > facts.now:
            moments.append(known.held_until)
        elif known.wanted is not None:
            moments.append(policy.renewal_moment(situation(facts, key_type)))
        if known.window is not None:
            moments.append(known.window.ask_again)
    for target in facts.targets.values():
        _, version = version_for(facts, target)
        if version is None:
            continue
        if target.pin is not None:
            moments.append(target.pin.until)
        for name in facts.certificate.names_on(target.name):
            known_d = target.deployments.get(name)
            if known_d is None or known_d.version_id != version.id:
                moments.append(facts.now)
            elif not known_d.phase.settled:
                watched = known_d.deadline is not None and known_d.deadline > facts.now
                moments.append(facts.now if watched else known_d.try_again or facts.now)
    return min(moments, default=None)
