"""What the planner of a takeover is handed: who holds the labels, and what the platforms have of their own. Changes nothing."""

from __future__ import annotations

from dataclasses import replace

from certbroker.broker.desk import Desk
from certbroker.broker.facts import wanted_at
from certbroker.challenges import Means
from certbroker.challenges.holders import holder_of
from certbroker.config import answering
from certbroker.errors import IssuanceError, NothingDone, ProviderError
from certbroker.handover import Facts, Label, Place, Proving
from certbroker.model import Assignment, Certificate, Method
from certbroker.names import is_address
from certbroker.provider import TellsManaged, TradesManaged


def gather(desk: Desk, certificate: Certificate) -> Facts:
    """Ask DNS and each target now. Raises ProviderError if DNS does not answer."""
    places = tuple(place(desk, each) for each in certificate.assignments)
    targets = [each.target for each in places if each.own] or [each.target for each in places]
    versions = [wanted_at(desk, certificate, target) for target in targets]
    held = tuple(dict.fromkeys(version.label for version in versions if version)) if all(versions) else ()
    return Facts(certificate, proving(desk, certificate), places, held)


def place(desk: Desk, assignment: Assignment) -> Place:
    """One target, with its platform's own certificates."""
    target = desk.target(assignment.target)
    provider = target.provider
    empty = Place(
        target=assignment.target,
        platform=target.settings.type.capitalize(),
        names=assignment.names,
        coexists=target.traits.coexists,
        trades=isinstance(provider, TradesManaged),
    )
    if not isinstance(provider, TellsManaged):
        return empty
    try:
        said = provider.managed(assignment.names)
    except ProviderError as error:
        return replace(empty, trouble=error.what)
    return replace(empty, own={name: each for name, each in said.items() if each.state != "none"})


def proving(desk: Desk, certificate: Certificate) -> Proving:
    """What could prove its names. Raises ProviderError if DNS does not answer."""
    labels = held_labels(desk, certificate)
    if not labels:
        return Proving(certificate.challenge)
    lending = desk.challenges().lending
    solvers = desk.config.solvers.values()
    wild = any(name.startswith("*.") for name in certificate.names)
    return Proving(
        certificate.challenge,
        labels,
        http=not wild and all(answering(name, solvers) for name in certificate.names),
        below=all(lending.writes_below(label.name) for label in labels),
        permitted=_permitted(desk, certificate),
    )


def held_labels(desk: Desk, certificate: Certificate) -> tuple[Label, ...]:
    """The names where dns-01 is asked for and that lead to where no solver of ours writes."""
    challenges, found = desk.challenges(), []
    plain = Means()
    for name in Means.asked([each for each in certificate.names if not is_address(each)]):
        owner = plain.owner(name)
        way = challenges.lookup.land(owner)
        if way.end == owner:
            continue
        try:
            challenges.locate(name)
        except NothingDone:
            holder, lent = holder_of(way.end), challenges.lending.of(owner)
            found.append(Label(owner, way.names[1], holder.name if holder else "", lent.solver if lent else None))
    return tuple(found)


def _permitted(desk: Desk, certificate: Certificate) -> bool:
    """The standing permission of dns-persist-01, for the account that we have."""
    issuer = certificate.issuers[0]
    if desk.store.account(issuer, desk.config.issuers[issuer].directory) is None:
        return False
    try:
        means = desk.means(replace(certificate, challenge=Method.DNS_PERSIST_01), issuer)
        verdicts = [
            verdict.state
            for name in Means.asked(certificate.names)
            for verdict, _ in desk.challenges().wanted(name, means)
        ]
    except (IssuanceError, NothingDone, ProviderError):
        return False
    return bool(verdicts) and set(verdicts) == {"ok"}
