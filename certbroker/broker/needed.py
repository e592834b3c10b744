"""`challenges NAME`: every record that a person creates once for a certificate, and how each stands. From DNS and the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from certbroker.broker.authority import lines_of
from certbroker.broker.desk import Desk
from certbroker.broker.report import State
from certbroker.challenges import Means
from certbroker.challenges.holders import holder_of
from certbroker.errors import IssuanceError, NothingDone, ProviderError
from certbroker.model import Certificate, Method

Purpose = Literal["delegation", "permission", "caa"]


@dataclass(frozen=True, slots=True)
class Needed:
    """One record. `state`: "ok" it stands, "wait" it is to be created, "fail" something else stands there, "warn" not known,
    "none" it may be created and need not be."""

    state: State
    purpose: Purpose
    issuer: str | None
    """Whom it is for; None: whoever is asked."""
    record: str
    """As it is written into the zone; empty if that is not known yet."""
    what: str


@dataclass(frozen=True, slots=True)
class Records:
    """All of one certificate. `exit_code`: 0 all that is needed stands, 3 something is to be created, 1 something is wrong."""

    certificate: str
    challenge: Method
    records: tuple[Needed, ...]
    exit_code: int


def challenges(desk: Desk, name: str) -> Records:
    """Look now. Makes no account and needs neither the vault nor a token. Raises UsageError for an unknown certificate."""
    certificate = desk.certificate(name)
    found = [*_delegations(desk, certificate), *_permissions(desk, certificate), *_caa(desk, certificate)]
    states = {each.state for each in found}
    code = 1 if State.FAIL in states else 3 if State.WAIT in states else 0
    return Records(name, certificate.challenge, tuple(dict.fromkeys(found)), code)


def _delegations(desk: Desk, certificate: Certificate) -> Iterator[Needed]:
    """The CNAMEs at the names where the CA looks for a TXT."""
    if certificate.challenge not in (Method.DNS_01, Method.DNS_ACCOUNT_01):
        return
    for issuer in certificate.issuers:
        mine = issuer if certificate.challenge is Method.DNS_ACCOUNT_01 else None
        means = desk.means(certificate, issuer)
        if means.wants_account:
            if certificate.alias:
                yield Needed(State.WAIT, "delegation", issuer, "", _no_account(certificate, issuer))
            continue
        for name in Means.asked(certificate.names):
            try:
                yield from _delegation(desk, name, means, mine)
            except (NothingDone, ProviderError) as error:
                state = State.FAIL if isinstance(error, NothingDone) else State.WARN
                yield Needed(state, "delegation", mine, "", error.what)


def _delegation(desk: Desk, name: str, means: Means, issuer: str | None) -> Iterator[Needed]:
    for verdict, record in desk.challenges().wanted(name, means):
        state = {"ok": State.OK, "missing": State.WAIT, "wrong": State.FAIL}[verdict.state]
        yield Needed(state, "delegation", issuer, str(record), verdict.why)
    if means.alias is not None:
        return
    owner = means.owner(name)
    way = desk.challenges().lookup.land(owner).end
    holder = holder_of(way)
    if way == owner:
        yield from _into_acme_dns(desk, owner, issuer)
        return
    stands = f"{owner}.  CNAME  {way}."
    if holder is None or holder.perhaps_ours:
        yield Needed(State.OK, "delegation", issuer, stands, "it stands; proofs go there")
    else:
        yield Needed(
            State.FAIL, "delegation", issuer, stands, f"held by {holder.name}; the CA would look for our proof there"
        )


def _into_acme_dns(desk: Desk, owner: str, issuer: str | None) -> Iterator[Needed]:
    """Nothing is in the way; but where acme-dns is all there is, a CNAME has to lead there."""
    writers = [solver for solver in desk.config.solvers.values() if solver.puts == "txt"]
    if writers and all(solver.type == "acme-dns" for solver in writers):
        targets = [each for solver in writers if (each := getattr(solver.options, "fulldomain", None))]
        record = f"{owner}.  CNAME  {targets[0]}." if targets else ""
        what = f"no solver writes to the zone of {owner}" + ("" if targets else "; it has to lead to a registration")
        yield Needed(State.WAIT, "delegation", issuer, record, what)


def _permissions(desk: Desk, certificate: Certificate) -> Iterator[Needed]:
    """The records of dns-persist-01: one a name and CA."""
    if certificate.challenge is not Method.DNS_PERSIST_01:
        return
    for issuer in certificate.issuers:
        try:
            means = desk.means(certificate, issuer)
        except (IssuanceError, NothingDone) as error:
            yield Needed(State.WARN, "permission", issuer, "", error.what)
            continue
        if means.wants_account:
            yield Needed(State.WAIT, "permission", issuer, "", _no_account(certificate, issuer))
            continue
        if not means.issuers:
            yield Needed(State.WARN, "permission", issuer, "", f"{issuer} does not tell by which domain it is named")
        for name in Means.asked(certificate.names):
            try:
                for verdict, record in desk.challenges().wanted(name, means):
                    state = {"ok": State.OK, "missing": State.WAIT, "wrong": State.FAIL}[verdict.state]
                    yield Needed(state, "permission", issuer, str(record), verdict.why)
            except (NothingDone, ProviderError) as error:
                yield Needed(State.WARN, "permission", issuer, "", error.what)


def _caa(desk: Desk, certificate: Certificate) -> Iterator[Needed]:
    """For each CA the lines that bind it to our account and to our methods; without any, every CA may sign."""
    for line in lines_of(desk, certificate):
        yield Needed(line.state, "caa", line.issuer, line.record, "; ".join(filter(None, (line.what, line.note))))


def _no_account(certificate: Certificate, issuer: str) -> str:
    return (
        f"it names our account at {issuer}, and there is none yet: certbroker renew {certificate.name} makes it, and orders "
        "nothing before the record stands"
    )
