"""Whose a name is where CAs look: `who-owns NAME`. What is found is gathered first; what follows from it is decided purely.

For each name that is proven: who holds its labels, which challenge works for us today, what has to change for the one that is wanted,
and what that breaks for whom, until when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from certbroker.broker.authority import certificate_of
from certbroker.broker.desk import Desk, nearest
from certbroker.broker.found import IN_DNS, Found, NotYet, find
from certbroker.broker.managing import Managed, managing
from certbroker.broker.report import State, Trouble, day, served_now, worst
from certbroker.challenges import Means, caa
from certbroker.challenges.caa import Standing
from certbroker.challenges.holding import Holding, Whose
from certbroker.errors import UsageError
from certbroker.model import Certificate, Method
from certbroker.names import NAME, base_name, covers, is_address

METHODS: Final = (*IN_DNS, Method.HTTP_01)
UNSURE: Final = frozenset({Method.DNS_ACCOUNT_01, Method.DNS_PERSIST_01})
"""Drafts: no directory tells whether a CA offers them; only an order does."""


# ---- the answer --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holder:
    """One place, and in whose hands it is. `what`: "label" (one where a CA looks for a proof), "caa", or "managed" (a certificate that a
    platform gets by itself)."""

    state: State
    what: Literal["label", "caa", "managed"]
    place: str
    by: str
    record: str = ""
    """What stands there, as it is written into a zone."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to prove one name. `state`: "ok" it works today, "wait" a record has to be created first, "warn" not known, "fail" it
    does not work. `wanted`: the file says this one."""

    name: str
    method: Method
    state: State
    what: str
    hint: str = ""
    wanted: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One record to change: `old` goes, `new` comes, as they are written into a zone. `breaks`: for whom, and until when it lasts."""

    old: str
    new: str
    why: str
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ownership:
    """The answer. `exit_code`: 0 what is wanted works (or is not known to fail), 3 a record is to be created first, 1 it does not work."""

    name: str
    certificate: str | None
    issuer: str
    holders: tuple[Holder, ...]
    ways: tuple[Way, ...]
    changes: tuple[Change, ...]
    unknown: tuple[str, ...]
    troubles: tuple[Trouble, ...]
    sentence: str
    exit_code: int


# ---- what is asked ----------------------------------------------------------------------------------------------------


def who_owns(desk: Desk, name: str) -> Ownership:
    """Look now, changing nothing. `name`: a certificate of the file, a name that one is for, or any other DNS name.

    A solver or platform that cannot be asked (no token here) stops nothing: what only it knows is said to be unknown. Raises UsageError.
    """
    certificate = certificate_of(desk, name)
    names = _names(desk, name, certificate)
    issuer = certificate.issuers[0] if certificate else next(iter(desk.config.issuers), "")
    if not issuer:
        raise UsageError("the file names no issuer to prove names to", hint="add [issuer.NAME]")
    targets = [a.target for a in certificate.assignments] if certificate else list(desk.config.targets)
    asked = managing(desk, [n for n in names if not is_address(n)], targets)
    found = [
        find(desk, each, issuer, certificate, [m for m in asked.managed if base_name(m.name) == base_name(each)])
        for each in Means.asked(names)
    ]
    return decide(
        found,
        name=name,
        issuer=issuer,
        certificate=certificate,
        unknown=asked.unknown,
        served=served_now(desk.store, certificate.name) if certificate else "",
    )


def _names(desk: Desk, name: str, certificate: Certificate | None) -> Sequence[str]:
    if certificate is not None and name == certificate.name:
        return certificate.names
    asked = name.lower().rstrip(".")
    if not NAME.fullmatch(asked) or "." not in asked:
        what = f"{name!a} is neither a certificate of the file nor a DNS name"
        raise UsageError(what, hint=nearest(name, desk.config.certificates))
    covering = [each for each in certificate.names if covers(each, asked)] if certificate else []
    return list(dict.fromkeys([asked, *covering]))


# ---- what follows ------------------------------------------------------------------------------------------------------


def decide(
    found: Sequence[Found],
    *,
    name: str,
    issuer: str,
    certificate: Certificate | None,
    unknown: Sequence[str] = (),
    served: str = "",
) -> Ownership:
    """Pure."""
    wanted = certificate.challenge if certificate else None
    own = set(certificate.names) if certificate else set()
    ways = [way for each in found for way in _ways(each, issuer, wanted if each.name in own else None)]
    chosen = [way for way in ways if way.wanted] or _best(ways)
    changes = [change for each in found for way in chosen if way.name == each.name for change in _changes(each, way)]
    theirs = dict.fromkeys(_managed(m) for each in found for m in each.managed if m.facts.state == "issued")
    served = "; ".join(filter(None, (served, *theirs)))
    handed = f"certbroker takeover {certificate.name}" if certificate and theirs else ""
    troubles = tuple(_trouble(way, ways, served, handed) for way in chosen if way.state in (State.FAIL, State.WAIT))
    states = {way.state for way in chosen}
    return Ownership(
        name=name,
        certificate=certificate.name if certificate else None,
        issuer=issuer,
        holders=tuple(
            dict.fromkeys(holder for each in found for holder in _holders(each, wanted if each.name in own else None))
        ),
        ways=tuple(ways),
        changes=tuple(dict.fromkeys(changes)),
        unknown=tuple(unknown),
        troubles=troubles,
        sentence=_sentence(name, chosen, changes),
        exit_code=1 if State.FAIL in states else 3 if State.WAIT in states else 0,
    )


def _best(ways: Sequence[Way]) -> list[Way]:
    """For a name that nobody has decided on: for each name the better of the two ways that every CA takes."""
    order = (State.OK, State.WAIT, State.WARN, State.FAIL)
    sure = [way for way in ways if way.method not in UNSURE]
    names = dict.fromkeys(way.name for way in sure)
    return [min((way for way in sure if way.name == name), key=lambda way: order.index(way.state)) for name in names]


def _ways(found: Found, issuer: str, wanted: Method | None) -> Iterator[Way]:
    for method in METHODS:
        state, what, hint = found.http if method is Method.HTTP_01 else _by_label(found.holdings[method])
        finding = found.allowed(method)
        if finding.state == "fail" and state is not State.FAIL:
            state, what, hint = State.FAIL, finding.what, finding.hint or ""
        elif finding.state == "warn" and state is State.OK:
            state, what, hint = State.WARN, finding.what, finding.hint or ""
        if method in UNSURE and state in (State.OK, State.WAIT) and method is not wanted:
            state = State.WARN if state is State.OK else state
            what = f"{what}; only an order tells whether {issuer} offers it"
        yield Way(found.name, method, state, what, hint, method is wanted)


def _by_label(holding: Holding | NotYet) -> tuple[State, str, str]:
    if isinstance(holding, NotYet):
        return State.WAIT if holding.hint else State.FAIL, holding.what, holding.hint
    if holding.whose is Whose.OURS:
        return State.OK, f"ours: {holding.by}", ""
    if holding.whose is Whose.UNKNOWN:
        return State.WARN, f"whose it is is not known: {holding.why}", holding.hint
    missing = holding.wanted is not None and len(holding.way) == 1
    return State.WAIT if missing else State.FAIL, holding.why, holding.hint


# ---- whose it is -------------------------------------------------------------------------------------------------------


def _holders(found: Found, wanted: Method | None) -> Iterator[Holder]:
    for method, holding in found.holdings.items():
        if isinstance(holding, NotYet):
            continue
        bad = State.FAIL if method is wanted else State.WARN if method is Method.DNS_01 else State.NONE
        state = State.OK if holding.whose is Whose.OURS else State.WARN if holding.whose is Whose.UNKNOWN else bad
        yield Holder(state, "label", holding.name, _hands(holding, found), holding.cname or "")
    finding = found.allowed(wanted or Method.DNS_01)
    known = {"ok": State.OK if finding.stands else State.NONE, "warn": State.WARN, "fail": State.FAIL}
    yield Holder(known[finding.state], "caa", found.base, finding.what)
    if isinstance(found.caa, Standing):
        for line in found.caa.properties:
            yield Holder(State.NONE, "caa", found.caa.where, "it stands", str(caa.record(found.caa.where, line)))
    for each in found.managed:
        if each.active:
            yield Holder(State.WARN, "managed", each.name, _managed(each))


def _hands(holding: Holding, found: Found) -> str:
    if holding.whose is Whose.OURS:
        return f"ours: {holding.by}"
    if holding.whose is Whose.UNKNOWN:
        return f"not known: {holding.why}"
    if holding.whose is Whose.NOBODY:
        return f"nobody's: {holding.why}"
    if holding.whose is Whose.ELSEWHERE:
        return f"not ours: it leads to {holding.leads_to}, which no solver of the file serves"
    known = [each.target for each in found.managed if _leads(holding, each)]
    asked = [each.target for each in found.managed if each.platform == holding.by]
    which = f", for {', '.join(dict.fromkeys(known))}" if known else ", for none of the file's targets" if asked else ""
    return f"held by {holding.by}{which}: it leads to {holding.leads_to}"


def _managed(each: Managed) -> str:
    there = "gets one by itself" if each.facts.state == "issued" else "waits for its proof to get one by itself"
    ends = f"; the one that is there ends {day(each.facts.ends)}" if each.facts.ends else ""
    return f"{each.platform} {there} ({each.target}){ends}"


def _leads(holding: Holding, each: Managed) -> bool:
    """The label leads where this platform wants it."""
    challenge = each.facts.challenge
    return (
        challenge is not None
        and challenge.name == holding.name
        and challenge.values[0].rstrip(".").lower() in holding.way
    )


# ---- what has to change ------------------------------------------------------------------------------------------------


def _changes(found: Found, way: Way) -> Iterator[Change]:
    if way.state not in (State.FAIL, State.WAIT):
        return
    holding = found.holdings.get(way.method)
    if isinstance(holding, Holding) and holding.whose not in (Whose.OURS, Whose.UNKNOWN):
        old = holding.cname or ""
        new = str(holding.wanted) if holding.wanted else ""
        if old or new:
            why = "then proofs of ours are found there" if new else "certbroker writes its TXT there while it orders"
            yield Change(old, new, why, tuple(_breaks(holding, found)) if old else ())
    finding = found.allowed(way.method)
    if finding.state == "fail" and (finding.hint or "").startswith("add "):
        why = f"{finding.what}; all of them: certbroker caa {found.base}"
        yield Change("", (finding.hint or "").removeprefix("add "), why)


def _breaks(holding: Holding, found: Found) -> Iterator[str]:
    """Whom it concerns that the CNAME goes, and until when what they have lasts."""
    told = False
    for each in (each for each in found.managed if each.active and _leads(holding, each)):
        told = True
        text = f"{each.platform} cannot renew its own certificate for {each.name} by DNS any more ({each.target})"
        if each.facts.state == "pending":
            text = f"{each.platform} cannot get its own certificate for {each.name} by DNS ({each.target})"
        text += f"; the one that is there ends {day(each.facts.ends)}" if each.facts.ends else ""
        if any(record.values[0].rstrip(".") in found.leads_to for record in each.facts.routing):
            text += f"; while {each.name} leads to {each.platform}, it may still be renewed by that"
        if each.target in found.ours:
            text += "; ours is served there before it, so only the fallback ends"
        yield text
    if not told and holding.holder is not None:
        asked = any(each.platform == holding.by for each in found.managed)
        where = f"that is none of the file's targets at {holding.by}" if asked else f"at {holding.by}"
        yield f"whoever renews a certificate by it {where} cannot any more; until when that lasts is not known here"
    elif not told:
        yield f"whoever answers at {holding.leads_to} is not asked any more; what that is for is not known here"


# ---- in words ----------------------------------------------------------------------------------------------------------


def _trouble(way: Way, ways: Sequence[Way], served: str, handed: str) -> Trouble:
    others = [each.method.value for each in ways if each.name == way.name and each.state is State.OK]
    instead = f'; or challenge = "{others[0]}", which works today' if others else ""
    stepwise = f"; or step by step, with a way back: {handed}" if handed else ""
    hint = f"{way.hint or 'see what is to change, above'}{instead}{stepwise}"
    what = f"{way.name} cannot be proven by {way.method.value}{' yet' if way.state is State.WAIT else ''}: {way.what}"
    return Trouble(what, served or "nothing was touched", hint, way.state is State.WAIT)


def _sentence(name: str, chosen: Sequence[Way], changes: Sequence[Change]) -> str:
    if not chosen:
        return f"nothing about {name} can be proven"
    state = worst([way.state for way in chosen])
    methods = ", ".join(dict.fromkeys(way.method.value for way in chosen))
    if state is State.OK:
        return f"{name} can be proven by {methods}; nothing has to change"
    if state is State.WARN:
        return f"whether {name} can be proven by {methods} is not known"
    count = (
        f"{len(changes)} {'record has' if len(changes) == 1 else 'records have'} to change first"
        if changes
        else "no record alone changes that"
    )
    return f"{name} cannot be proven by {methods} today; {count}"
