"""`probe`: a plain look at every edge of one certificate, compared with what is wanted there."""

from __future__ import annotations

from dataclasses import dataclass

from certbroker.broker.desk import Desk
from certbroker.broker.report import State, day
from certbroker.deploy import verify
from certbroker.errors import ProviderError
from certbroker.model import Assignment, Version
from certbroker.probe import Roots, Seen, Verdict


@dataclass(frozen=True, slots=True)
class Look:
    """What one address serves for one name, judged against the wanted version."""

    state: State
    target: str
    name: str
    edge: str
    what: str
    fingerprint: str | None = None


def probe(desk: Desk, name: str) -> list[Look]:
    """Handshake with every address of every edge of the certificate. Changes nothing but the store's last look."""
    certificate = desk.certificate(name)
    variants = desk.store.variants(certificate.name)
    found: list[Look] = []
    for assignment in certificate.assignments:
        accepted = desk.target(assignment.target).traits.key_types
        wanted = next((v.wanted for key in certificate.keys if key in accepted and (v := variants.get(key))), None)
        try:
            found += _target(desk, assignment, wanted)
        except ProviderError as error:
            found.append(
                Look(
                    State.FAIL,
                    assignment.target,
                    ", ".join(assignment.names),
                    "-",
                    f"its edges are not known: {error.what}",
                )
            )
    return found


def _target(desk: Desk, assignment: Assignment, wanted: Version | None) -> list[Look]:
    edges = desk.target(assignment.target).edges(assignment)
    roots = Roots.of(wanted.roots_pem) if wanted and wanted.roots_pem else Roots.system()
    return [
        _judge(desk, assignment.target, name, seen, wanted)
        for name in assignment.names
        for seen in desk.looking.look(edges, assignment, name, roots)
    ]


def _judge(desk: Desk, target: str, name: str, seen: Seen, wanted: Version | None) -> Look:
    edge = verify.address(seen)
    if seen.verdict is Verdict.UNREACHABLE:
        return Look(State.WARN, target, name, edge, f"cannot be reached: {seen.detail}")
    if seen.verdict is Verdict.REFUSED:
        return Look(State.FAIL, target, name, edge, f"refuses the handshake: {seen.detail}")
    version = desk.store.by_fingerprint(seen.fingerprint) if seen.fingerprint else None
    whose = version.label if version else f"not ours, by {seen.issued_by}"
    until = f", until {day(seen.ends)}" if seen.ends else ""
    problem = f": {seen.detail}" if seen.verdict is Verdict.INVALID else ""
    if seen.verdict is Verdict.INVALID:
        state = State.FAIL
    elif wanted is None:
        state = State.NONE
    else:
        state = State.OK if seen.fingerprint == wanted.fingerprint else State.FAIL
    return Look(state, target, name, edge, f"{whose}{until}{problem}", seen.fingerprint)
