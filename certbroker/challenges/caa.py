"""CAA: who may sign for a name, who is to, and what lies between (RFC 8659, with the parameters of RFC 8657).

A record that forbids stops an order; a look-up that fails only warns, because it is the CA's look-up that counts. Where DNSSEC is
broken the CA's look-up fails too: that stops the order. What a set allows is a pure question, asked of the set that stands and of the
set that is to stand alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import dns.exception
import dns.flags
import dns.name
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.CAA import CAA

from certbroker.challenges.dnssec import BrokenDnssec
from certbroker.challenges.lookup import Lookup, shown
from certbroker.errors import Unavailable
from certbroker.model import Method, Record

CRITICAL: Final = 128
KNOWN: Final = frozenset({"issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"})
Tag = Literal["issue", "issuewild"]


@dataclass(frozen=True, slots=True)
class Property:
    """One CAA record. `value` without its quotes."""

    flags: int
    tag: str
    value: str

    def __str__(self) -> str:
        quoted = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.flags} {self.tag} "{quoted}"'

    @property
    def issuer(self) -> str:
        """The domain of the CA that it is about, lower case; empty: nobody."""
        return self.value.partition(";")[0].strip().lower().rstrip(".")

    @property
    def parameters(self) -> dict[str, str]:
        """Those that are well formed; names in lower case."""
        parts = (part.partition("=") for part in self.value.split(";")[1:] if "=" in part)
        return {key.strip().lower(): value.strip() for key, _, value in parts}

    def same(self, other: Property) -> bool:
        """They say the same, however they are written."""
        mine, theirs = ((p.flags & CRITICAL, p.tag, p.issuer, p.parameters) for p in (self, other))
        return mine == theirs if self.tag in ("issue", "issuewild") else str(self) == str(other)


@dataclass(frozen=True, slots=True)
class Standing:
    """The set that is about a name. `where`: the name it was found at, going up; empty if nothing restricts the name."""

    where: str = ""
    properties: tuple[Property, ...] = ()
    proven: bool = False
    """The recursor proved it by DNSSEC."""
    alias: str | None = None
    """`where` is a CNAME to this name: its owner sets the records."""

    @property
    def unknown(self) -> str | None:
        """A critical property that no CA may pass over."""
        return next((p.tag for p in self.properties if p.flags & CRITICAL and p.tag not in KNOWN), None)

    def bearing(self, *, wildcard: bool) -> tuple[Property, ...]:
        """Those that decide; none: nothing is restricted (RFC 8659 section 4.3: issuewild stands before issue)."""
        wild = tuple(p for p in self.properties if p.tag == "issuewild")
        return wild if wildcard and wild else tuple(p for p in self.properties if p.tag == "issue")


@dataclass(frozen=True, slots=True)
class Asker:
    """A CA, an account there, and a way to prove names. `account_uri` None: it has none yet. `method` None: not known."""

    issuers: tuple[str, ...]
    account_uri: str | None
    method: Method | None
    stranger: bool = False
    """Somebody else's account, whose URL we do not know: a record for any account but `account_uri` may be for it."""


def refusals(standing: Standing, asker: Asker, *, wildcard: bool) -> list[str]:
    """Why this set does not let `asker` have a certificate signed, each reason once; empty if it does. Pure."""
    if standing.unknown is not None:
        return [f"{standing.where} has a critical CAA property {standing.unknown}, which no CA may pass over"]
    found = []
    for property_ in standing.bearing(wildcard=wildcard):
        refusal = _refusal(property_, asker)
        if refusal is None:
            return []
        found.append(refusal)
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class CaaFinding:
    """`state`: "ok" allowed, "warn" not known, "fail" forbidden."""

    state: Literal["ok", "warn", "fail"]
    name: str
    what: str
    hint: str | None = None
    stands: bool = False
    """There is a set of records that is about this name."""


def preflight(
    name: str, *, issuers: Sequence[str], account_uri: str | None, wildcard: bool, method: Method, lookup: Lookup
) -> list[CaaFinding]:
    """One finding for `name`.

    Args:
        issuers: the CA's identities, from the directory's `caaIdentities`.
        account_uri: our account, for `accounturi`; None if there is none yet.
        method: how the name is to be proven, for `validationmethods`.
    """
    return [judge(name, looked(name, lookup), Asker(tuple(issuers), account_uri, method), wildcard=wildcard)]


def looked(name: str, lookup: Lookup) -> Standing | CaaFinding:
    """The set that is about `name`; where it cannot be known, the finding that says so."""
    try:
        return look(name, lookup)
    except BrokenDnssec as error:
        return CaaFinding("fail", name, f"CAA of {name}: {error.what}", error.hint)
    except Unavailable as error:
        return CaaFinding("warn", name, f"CAA of {name} cannot be looked up: {error.what}", error.hint)


def judge(name: str, standing: Standing | CaaFinding, asker: Asker, *, wildcard: bool) -> CaaFinding:
    """What the set that stands says to an order of ours; what is not known stays so. Pure."""
    if isinstance(standing, CaaFinding):
        return standing
    where = standing.where
    if not standing.properties:
        return CaaFinding("ok", name, f"no CAA restricts {name}")
    if standing.unknown is not None:
        return CaaFinding("fail", name, refusals(standing, asker, wildcard=wildcard)[0], stands=True)
    bearing = standing.bearing(wildcard=wildcard)
    if not bearing:
        return CaaFinding("ok", name, f"CAA at {where} restricts nothing here", stands=True)
    refused = refusals(standing, asker, wildcard=wildcard)
    if not refused:
        signed = ", and DNSSEC proves it" if standing.proven else ""
        return CaaFinding("ok", name, f"CAA at {where} allows it{signed}", stands=True)
    if not asker.issuers:
        return CaaFinding("warn", name, f"{where} has CAA, and the CA does not tell its identity", stands=True)
    tag: Tag = "issuewild" if bearing[0].tag == "issuewild" else "issue"
    hint = (
        f"add {record(where, wish(tag, asker.issuers[0], asker.account_uri, [asker.method] if asker.method else []))}"
    )
    return CaaFinding("fail", name, f"CAA at {where} forbids it: {'; '.join(refused)}", hint, stands=True)


def look(name: str, lookup: Lookup) -> Standing:
    """The nearest CAA set going up (RFC 8659 section 3; aliases are followed at each step, by the recursor). Raises Unavailable."""
    step = dns.name.from_text(name)
    while step != dns.name.root:
        try:
            answer = lookup.query(step, RdataType.CAA)
            chain = answer.resolve_chaining()
        except dns.exception.DNSException:
            raise Unavailable(f"the answer for {shown(step)} cannot be read") from None
        except Unavailable:
            if len(step.labels) > 2:
                raise
            return Standing()  # a top level that does not answer is everybody's trouble, not this order's
        if chain.answer is not None and len(chain.answer):
            alias = shown(chain.canonical_name) if chain.cnames else None
            records = sorted((_property(r) for r in chain.answer if isinstance(r, CAA)), key=str)  # DNS has no order
            return Standing(shown(step), tuple(records), bool(answer.flags & dns.flags.AD), alias)
        step = step.parent()
    return Standing()


def _property(record: CAA) -> Property:
    return Property(record.flags, record.tag.decode("ascii", "replace").lower(), record.value.decode("latin-1"))


def pinned(name: str, *, wildcard: bool, lookup: Lookup) -> str | None:
    """The CAA set in force for `name` that lets only certain accounts order (RFC 8657), as text; None if there is none.

    Raises Unavailable if DNS does not tell.
    """
    standing = look(name, lookup)
    bearing = standing.bearing(wildcard=wildcard)
    if not bearing or not all("accounturi" in each.parameters for each in bearing):
        return None
    return "; ".join(f"{standing.where}.  CAA  {each}" for each in bearing)


def _refusal(property_: Property, asker: Asker) -> str | None:
    """Why this property does not allow it; None if it does."""
    domain, *rest = (part.strip() for part in property_.value.split(";"))
    if not domain:
        return "nobody may issue"
    if property_.issuer not in {identity.lower() for identity in asker.issuers}:
        return f"only {domain} may issue"
    for part in filter(None, rest):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            return f"the parameter {key} is malformed"
        if key.lower() == "accounturi" and (
            value == asker.account_uri if asker.stranger else value != asker.account_uri
        ):
            missing = asker.account_uri is None and not asker.stranger
            return f"only the account {value} may order" + (", and ours does not exist yet" if missing else "")
        methods = [method.strip() for method in value.split(",")]
        if key.lower() == "validationmethods" and asker.method is not None and asker.method not in methods:
            return f"only validation by {value}, and we use {asker.method}"
    return None


# ---- what is to stand --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Use:
    """One certificate's use of one CA below the place where CAA is to stand."""

    issuer: str
    """The domain that the CA goes by."""
    account_uri: str | None
    method: Method
    plain: bool
    """It has names without a star."""
    wildcard: bool


def wanted(uses: Iterable[Use]) -> list[Property]:
    """The set that lets these CAs sign, for our accounts alone and by the methods in use, and nobody else. Pure.

    Wildcards have lines of their own, so that a method for other names does not do for them. Where only wildcards are wanted, a line
    says so: without an `issue` every CA could sign the plain name.
    """
    uses = list(uses)
    plain = list(_lines("issue", [use for use in uses if use.plain]))
    wild = list(_lines("issuewild", [use for use in uses if use.wildcard]))
    return [*(plain or ([Property(0, "issue", ";")] if wild else [])), *wild]


def _lines(tag: Tag, uses: Sequence[Use]) -> Iterator[Property]:
    for issuer, account in dict.fromkeys((use.issuer, use.account_uri) for use in uses):
        methods = dict.fromkeys(use.method for use in uses if (use.issuer, use.account_uri) == (issuer, account))
        yield wish(tag, issuer, account, list(methods))


def wish(tag: Tag, issuer: str, account_uri: str | None, methods: Sequence[Method]) -> Property:
    """What lets this CA sign, for this account alone (once it is known) and by these methods alone."""
    parts = [issuer, *([f"accounturi={account_uri}"] if account_uri else [])]
    parts += [f"validationmethods={','.join(methods)}"] if methods else []
    return Property(0, tag, "; ".join(parts))


def record(where: str, property_: Property) -> Record:
    """As it is written into a zone."""
    return Record(where, "CAA", (str(property_),))
