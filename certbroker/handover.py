"""From a platform's own certificate to ours, and back: facts in, numbered steps out, each with its way back. Pure.

A step says in words what is done, why, and how it is taken back. What takes an order, a push or a look is done by the one path
that does these for everybody; the steps are about what that path never touches: the platform's own certificate and the label
by which it is proven.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from certbroker.model import Certificate, Method
from certbroker.provider import ManagedFacts

TAKEOVER = "takeover"


def handback_of(target: str) -> str:
    """The name of the flow."""
    return f"handback {target}"


class Do(StrEnum):
    """What a step does. The first six are a takeover's, the others a handback's."""

    ORDER = "order"
    SERVE = "serve"
    POINT = "point"
    """A person's: DNS leads to the target's edges."""
    WATCH = "watch"
    RETIRE = "retire"
    FREE = "free"
    """The label by which the platform is proven becomes ours."""
    REQUEST = "request"
    YIELD = "yield"
    TIDY = "tidy"


@dataclass(frozen=True, slots=True)
class Label:
    """An `_acme-challenge` name that leads into somebody else's zone."""

    name: str
    leads_to: str
    holder: str
    """Who answers there; empty if nobody known."""
    solver: str | None
    """The one of ours that can take the CNAME away and put it back."""

    def __str__(self) -> str:
        return f"{self.name} (CNAME to {self.leads_to}{f', {self.holder}' if self.holder else ''})"


@dataclass(frozen=True, slots=True)
class Proving:
    """What could prove the names to the CA."""

    wanted: Method
    """What the file says."""
    labels: tuple[Label, ...] = ()
    """Those that dns-01 would need and that are not ours."""
    http: bool = False
    """A solver answers over HTTP for each name, and none is a wildcard."""
    below: bool = False
    """A solver writes below each label, which is all that dns-account-01 needs."""
    permitted: bool = False
    """The standing permission of dns-persist-01 is published for our account."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to prove the names. `lent`: labels that are ours for as long as the order takes."""

    method: Method
    lent: tuple[Label, ...] = ()


def ways(proving: Proving) -> tuple[Way, ...]:
    """The best first; whether the CA offers a method shows only when it is asked, and then the next one is tried."""
    if proving.wanted is not Method.DNS_01 or not proving.labels:
        return (Way(proving.wanted),)
    found = [Way(Method.DNS_PERSIST_01)] if proving.permitted else []
    found += [Way(Method.HTTP_01)] if proving.http else []
    found += [Way(Method.DNS_ACCOUNT_01)] if proving.below else []
    found += [Way(Method.DNS_01, proving.labels)] if all(label.solver for label in proving.labels) else []
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Place:
    """One target of the certificate, and what its platform has of its own."""

    target: str
    platform: str
    names: tuple[str, ...]
    own: Mapping[str, ManagedFacts] = field(default_factory=dict)
    """Only what is there or was asked for."""
    coexists: bool = False
    trades: bool = True
    """Its adapter can let one take the place of the other."""
    trouble: str = ""
    """Why it could not be asked."""

    @property
    def issued(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name in self.own and self.own[name].state == "issued")

    @property
    def elsewhere(self) -> str:
        """Where the platform serves its own, if not at this target's edges."""
        return ", ".join(sorted({each.elsewhere for each in self.own.values() if each.elsewhere}))


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a plan is made of. `held`: what is to be served exists already, by its labels."""

    certificate: Certificate
    proving: Proving
    places: tuple[Place, ...]
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `stop`: it cannot be carried out now, and why; `hint`: what to do about it."""

    do: Do
    target: str | None
    what: str
    way_back: str = ""
    why: str = ""
    on_request: bool = False
    stop: str = ""
    hint: str = ""

    @property
    def key(self) -> str:
        return f"{self.do} {self.target}" if self.target else self.do.value


def takeover(facts: Facts) -> tuple[Step, ...]:
    """From the platforms' own certificates to ours; what they have is ended last, and only on request."""
    places = [place for place in facts.places if place.own or place.trouble]
    places.sort(key=lambda place: not place.coexists)  # what is known to work comes first
    if not places:
        return ()
    steps = [] if facts.held else [_order(facts)]
    steps += [_serve(place) for place in places]
    steps += [_point(place) for place in places if place.elsewhere]
    listed = ", ".join(place.target for place in places)
    steps.append(Step(Do.WATCH, None, f"look until every edge of {listed} serves ours"))
    steps += [_retire(place) for place in places]
    if facts.proving.wanted is Method.DNS_01 and facts.proving.labels:
        steps.append(_free(facts.proving.labels))
    return tuple(steps)


def _order(facts: Facts) -> Step:
    c, labels = facts.certificate, facts.proving.labels
    found = ways(facts.proving)
    what = f"order {c.name} at {c.issuers[0]}"
    held = f"{_listed(labels)}, which {'is' if len(labels) == 1 else 'are'} not ours"
    if not found:
        stop = f"{c.name} cannot be ordered: it is proven at {held}, and nothing in the file proves its names without"
        hint = (
            "let a solver of the file write that CNAME too, add one that answers over HTTP, or delete the CNAME yourself for "
            f"the minutes that the order takes: certbroker takeover {c.name} --step 1"
        )
        return Step(Do.ORDER, None, what, stop=stop, hint=hint)
    said = [_said(way, offered=len(found) > 1 and way is not found[-1]) for way in found]
    why = f"dns-01, as the file has it, is proven at {held}" if labels else ""
    lent = [label for way in found for label in way.lent]
    back = f"the CNAME {', '.join(label.name for label in lent)} is put back; " if lent else ""
    kept = "the certificate stays in the store, served by nobody"
    return Step(Do.ORDER, None, f"{what}, proven by {', else '.join(said)}", way_back=back + kept, why=why)


def _said(way: Way, *, offered: bool) -> str:
    if way.lent:
        names = ", ".join(label.name for label in way.lent)
        return f"{way.method} while the CNAME {names} is away for the minutes of the order"
    return f"{way.method}{' if the CA offers it' if offered and way.method is not Method.HTTP_01 else ''}"


def _serve(place: Place) -> Step:
    p = place
    if p.trouble or not p.trades:
        stop = p.trouble or f"the adapter of {p.target} cannot let one certificate take the place of another"
        hint = (
            f"certbroker check {p.target}"
            if p.trouble
            else "leave the target out of the certificate, or use another adapter"
        )
        return Step(Do.SERVE, p.target, f"serve ours at {p.target}", stop=stop, hint=hint)
    if p.elsewhere:
        what = f"serve ours at {p.target} as well; {p.platform}'s own goes on at {p.elsewhere}, untouched"
        return Step(Do.SERVE, p.target, what, way_back="ours stays there, and nobody is sent there")
    if p.coexists:
        what = f"put ours at {p.target} in front of {p.platform}'s own, which stays behind it"
        return Step(Do.SERVE, p.target, what, way_back=f"ours is taken away, and {p.platform}'s own is served again")
    what = f"let ours take the place of {p.platform}'s own at {p.target}, if {p.platform} allows it; a refusal changes nothing"
    return Step(
        Do.SERVE, p.target, what, way_back=f"{p.platform}'s own takes its place again, if {p.platform} allows that"
    )


def _point(place: Place) -> Step:
    what = f"yours: point {', '.join(place.names)} at the edges of {place.target}"
    return Step(Do.POINT, place.target, what, way_back=f"yours: point them where {place.platform} serves its own")


def _retire(place: Place) -> Step:
    what = f"end {place.platform}'s own for {place.target}: it is renewed no more"
    back = f"it is asked for again, and {place.platform} proves the names anew"
    return Step(Do.RETIRE, place.target, what, way_back=back, on_request=True)


def _free(labels: Sequence[Label]) -> Step:
    names = ", ".join(label.name for label in labels)
    if all(label.solver for label in labels):
        what = f"delete the CNAME {names}, so that renewals by dns-01 are proven there"
        return Step(Do.FREE, None, what, way_back="the CNAME is put back", on_request=True)
    what = f"yours: delete the CNAME {names}, so that renewals by dns-01 are proven there"
    return Step(Do.FREE, None, what, way_back="yours: put the CNAME back", on_request=True)


def handback(place: Place) -> tuple[Step, ...]:
    """From ours to the platform's own, at one target."""
    p = place
    missing = [name for name in p.names if name not in p.issued]
    if p.trouble or not p.trades:
        stop = p.trouble or f"{p.target} has no certificates of its own to go back to"
        hint = (
            f"certbroker check {p.target}"
            if p.trouble
            else f"take {p.target} out of targets; what is served there stays"
        )
        return (Step(Do.YIELD, p.target, f"hand {p.target} back", stop=stop, hint=hint),)
    steps = []
    if missing:
        what = f"have {p.platform} get its own for {', '.join(missing)}; ours stays served meanwhile"
        steps.append(Step(Do.REQUEST, p.target, what, way_back="the request is taken back"))
    what = f"serve {p.platform}'s own at {p.target} instead of ours; where an edge serves nothing valid then, ours is put back at once"
    steps.append(Step(Do.YIELD, p.target, what, way_back="ours is pushed again"))
    steps.append(Step(Do.TIDY, p.target, f"remove what we made at {p.target} and nothing serves any more"))
    return tuple(steps)


def with_the_platform(rows: Iterable[tuple[str, str | None, str]]) -> frozenset[str]:
    """Targets that are not ours to push to. `rows`: what each step does, at which target, and its phase.

    A handback whose yield was begun, and a takeover whose serve was taken back.
    """
    return frozenset(
        target
        for do, target, phase in rows
        if target is not None
        and (
            (do == Do.YIELD and phase in ("begun", "waiting", "done"))
            or (do == Do.SERVE and phase in ("undoing", "undone"))
        )
    )


def _listed(labels: Sequence[Label]) -> str:
    return ", ".join(map(str, labels))
