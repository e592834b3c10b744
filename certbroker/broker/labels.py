"""Labels that change hands: looked at daily, so that one that somebody took is known long before a renewal needs it.

A label is a name where a CA looks for our proof in DNS. Whose it was and whose it is stands in the store; what is judged is the
difference. The finding's kind is `label`, its name the label's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from certbroker.broker.desk import Desk
from certbroker.broker.findings import Finding, remember
from certbroker.broker.report import Line, State, minute
from certbroker.challenges import Means
from certbroker.challenges.holding import Holding, Whose
from certbroker.errors import IssuanceError
from certbroker.model import Certificate, Method
from certbroker.store import DueRow, LabelRow

KIND: Final = "label"
OF_CHECK: Final = "dns"
"""The kind of finding by which `check` says for a whole certificate what this says for each label."""
DAILY: Final = timedelta(hours=24)
TOGETHER: Final = 8
"""Certificates looked at at the same time."""


def next_look(certificate: str, now: datetime) -> datetime:
    """Within a day, and not all in the same run: each certificate has a moment of its own in the last quarter."""
    share = hashlib.sha256(certificate.encode()).digest()[0] / 256
    return now + DAILY * (0.75 + share / 4)


def proves_in_dns(certificate: Certificate) -> bool:
    return certificate.challenge is not Method.HTTP_01


def watched(desk: Desk, certificate: Certificate) -> dict[str, tuple[str, Means]]:
    """By label, the name that is proven there and how. What is not known before there is an account is left out.

    Raises IssuanceError if the CA has to be asked for its domains and is away.
    """
    if not proves_in_dns(certificate):
        return {}
    found: dict[str, tuple[str, Means]] = {}
    for issuer in certificate.issuers:
        means = desk.means(certificate, issuer)
        if not means.wants_account:
            for name in Means.asked(certificate.names):
                found.setdefault(means.owner(name), (name, means))
    return found


def needed_by(desk: Desk, label: str) -> list[Certificate]:
    """The certificates of the file that are proven there."""
    found = []
    for certificate in desk.config.certificates.values():
        try:
            if label in watched(desk, certificate):
                found.append(certificate)
        except IssuanceError:
            continue
    return found


def look(desk: Desk, certificates: Sequence[Certificate]) -> list[Line]:
    """The daily look. What came right is a line; what went wrong is told from the store; what never was is no loss."""
    now = desk.world.clock.now()
    lines = _look(desk, certificates)
    desk.store.set_due([DueRow("check", f"{KIND}/{c.name}", next_look(c.name, now)) for c in certificates])
    return lines


def look_again(desk: Desk, *, asked: bool = False) -> list[Line]:
    """At the labels that were in other hands when last looked at: one that was put right is fine at once, not the next day.

    `asked`: a person wants to know, even if the last look was this very moment.
    """
    now = desk.world.clock.now()
    lines = []
    for finding in desk.store.findings(state="fail"):
        if finding.at >= now and not asked:
            continue
        if finding.kind == KIND:
            users = needed_by(desk, finding.name)[:1]
            if not users:
                lines += _told(
                    desk, Finding(State.OK, KIND, finding.name, "no certificate of the file is proven there")
                )
        else:
            users = [c for c in desk.config.certificates.values() if (finding.kind, finding.name) == (OF_CHECK, c.name)]
        lines += _look(desk, users)
    return lines


def proven(desk: Desk, certificates: Sequence[Certificate]) -> None:
    """Their orders went through: the labels are remembered as they are now, without another word."""
    _look(desk, certificates)


def fails(desk: Desk, certificate: Certificate) -> bool:
    """Look now: whether a label of it is not ours, which is a finding then."""
    _look(desk, [certificate])
    failing = {finding.name for finding in desk.store.findings(state="fail") if finding.kind == KIND}
    try:
        return not failing.isdisjoint(watched(desk, certificate))
    except IssuanceError:
        return False


def _look(desk: Desk, certificates: Sequence[Certificate]) -> list[Line]:
    """All are looked at at once, and what that comes to is written in one go."""
    known = {
        variant.certificate for variant in desk.store.variants_of([c.name for c in certificates]) if variant.wanted
    }
    some = [c for c in certificates if c.name in known]  # the first order says what stands in another's way
    if not some:
        return []
    with ThreadPoolExecutor(TOGETHER) as pool:
        places = list(pool.map(lambda certificate: _watched_now(desk, certificate), some))
        seen = pool.map(lambda place: desk.challenges().holding(*place), [p for each in places for p in each.values()])
        found = [{label: next(seen) for label in each} for each in places]
    with desk.store.together():
        failing = {(f.kind, f.name) for f in desk.store.findings(state="fail")}
        lines = []
        for certificate, holdings in zip(some, found, strict=True):
            lines += _judged(desk, certificate, holdings)
            ours = holdings and all(holding.whose is Whose.OURS for holding in holdings.values())
            if ours and (OF_CHECK, certificate.name) in failing:
                remember(desk, Finding(State.OK, OF_CHECK, certificate.name, "its labels are ours"))
    return lines


def _watched_now(desk: Desk, certificate: Certificate) -> dict[str, tuple[str, Means]]:
    try:
        return watched(desk, certificate)
    except IssuanceError:
        return {}  # the issuer's own line says it


def _judged(desk: Desk, certificate: Certificate, holdings: Mapping[str, Holding]) -> list[Line]:
    lines = []
    for label, found in holdings.items():
        known = desk.store.label(label)
        row, finding = judge(known, found, certificate.name, desk.world.clock.now())
        if row is not None:
            desk.store.put_label(row)
        if finding is not None:
            lines += _told(desk, finding, silent=known is None)
    return lines


def _told(desk: Desk, finding: Finding, *, silent: bool = False) -> list[Line]:
    changed = remember(desk, finding)
    fine = finding.state is State.OK and not silent
    return [Line(finding.state, f"{KIND} {finding.name}", finding.what)] if changed and fine else []


def judge(
    known: LabelRow | None, found: Holding, certificate: str, now: datetime
) -> tuple[LabelRow | None, Finding | None]:
    """What one look says beside the last one: the row to keep, and the finding. Pure.

    Of a look that did not find out nothing is kept and nothing said; but what still leads where it led is still whose it was.
    """
    if found.whose is Whose.UNKNOWN:
        same = known is not None and len(found.way) > 1 and found.leads_to == known.leads_to
        return (replace(known, at=now), None) if known is not None and same else (None, None)
    row = LabelRow(found.name, found.whose.value, found.by, found.leads_to, since=now, at=now)
    if known is not None and (known.whose, known.held_by) == (row.whose, row.held_by):
        row = replace(row, since=known.since, was=known.was, was_at=known.was_at)
    elif known is not None:
        row = replace(row, was=_words(known), was_at=known.at)
    if found.whose is Whose.OURS:
        before = f"; before it was {row.was}, until {_when(row)}" if row.was and row.was_at else ""
        return row, Finding(State.OK, KIND, row.name, f"ours: {row.held_by}{before}")
    if row.was is None:
        what = found.why
    else:
        what = f"it changed hands: {row.was} when last seen so, {_when(row)}; now {_now(found)}"
    more = f"what that changes for whom: certbroker who-owns {certificate}"
    return row, Finding(State.FAIL, KIND, row.name, what, f"{found.hint}; {more}" if found.hint else more)


def _words(row: LabelRow) -> str:
    return f"ours ({row.held_by})" if row.whose == Whose.OURS else f"held by {row.held_by}"


def _when(row: LabelRow) -> str:
    return minute(row.was_at) if row.was_at else ""


def _now(found: Holding) -> str:
    if found.whose is Whose.NOBODY:
        return found.why
    held = f"held by {found.by}" if found.whose is Whose.HELD else "which no solver of the file serves"
    return f"a CNAME to {found.leads_to}, {held}; the CA would look for our proof there"
