"""Where wanted, said and served differ: each name of each target asked and looked at now, the cause named, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from certbroker.broker.desk import Desk
from certbroker.broker.drift_words import hint_words, said_words, served_words, what_words
from certbroker.broker.drifted import Difference, worst_first
from certbroker.broker.facts import Looked, ask, ask_many, wanted_at
from certbroker.broker.facts import given_back as theirs
from certbroker.broker.report import State, served_now
from certbroker.deploy.causes import Cause
from certbroker.deploy.drift import Drift, Said, Unasked, Wanted, compare
from certbroker.errors import ProviderError, StoreError
from certbroker.model import Assignment, Certificate, Version
from certbroker.plan import given_back
from certbroker.probe import Seen

WORKERS: Final = 8


Caught = Callable[[str, Exception], None]
"""What becomes of an exception that was met at one place of the certificate of that name."""


def differences(
    desk: Desk,
    places: Sequence[tuple[Certificate, Assignment]],
    looked: Looked | None = None,
    caught: Caught | None = None,
) -> list[Difference]:
    """Ask every platform and look at every edge of these places now, many at a time. Worst first.

    Changes nothing but the store's last looks.

    Args:
        looked: what platforms said in this run already; what they say now is put there too.
        caught: is told of what was raised at a place, and the others go on (the store's trouble apart); None: it is raised.
    """
    looked = {} if looked is None else looked

    def work(place: tuple[Certificate, Assignment]) -> list[Difference]:
        try:
            return differences_at(desk, *place, looked)
        except StoreError:
            raise
        except Exception as error:
            if caught is None:
                raise
            caught(place[0].name, error)
            return []

    ask_many(desk, [assignment for _, assignment in places], looked)
    with ThreadPoolExecutor(WORKERS) as pool:
        found = [each for part in pool.map(work, places) for each in part]
    return worst_first(found)


def differences_at(desk: Desk, certificate: Certificate, assignment: Assignment, looked: Looked) -> list[Difference]:
    """The same of one target, in the order of its names."""
    version = wanted_at(desk, certificate, assignment.target)
    if version is None:
        return [_told(desk, assignment, name, None, None, (), Drift(Cause.NEVER_ISSUED)) for name in assignment.names]
    said = ask(desk, assignment, looked)
    looks, edge_trouble = _look(desk, assignment, version)
    ours = {each.fingerprint: each for each in desk.store.versions(certificate.name)}
    rows = {
        row.name: row
        for row in desk.store.deployments(certificate.name)
        if (row.target, row.version_id) == (assignment.target, version.id)
    }
    found = []
    given = (
        given_back(certificate.name, assignment.target) if assignment.target in theirs(desk, certificate.name) else None
    )
    for name in assignment.names:
        wanted = Wanted(version, rows.get(name), ours)
        there: Said = Unasked(said) if isinstance(said, str) else said.get(name)
        if edge_trouble and not isinstance(there, Unasked):
            there = Unasked(edge_trouble)
        drift = compare(wanted, there, looks[name])
        told = _told(desk, assignment, name, wanted, there, looks[name], drift)
        found.append(replace(told, hint=given.hint or "") if given and not drift.cause.fine else told)
    return found


def _look(desk: Desk, assignment: Assignment, version: Version) -> tuple[dict[str, list[Seen]], str]:
    """The looks by name, or why the edges are not known."""
    try:
        edges = desk.target(assignment.target).edges(assignment)
    except ProviderError as error:
        return {name: [] for name in assignment.names}, f"its edges are not known: {error.what}"
    return desk.looking.look_all(edges, assignment, version), ""


def _told(
    desk: Desk,
    assignment: Assignment,
    name: str,
    wanted: Wanted | None,
    said: Said,
    looks: Sequence[Seen],
    drift: Drift,
) -> Difference:
    cause = drift.cause
    state = State.OK if cause.fine else State.WARN if cause.unknown else State.FAIL
    place = (assignment.certificate, assignment.target)
    if wanted is None:
        return Difference(
            state,
            *place,
            name,
            cause,
            "-",
            "-",
            "-",
            "no certificate was ever issued",
            served_now(desk.store, assignment.certificate),
            f"certbroker issue {assignment.certificate}",
        )
    there = said_words(wanted, said)
    now = served_now(desk.store, *place)
    if not looks:
        unasked = isinstance(said, Unasked)
        now = f"last seen: {now}" if unasked else f"{said_words(wanted, said, by=True)}, by the target's own word"
    return Difference(
        state,
        *place,
        name,
        cause,
        wanted.version.label,
        there,
        served_words(wanted, looks),
        what_words(wanted, said, drift),
        "" if cause.fine else now,
        "" if cause.fine else hint_words(wanted, said, drift, *place),
    )
