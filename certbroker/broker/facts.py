"""Gathering what the planner is handed: the store's knowledge, and what the platforms say where something is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from certbroker.broker.desk import Desk
from certbroker.config import IssuerSettings
from certbroker.deploy.causes import Cause as DriftCause
from certbroker.deploy.inspecting import inspect, inspect_many
from certbroker.errors import ProviderError, StoreError, Unavailable
from certbroker.failover import Cause, PassedOver
from certbroker.handover import with_the_platform
from certbroker.limits import concerns
from certbroker.model import Assignment, Certificate, KeyType, Live, Owner, Phase, Version, Window
from certbroker.names import base_name
from certbroker.plan import DeploymentFacts, Facts, OpenOrder, Pin, TargetFacts, VariantFacts
from certbroker.policy import Wishes
from certbroker.provider import InspectsMany
from certbroker.store import DeploymentRow, DriftRow, Variant

Looked = dict[tuple[str, str], dict[str, Live] | str]
"""What (certificate, target) said in this run, or why it could not be asked: one inspection a run."""


def gather(desk: Desk, certificate: Certificate, looked: Looked, *, look: bool, heal: bool = False) -> Facts:
    """Everything the store knows about `certificate`; with `look`, the targets that have something open are asked.

    `heal`: what was observed to have drifted counts as open.
    """
    config = desk.config
    known = desk.store.variants(certificate.name)
    keeping = certificate.key_policy.versions != 1
    variants: dict[KeyType, VariantFacts] = {}
    for key_type in certificate.keys:
        row = known.get(key_type)
        wanted = row.wanted if row else None
        window = desk.store.window(wanted.id) if wanted else None
        variants[key_type] = VariantFacts(
            wanted=wanted,
            window=window,
            before=_before(desk, wanted) if wanted and window and window.drawn <= desk.world.clock.now() else None,
            key_revoked=bool(wanted and keeping and desk.store.key_revoked(wanted.key_id)),
            finalized=row.finalized if row else None,
            failures=row.failures if row else 0,
            try_again=row.try_again if row else None,
            error=row.error if row else None,
            held_until=row.held_until if row else None,
            open_orders=tuple(
                OpenOrder(order.issuer, order.uri is not None, order.state == "finalizing")
                for order in desk.store.open_orders_of(certificate.name, key_type, rehearsal=False)
            ),
            passed=tuple(desk.store.passed(certificate.name, key_type)) if len(certificate.issuers) > 1 else (),
        )
    rows = desk.store.deployments(certificate.name)
    drifts = {(row.target, row.name): row for row in desk.store.drifts(certificate.name)}
    theirs = given_back(desk, certificate.name)
    targets = {
        assignment.target: _target(
            desk,
            certificate,
            assignment,
            variants,
            rows,
            drifts,
            looked,
            look=look,
            heal=heal or config.targets[assignment.target].heal,
            theirs=assignment.target in theirs,
        )
        for assignment in certificate.assignments
    }
    return Facts(
        now=desk.world.clock.now(),
        every=config.every,
        certificate=certificate,
        variants=variants,
        targets=targets,
        left_out=tuple(left_out(known, certificate.keys)),
        wishes={name: wishes(issuer) for name, issuer in config.issuers.items()},
        limited=_limited(desk, certificate) if len(certificate.issuers) > 1 else (),
        test_issuers=frozenset(name for name, issuer in config.issuers.items() if issuer.staging),
    )


def _before(desk: Desk, wanted: Version) -> tuple[Version, Window] | None:
    """What it replaced, and what the CA had said of that; looked up only where the CA wants the present one renewed."""
    older = desk.store.versions(wanted.certificate, wanted.key_type)
    before = next((v for v in older if v.number < wanted.number and not v.rehearsal), None)
    window = desk.store.window(before.id) if before else None
    return (before, window) if before and window else None


def left_out(variants: Mapping[KeyType, Variant], keys: Sequence[KeyType]) -> list[Version]:
    """The wanted versions of key types that are not among `keys` any more."""
    return [v.wanted for key_type, v in variants.items() if key_type not in keys and v.wanted]


def wishes(issuer: IssuerSettings) -> Wishes:
    """What the file wants of its certificates."""
    return Wishes(issuer.profile, issuer.preferred_chain)


def _limited(desk: Desk, certificate: Certificate) -> tuple[PassedOver, ...]:
    """What issuers of its list said of the account, or of its names, when something else was ordered."""
    bases = [base_name(name) for name in certificate.names]
    return tuple(
        PassedOver(issuer, Cause.LIMITED, told.at, told.until, told.why)
        for issuer in certificate.issuers
        for told in desk.store.told(desk.config.issuers[issuer].directory, desk.world.clock.now())
        if concerns(told.subject, bases)
    )


def _target(
    desk: Desk,
    certificate: Certificate,
    assignment: Assignment,
    variants: dict[KeyType, VariantFacts],
    rows: list[DeploymentRow],
    drifts: Mapping[tuple[str, str], DriftRow],
    looked: Looked,
    *,
    look: bool,
    heal: bool,
    theirs: bool,
) -> TargetFacts:
    settings = desk.config.targets[assignment.target]
    traits = desk.target(assignment.target).traits
    key_type = next((key for key in certificate.keys if key in traits.key_types), None)
    pin = pin_at(desk, certificate, assignment.target)
    wanted = pin.version if pin else variants[key_type].wanted if key_type else None
    deployments: dict[str, DeploymentFacts] = {}
    for name in assignment.names:
        here = [row for row in rows if row.target == assignment.target and row.name == name]
        mine = [row for row in here if wanted is not None and row.version_id == wanted.id] or sorted(
            here, key=lambda row: row.version_id
        )
        if mine:
            row, drift = mine[-1], drifts.get((assignment.target, name))
            deployments[name] = DeploymentFacts(
                row.version_id,
                row.phase,
                row.try_again,
                row.deadline,
                row.why,
                drifted=drift is not None and DriftCause(drift.cause).healable,
                drift=drift.what if drift else "",
            )
    live: dict[str, Live] | None = None
    trouble = None
    if look and _open(assignment, wanted, deployments, heal=heal):
        said = ask(desk, assignment, looked)
        live, trouble = (None, said) if isinstance(said, str) else (said, None)
    return TargetFacts(
        name=assignment.target,
        key_types=traits.key_types,
        accept_untrusted=settings.accept_untrusted,
        deployments=deployments,
        live=live,
        trouble=trouble,
        heal=settings.heal,
        agreed=_agreed(desk, assignment, live),
        theirs=theirs,
        pin=pin,
    )


def _agreed(desk: Desk, assignment: Assignment, live: Mapping[str, Live] | None) -> frozenset[str]:
    """Where the owner agreed that what is there now is replaced. Anything else that came there meanwhile is asked about."""
    if not any(each.owner is Owner.FOREIGN for each in (live or {}).values()):
        return frozenset()
    said = desk.store.agreed(assignment.certificate)
    return frozenset(
        name
        for name, now in (live or {}).items()
        if (then := said.get((assignment.target, name)))
        and (then.reference, then.fingerprint, then.serial) == (now.reference, now.fingerprint, now.serial)
    )


def given_back(desk: Desk, certificate: str) -> frozenset[str]:
    """Targets that a person gave back to the platform's own certificate."""
    return with_the_platform((row.do, row.target, row.phase) for row in desk.store.handover(certificate))


def pin_at(desk: Desk, certificate: Certificate, target: str) -> Pin | None:
    """What a person rolled it back to, while that is in force."""
    row = next((row for row in desk.store.pins(certificate.name) if row.target == target), None)
    version = desk.store.version(row.version_id) if row else None
    if row is None or version is None or version.revoked_at is not None or row.until <= desk.world.clock.now():
        return None
    return Pin(version, row.until, row.why)


def wanted_at(desk: Desk, certificate: Certificate, target: str) -> Version | None:
    """What it was rolled back to, else the wanted version of the first key type that the target accepts."""
    pin = pin_at(desk, certificate, target)
    if pin is not None:
        return pin.version
    variants = desk.store.variants(certificate.name)
    accepted = desk.target(target).traits.key_types
    known = next((variants.get(key) for key in certificate.keys if key in accepted), None)
    return known.wanted if known else None


def _open(
    assignment: Assignment, wanted: Version | None, deployments: Mapping[str, DeploymentFacts], *, heal: bool
) -> bool:
    """Whether anything is left to do there (then the platform is asked first)."""
    if wanted is None:
        return True
    for name in assignment.names:
        known = deployments.get(name)
        if known is None or known.version_id != wanted.id or (heal and known.drifted):
            return True
        if not known.phase.settled and known.phase not in (Phase.PUSHED, Phase.VERIFYING, Phase.RESTORING):
            return True
    return False


def ask_many(desk: Desk, assignments: Sequence[Assignment], looked: Looked) -> None:
    """Where a platform lists what it serves, its certificates are asked for together. What fails is asked for one by one."""
    by_target: dict[str, list[Assignment]] = {}
    for each in assignments:
        if (each.certificate, each.target) not in looked:
            by_target.setdefault(each.target, []).append(each)
    for target, mine in by_target.items():
        opened = desk.target(target)
        if len(mine) > 1 and isinstance(opened.provider, InspectsMany):
            try:
                said: Sequence[dict[str, Live] | str] = inspect_many(desk.store, opened, mine)
            except Unavailable as error:
                said = [error.what] * len(mine)
            except StoreError:
                raise
            except Exception:  # noqa: BLE001, S112 - design section 11: told where each of them is asked alone
                continue
            looked.update({(each.certificate, each.target): what for each, what in zip(mine, said, strict=True)})


def ask(desk: Desk, assignment: Assignment, looked: Looked) -> dict[str, Live] | str:
    """What the platform says, once a run, or why it cannot be asked."""
    place = (assignment.certificate, assignment.target)
    if place not in looked:
        try:
            looked[place] = inspect(desk.store, desk.target(assignment.target), assignment)
        except ProviderError as error:
            looked[place] = error.what
    return looked[place]
