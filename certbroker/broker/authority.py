"""CAA as it stands and as it is to stand: one truth for `caa NAME` and `challenges NAME`.

It is to let the issuers of the file sign, for our accounts and by the methods in use, and nobody else. Where it is to stand, every
certificate of the file below that name counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from certbroker.broker.desk import Desk, nearest
from certbroker.broker.managing import Managed, managing
from certbroker.broker.report import State, Trouble, day, served_now
from certbroker.challenges import caa
from certbroker.challenges.caa import Asker, CaaFinding, Property, Standing, Use
from certbroker.challenges.holders import holder_of
from certbroker.errors import IssuanceError, NothingDone, ProviderError, UsageError
from certbroker.model import Certificate
from certbroker.names import NAME, base_name, covers, is_address, within

_STATES: Final = {"ok": State.OK, "warn": State.WARN, "fail": State.FAIL}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the set that is to stand. `state`: "ok" what stands allows the same, "none" nothing restricts it yet, "fail" what
    stands forbids it, "warn" not known."""

    state: State
    issuer: str | None
    """By its name in the file; None: it is about nobody in particular."""
    record: str
    """As it is written into the zone; empty if that is not known yet."""
    what: str
    note: str = ""
    """What could be better about it."""


@dataclass(frozen=True, slots=True)
class Other:
    """A line that stands and is none of ours, and whom it lets sign."""

    record: str
    what: str


@dataclass(frozen=True, slots=True)
class Loser:
    """Somebody who gets certificates by himself today and could not once the set is ours alone, in three answers."""

    what: str
    now: str
    hint: str


@dataclass(frozen=True, slots=True)
class Permissions:
    """The answer to `caa NAME`. `exit_code`: 1 if what stands forbids an order of ours, else 0."""

    certificate: str
    lines: tuple[Line, ...]
    stands: tuple[str, ...]
    """What is to be said of the set that stands, a sentence for each place."""
    others: tuple[Other, ...]
    losers: tuple[Loser, ...]
    unknown: tuple[str, ...]
    """What could not be found out."""
    troubles: tuple[Trouble, ...]
    """Orders of ours that what stands forbids."""
    exit_code: int


def permissions(desk: Desk, name: str) -> Permissions:
    """Look now: DNS, the CAs' directories where they are not known yet, and the platforms that get certificates by themselves.

    `name`: a certificate of the file, or a DNS name that one of them is for. Raises UsageError for any other.
    """
    certificate = certificate_of(desk, name)
    if certificate is None:
        hint = (
            "certbroker who-owns tells of any name"
            if NAME.fullmatch(name.lower())
            else nearest(name, desk.config.certificates)
        )
        raise UsageError(f"no certificate of the file is called {name} or is for it", hint=hint)
    survey = _Survey(desk)
    found = managing(desk, certificate.names, [a.target for a in certificate.assignments])
    lines: list[Line] = []
    others: list[Other] = []
    losers: list[Loser] = []
    stands: list[str] = []
    places = survey.places(certificate.names)
    for where in places:
        uses = survey.uses(where)
        lines += survey.lines(where, uses)
        standing = survey.at(where)
        stands.append(_sentence(where, standing))
        if isinstance(standing, Standing):
            ours = caa.wanted(uses)
            others += _others(where, standing, ours)
            here = [each for each in found.managed if each.active and within(base_name(each.name), [where])]
            losers += _losers(certificate.name, where, standing, [*ours, *_kept(standing)], uses, here)
            losers += survey.held(where, certificate, [each.platform for each in here])
    fails = dict.fromkeys(line.what for line in lines if line.state is State.FAIL)
    served = served_now(desk.store, certificate.name)
    return Permissions(
        certificate.name,
        tuple(dict.fromkeys(lines)),
        tuple(stands),
        tuple(dict.fromkeys(others)),
        tuple(dict.fromkeys(losers)),
        found.unknown,
        tuple(
            Trouble(f"{certificate.name} cannot be ordered: {what}", served, "add the lines above to the zone")
            for what in fails
        ),
        1 if fails else 0,
    )


def lines_of(desk: Desk, certificate: Certificate) -> list[Line]:
    """The lines for one certificate, as `challenges` shows them among its other records."""
    survey = _Survey(desk)
    places = survey.places(certificate.names)
    return list(dict.fromkeys(line for where in places for line in survey.lines(where, survey.uses(where))))


def certificate_of(desk: Desk, name: str) -> Certificate | None:
    """The certificate of that name in the file, else the first that is for that DNS name."""
    if name in desk.config.certificates:
        return desk.config.certificates[name]
    asked = name.lower().rstrip(".")
    certificates = desk.config.certificates.values()
    exact = next((c for c in certificates if asked in c.names), None)
    return exact or next((c for c in certificates if any(covers(each, asked) for each in c.names)), None)


class _Survey:
    """One answer's look at DNS: each name is asked about once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._found: dict[str, Standing | CaaFinding] = {}

    def at(self, base: str) -> Standing | CaaFinding:
        """The set that is about `base`, or why that is not known."""
        if base not in self._found:
            self._found[base] = caa.looked(base, self._desk.challenges().lookup)
        return self._found[base]

    def places(self, names: Sequence[str]) -> list[str]:
        """Where CAA is to stand: at the topmost of the names, and wherever below them a set stands, which hides the one above.

        At a CNAME nothing else can stand: there the records go up, to the first name that is none.
        """
        bases = dict.fromkeys(base_name(name) for name in names if not is_address(name))
        tops = [base for base in bases if within(base, [other for other in bases if other != base]) is None]
        found = dict.fromkeys(self._no_cname(top) for top in tops)
        for base in bases:
            standing = self.at(base)
            if isinstance(standing, Standing) and standing.alias is None and within(standing.where, tops):
                found.setdefault(standing.where)
        return list(found)

    def _no_cname(self, name: str) -> str:
        try:
            while self._desk.challenges().lookup.is_alias(name) and name.count(".") > 1:
                name = name.partition(".")[2]
        except ProviderError:
            pass  # what stands there is not known either, and that is said
        return name

    # ---- what is to stand ------------------------------------------------------------------------------------------------

    def uses(self, where: str) -> list[Use]:
        """What every certificate of the file makes of CAA at `where`; issuers that do not tell who they are are left out."""
        found = []
        for certificate, issuer, names in self._below(where):
            known = self._asker(certificate, issuer)
            if not isinstance(known, Line):
                stars = [name.startswith("*.") for name in names]
                use = Use(known.issuers[0], known.account_uri, certificate.challenge, not all(stars), any(stars))
                found.append(use)
        return list(dict.fromkeys(found))

    def lines(self, where: str, uses: Sequence[Use]) -> Iterator[Line]:
        """Each line of the set, and how what stands answers those whom it is for."""
        askers = list(self._below(where))
        for certificate, issuer, _ in askers:
            known = self._asker(certificate, issuer)
            if isinstance(known, Line):
                yield known
        for line in caa.wanted(uses):
            yield self._line(where, line, askers)
        if self._desk.config.iodef and uses:
            report = Property(0, "iodef", self._desk.config.iodef)
            standing = self.at(where)
            there = isinstance(standing, Standing) and standing.where == where and report in standing.properties
            what = "it stands" if there else "CAs tell there what they refused"
            yield Line(State.OK if there else State.NONE, None, str(caa.record(where, report)), what)

    def _line(self, where: str, line: Property, askers: Sequence[tuple[Certificate, str, Sequence[str]]]) -> Line:
        record = str(caa.record(where, line))
        if not line.issuer:
            return Line(
                State.NONE, None, record, "no certificate is for the name without the star: nobody signs for it"
            )
        name_of, state, what = "", State.OK, ""
        for certificate, issuer, names in askers:
            asker = self._asker(certificate, issuer)
            if isinstance(asker, Line) or (asker.issuers[0].lower(), asker.account_uri) != (
                line.issuer,
                line.parameters.get("accounturi"),
            ):
                continue
            name_of = name_of or issuer
            for name in (name for name in names if name.startswith("*.") == (line.tag == "issuewild")):
                one, said = self._judged(name, asker)
                if not what or one in (State.FAIL, State.WARN):
                    state, what = one, said
        known = line.parameters.get("accounturi") is not None
        note = "" if known else f"accounturi can be added once there is an account: certbroker account make {name_of}"
        return Line(state, name_of or None, record, what, note)

    def _judged(self, name: str, asker: Asker) -> tuple[State, str]:
        found = caa.judge(base_name(name), self.at(base_name(name)), asker, wildcard=name.startswith("*."))
        return State.NONE if found.state == "ok" and not found.stands else _STATES[found.state], found.what

    def _below(self, where: str) -> Iterator[tuple[Certificate, str, tuple[str, ...]]]:
        """Certificate, issuer, and the names that CAA at `where` is about."""
        for certificate in self._desk.config.certificates.values():
            names = tuple(n for n in certificate.names if not is_address(n) and within(base_name(n), [where]))
            for issuer in certificate.issuers if names else ():
                yield certificate, issuer, names

    def _asker(self, certificate: Certificate, issuer: str) -> Asker | Line:
        """Who asks there for us; a line that says why that is not known."""
        try:
            identities = self._desk.issuer(issuer).directory().caa_identities
        except (IssuanceError, NothingDone) as error:
            return Line(State.WARN, issuer, "", error.what)
        if not identities:
            return Line(State.NONE, issuer, "", f"{issuer} does not tell by which domain CAA may name it")
        account = self._desk.store.account(issuer, self._desk.config.issuers[issuer].directory)
        return Asker(tuple(identities), account.uri if account else None, certificate.challenge)

    def held(self, where: str, certificate: Certificate, told: Sequence[str]) -> Iterator[Loser]:
        """Platforms that hold a label and cannot be asked: whatever they renew by it would be refused too."""
        for base in dict.fromkeys(base_name(name) for name in certificate.names if within(base_name(name), [where])):
            try:
                end = self._desk.challenges().lookup.land(label := f"_acme-challenge.{base}").end
            except (ProviderError, NothingDone):
                continue
            holder = holder_of(end)
            if holder is not None and not holder.perhaps_ours and holder.name not in told:
                yield Loser(
                    f"{holder.name} holds {label}: a certificate for {base} that it renews by it is refused with these records alone",
                    "which one it is, and until when it lasts, is not known here",
                    f"ask {holder.name} by which CA it issues, and add a line for it; or let it end first",
                )


def _sentence(where: str, standing: Standing | CaaFinding) -> str:
    if not isinstance(standing, Standing):
        return f"what stands is not known: {standing.what}"
    if not standing.properties:
        return f"no CAA restricts {where} now: every CA may sign for it"
    via = f", where {standing.where} leads by a CNAME" if standing.alias else ""
    place = standing.alias or standing.where
    above = "" if standing.where == where else f", which is about {where} until a set stands there"
    return (
        f"now there {'are' if len(standing.properties) > 1 else 'is'} {len(standing.properties)} at {place}{via}{above}"
    )


def _others(where: str, standing: Standing, ours: Sequence[Property]) -> Iterator[Other]:
    """What stands at `where` itself and would have to go for the set to be ours alone."""
    if standing.where != where or standing.alias:
        return
    for each in standing.properties:
        if each.tag not in ("issue", "issuewild") or any(each.same(line) for line in ours):
            continue
        stars = " for wildcards" if each.tag == "issuewild" else ""
        mine = any(line.issuer == each.issuer for line in ours if line.issuer)
        account = each.parameters.get("accounturi")
        if not each.issuer:
            what = f"lets nobody sign{stars}"
        elif account:
            what = f"lets the account {account} have {each.issuer} sign{stars}"
        else:
            what = f"lets {'any account at ' if mine else ''}{each.issuer} {'have it sign' if mine else 'sign'}{stars}"
        yield Other(str(caa.record(where, each)), what)


def _kept(standing: Standing) -> list[Property]:
    """What is not about who may sign stays as it is."""
    return [each for each in standing.properties if each.tag not in ("issue", "issuewild")]


def _losers(
    certificate: str,
    where: str,
    standing: Standing,
    after: Sequence[Property],
    uses: Sequence[Use],
    managed: Sequence[Managed],
) -> Iterator[Loser]:
    """Whom the set that stands lets sign, and the one that is to stand would not. Pure."""
    wanted = replace(standing, where=where, properties=tuple(after), alias=None)
    for each in managed:
        ca, star = each.facts.authority, each.name.startswith("*.")
        account = next((use.account_uri for use in uses if use.issuer.lower() == ca), None)
        asker = Asker((ca,), account, None, stranger=True)
        if (ca and caa.refusals(standing, asker, wildcard=star)) or not caa.refusals(wanted, asker, wildcard=star):
            continue
        line = caa.wish("issuewild" if star else "issue", ca or "the domain of its CA", None, [])
        yield Loser(
            f"{each.platform} gets a certificate for {each.name} by itself ({each.target}): with these records alone "
            f"{ca or 'its CA'} refuses to renew it",
            _lasts(each),
            f"to let it go on, add {caa.record(where, line)} as well, which lets every account there have it sign; "
            f"or end it first: certbroker takeover {certificate}",
        )


def _lasts(each: Managed) -> str:
    if each.facts.ends:
        return f"it is there until {day(each.facts.ends)}"
    return "it waits for its proof" if each.facts.state == "pending" else "it is there"
