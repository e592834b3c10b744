"""What is found about a name that is to be proven: its labels, CAA, who answers over HTTP. Gathered here, judged elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from certbroker.broker.desk import Desk
from certbroker.broker.managing import Managed
from certbroker.broker.report import State
from certbroker.challenges import Means, caa
from certbroker.challenges.caa import Asker, CaaFinding, Standing
from certbroker.challenges.holding import Holding
from certbroker.errors import IssuanceError, NothingDone, ProviderError
from certbroker.model import Certificate, Method
from certbroker.names import base_name, is_address

IN_DNS: Final = (Method.DNS_01, Method.DNS_ACCOUNT_01, Method.DNS_PERSIST_01)


@dataclass(frozen=True, slots=True)
class NotYet:
    """Why there is no label to look at."""

    what: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found about one name that is proven (the wildcard where it is among the names)."""

    name: str
    holdings: Mapping[Method, Holding | NotYet]
    http: tuple[State, str, str]
    """Whether it can be answered over HTTP, by whom or why not, and a hint."""
    caa: Standing | CaaFinding
    """The set that is about the name, or the finding that says why that is not known."""
    issuers: tuple[str, ...] = ()
    """By which domains the CA goes; empty: it does not tell."""
    account_uri: str | None = None
    managed: tuple[Managed, ...] = ()
    leads_to: frozenset[str] = frozenset()
    """Addresses that the world finds for the name."""
    ours: frozenset[str] = frozenset()
    """Targets that serve ours for it."""

    @property
    def base(self) -> str:
        return base_name(self.name)

    def allowed(self, method: Method) -> CaaFinding:
        """What CAA says to an order of ours by that method."""
        asker = Asker(self.issuers, self.account_uri, method)
        return caa.judge(self.base, self.caa, asker, wildcard=self.name.startswith("*."))


def find(desk: Desk, name: str, issuer: str, certificate: Certificate | None, managed: Sequence[Managed]) -> Found:
    """Ask DNS, the solvers, and the CA's directory where it is not known yet. Never raises for what they say."""
    identities: tuple[str, ...] = ()
    trouble = ""
    try:
        identities = desk.issuer(issuer).directory().caa_identities
    except (IssuanceError, NothingDone) as error:
        trouble = error.what
    account = desk.store.account(issuer, desk.config.issuers[issuer].directory)
    uri = account.uri if account else None
    alias = certificate.alias if certificate else None
    means = [Means(m, uri, identities, None if m is Method.DNS_PERSIST_01 else alias) for m in IN_DNS]
    holdings = {each.method: _holding(desk, name, each, trouble, issuer) for each in means}
    served = (
        {row.target for row in desk.store.deployments(certificate.name) if row.phase.settled} if certificate else set()
    )
    addresses = desk.challenges().lookup.addresses(base_name(name)) if managed else ()
    return Found(
        name,
        holdings,
        _over_http(desk, name),
        _caa(desk, name),
        identities,
        uri,
        tuple(managed),
        frozenset(addresses),
        frozenset(served),
    )


def _holding(desk: Desk, name: str, means: Means, trouble: str, issuer: str) -> Holding | NotYet:
    if is_address(name):
        return NotYet("no record in DNS proves an address")
    if means.wants_account:
        return NotYet(f"it names our account at {issuer}, and there is none yet", f"certbroker account make {issuer}")
    if means.method is Method.DNS_PERSIST_01 and not means.issuers:
        return NotYet(trouble or f"{issuer} does not tell by which domain it is named")
    return desk.challenges().holding(name, means)


def _over_http(desk: Desk, name: str) -> tuple[State, str, str]:
    if name.startswith("*."):
        return State.FAIL, "nothing that is answered over HTTP proves a wildcard", ""
    try:
        solver = desk.challenges().answering(name)
        desk.challenges().prepare(name, Means(Method.HTTP_01))
    except (NothingDone, ProviderError) as error:
        return State.FAIL, error.what, error.hint or ""
    return State.OK, f"answered by solver {solver}, where {name} leads at port 80", ""


def _caa(desk: Desk, name: str) -> Standing | CaaFinding:
    if is_address(name):
        return Standing()  # RFC 8659 section 3: CAA speaks of domain names
    return caa.looked(base_name(name), desk.challenges().lookup)
