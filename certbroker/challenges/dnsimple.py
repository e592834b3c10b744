"""DNSimple (API v2, https://developer.dnsimple.com/v2/).

    [solver.dnsimple]
    type  = "dnsimple"
    token = { env = "DNSIMPLE_TOKEN" }   # an account token scoped to these zones, full access to zones, nothing else

TXT content comes back in double quotes whatever was sent (since December 2023), so values are compared after parsing. A value
that stands there already is adopted and never removed. Records of the system and children of other records are left alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, field_validator

from certbroker.challenges.solver import ADOPTED, TTL, Alias, SolverContext, relative, safe_url, try_writing
from certbroker.config import Puts
from certbroker.errors import CredentialsRejected, Missing, Misunderstood, ProviderError, Rejected
from certbroker.model import JsonObject, Standing, Traits
from certbroker.names import within
from certbroker.secret import Secret, SecretRef
from certbroker.session import Answer, Session

PER_PAGE: Final = 100
MOST_PAGES: Final = 200
TRAITS: Final = Traits(calls_per_second=5.0, burst=10)
"""2400 calls an hour are allowed for the whole account; a run makes a few for each name."""

LEAST_RIGHTS: Final = "make an account token at dnsimple.com, Account > Access Tokens, with full access to these zones"


class DnsimpleSettings(BaseModel):
    """`[solver.NAME]` with `type = "dnsimple"`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    token: SecretRef = Field(
        description="account token with full access to these zones only: dnsimple.com, Account > Access Tokens"
    )
    account: int | None = Field(default=None, description="account id; needed if the token reaches several accounts")
    api: str = Field(default="https://api.dnsimple.com/v2", description="base URL of the API")

    @field_validator("api")
    @classmethod
    def _safe(cls, value: str) -> str:
        return safe_url(value)


class DnsimpleSolver:
    """One instance, one run: it lists accounts and zones once."""

    settings: ClassVar[type[BaseModel]] = DnsimpleSettings
    puts: ClassVar[Puts] = "txt"
    walks: ClassVar[bool] = False

    def __init__(self, settings: DnsimpleSettings, context: SolverContext) -> None:
        self._settings = settings
        self._context = context
        self._lock = threading.Lock()
        self._zones: dict[str, JsonObject] | None = None
        self._account: tuple[int, str] | None = None
        self._session: Session = context.session(
            service="DNSimple", base=settings.api, authorize=self._authorize, traits=TRAITS
        )

    @classmethod
    def open(cls, settings: Any, context: SolverContext) -> Self:
        return cls(settings, context)

    def _authorize(self) -> Mapping[str, Secret]:
        token = self._context.resolve(self._settings.token)
        return {"Authorization": Secret(f"Bearer {token.reveal()}")}

    # ---- the solver --------------------------------------------------------------------------------------------------

    def zone_for(self, name: str) -> str | None:
        """The longest zone of the account that holds `name`. Raises Rejected if that zone cannot serve a record."""
        zones = self._all_zones()
        zone = within(name, tuple(zones))
        if zone is None or (self._context.zones and within(name, self._context.zones) is None):
            return None
        if zones[zone].get("active") is False:
            raise Rejected(
                f"the zone {zone} is not active at DNSimple: its records do not resolve",
                hint=f"activate DNS for {zone} at DNSimple",
            )
        if zones[zone].get("secondary") is True:
            raise Rejected(
                f"DNSimple serves {zone} as a secondary: records come from its primary",
                hint="use a solver that writes to the primary, e.g. rfc2136",
            )
        return zone

    def present(self, zone: str, name: str, value: str) -> str:
        account, _ = self._my_account()
        standing = self._standing(account, zone, name, value)
        if standing is not None:
            return f"{ADOPTED} {account}/{standing}"
        body = {"name": relative(name, zone), "type": "TXT", "content": value, "ttl": TTL}
        try:
            answer = self._call("POST", f"/{account}/zones/{_segment(zone)}/records", json=body)
        except Rejected:
            standing = self._standing(
                account, zone, name, value
            )  # somebody was faster: the text of a 400 tells nothing
            if standing is None:
                raise
            return f"{ADOPTED} {account}/{standing}"
        return f"{account}/{_integer(_data(answer), 'id', answer)}"

    def clean_up(self, zone: str, name: str, value: str, handle: str | None) -> None:
        if handle is not None:
            account, _, id_ = handle.rpartition(" ")[2].partition("/")
            if not handle.startswith(ADOPTED):
                self._delete(account, zone, id_)
            return
        number, _ = self._my_account()
        for record in self._records(number, zone, name):
            if _is_ours(record) and content(record) == value:
                self._delete(str(number), zone, str(record.get("id")))

    # ---- CNAMEs (Lends) ----------------------------------------------------------------------------------------------

    def alias(self, zone: str, name: str) -> Alias | None:
        record = self._cname(zone, name)
        return None if record is None else _alias(record)

    def take_away(self, zone: str, name: str, alias: Alias) -> None:
        record = self._cname(zone, name)
        if record is None:
            return
        if _alias(record).target != alias.target:
            raise Rejected(
                f"{name} is a CNAME to {_alias(record).target} by now, and not to {alias.target}",
                hint="nothing was touched; look who changed it",
            )
        account, _ = self._my_account()
        self._delete(str(account), zone, str(record.get("id")))

    def put_back(self, zone: str, name: str, alias: Alias) -> None:
        record = self._cname(zone, name)
        if record is not None and _alias(record).target == alias.target:
            return
        account, _ = self._my_account()
        body = {"name": relative(name, zone), "type": "CNAME", "content": alias.target, "ttl": alias.ttl}
        self._call("POST", f"/{account}/zones/{_segment(zone)}/records", json=body)

    def _cname(self, zone: str, name: str) -> JsonObject | None:
        account, _ = self._my_account()
        return next((r for r in self._records(account, zone, name) if r.get("type") == "CNAME"), None)

    def spread(self, zone: str, handle: str) -> bool | None:
        """DNSimple's own look at all its name servers. Its sandbox and a busy service do not know."""
        account, _, id_ = handle.rpartition(" ")[2].partition("/")
        try:
            answer = self._call("GET", f"/{account}/zones/{_segment(zone)}/records/{id_}/distribution")
        except ProviderError:
            return None
        said = _data(answer).get("distributed")
        return said if isinstance(said, bool) else None

    def check(self, *, write: bool = False) -> Standing:
        account, title = self._my_account()
        zones = self._all_zones()
        wanted = self._context.zones
        unseen = [zone for zone in wanted if zone not in zones]
        if unseen:
            raise Missing(
                f"the token does not see {', '.join(unseen)} in account {account}",
                hint=f"{LEAST_RIGHTS}, or correct zones",
            )
        asleep = [f"the zone {zone} is not active" for zone, data in zones.items() if data.get("active") is False]
        remarks = asleep if not wanted else [text for text in asleep if text.split()[2] in wanted]
        usable = [zone for zone, data in zones.items() if data.get("active") is not False and not data.get("secondary")]
        if write:
            chosen = [zone for zone in usable if not wanted or zone in wanted]
            remarks += [try_writing(self, zone, self._context.random) for zone in chosen]
        sees = (
            f"sees {len(wanted)} of {len(wanted)} zones"
            if wanted
            else f"sees {len(zones)} zone{'' if len(zones) == 1 else 's'}"
        )
        reach = sees if write else f"{sees}; writing not tried"
        return Standing("token", account=f"{account} ({title})", reach=reach, remarks=tuple(remarks))

    # ---- what DNSimple offers ----------------------------------------------------------------------------------------

    def _my_account(self) -> tuple[int, str]:
        """Id and name. Every path needs the id; an account token tells it, a user token reaches several."""
        with self._lock:
            if self._account is None:
                self._account = self._find_account()
            return self._account

    def _find_account(self) -> tuple[int, str]:
        answer = self._call("GET", "/whoami")
        account = _data(answer).get("account")
        configured = self._settings.account
        if isinstance(account, dict):
            id_ = _integer(account, "id", answer)
            if configured not in (None, id_):
                raise Missing(f"the token is one of account {id_}, not of {configured}", hint=f"account = {id_}")
            return id_, str(account.get("name") or account.get("email") or "")
        answer = self._call("GET", "/accounts")
        accounts = {_integer(each, "id", answer): str(each.get("name") or "") for each in _list(answer)}
        listed = ", ".join(f"{id_} ({name})" if name else str(id_) for id_, name in sorted(accounts.items()))
        if configured is not None:
            if configured not in accounts:
                raise Missing(f"the token does not reach account {configured}, only {listed or 'none'}")
            return configured, accounts[configured]
        if len(accounts) != 1:
            raise Rejected(f"the token reaches {len(accounts)} accounts: {listed}", hint="account = NUMBER")
        return next(iter(accounts.items()))

    def _all_zones(self) -> dict[str, JsonObject]:
        account, _ = self._my_account()
        with self._lock:
            if self._zones is None:
                path = f"/{account}/zones"
                self._zones = {str(z.get("name", "")).lower(): z for z in self._pages(path, [("sort", "name:asc")])}
            return self._zones

    def _records(self, account: int, zone: str, name: str) -> list[JsonObject]:
        """All records at exactly this name, of any type."""
        own = relative(name, zone)
        path = f"/{account}/zones/{_segment(zone)}/records"
        return [r for r in self._pages(path, [("name", own)]) if str(r.get("name", "")).lower() == own]

    def _standing(self, account: int, zone: str, name: str, value: str) -> int | None:
        """The id of the TXT with this value. Raises Rejected if a CNAME stands there, which excludes every TXT."""
        records = self._records(account, zone, name)
        for record in records:
            if record.get("type") == "CNAME":
                raise Rejected(
                    f"a CNAME to {record.get('content')} stands at {name}: no TXT can be added",
                    hint=f"delete the CNAME {name}",
                )
        found = (r.get("id") for r in records if _is_ours(r) and content(r) == value)
        return next((id_ for id_ in found if isinstance(id_, int)), None)

    def _delete(self, account: str, zone: str, id_: str) -> None:
        try:
            self._call("DELETE", f"/{account}/zones/{_segment(zone)}/records/{id_}")
        except Missing:
            return

    def _pages(self, path: str, query: list[tuple[str, str]]) -> Iterator[JsonObject]:
        for page in range(1, MOST_PAGES + 1):
            answer = self._call("GET", path, query=[*query, ("page", str(page)), ("per_page", str(PER_PAGE))])
            yield from _list(answer)
            pagination = answer.object().get("pagination")
            last = pagination.get("total_pages") if isinstance(pagination, dict) else None
            if not isinstance(last, int) or page >= last:
                return

    def _call(self, method: str, path: str, *, query: list[tuple[str, str]] | None = None, json: Any = None) -> Answer:
        try:
            return self._session.call(method, path, query=query or (), json=json)
        except CredentialsRejected as error:
            raise CredentialsRejected(error.what, hint=error.hint or LEAST_RIGHTS, status=error.status) from None


def content(record: JsonObject) -> str:
    """The value of a TXT record, without the quotes DNSimple puts around it."""
    text = str(record.get("content", ""))
    if not (len(text) > 1 and text.startswith('"') and text.endswith('"')):
        return text
    import dns.exception
    import dns.rdata
    import dns.rdataclass
    import dns.rdatatype
    from dns.rdtypes.ANY.TXT import TXT

    try:
        parsed = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.TXT, text)
    except dns.exception.DNSException:
        return text
    return b"".join(parsed.strings).decode("latin-1") if isinstance(parsed, TXT) else text


def _alias(record: JsonObject) -> Alias:
    ttl = record.get("ttl")
    return Alias(str(record.get("content", "")).rstrip(".").lower(), ttl if isinstance(ttl, int) else TTL)


def _is_ours(record: JsonObject) -> bool:
    """A TXT that a client may have written: the system's, and those that another record brings along, are not."""
    return record.get("type") == "TXT" and not record.get("system_record") and record.get("parent_id") is None


def _segment(zone: str) -> str:
    return quote(zone, safe="")


def _data(answer: Answer) -> JsonObject:
    data = answer.object().get("data")
    if not isinstance(data, dict):
        raise Misunderstood("DNSimple answered without data", status=answer.status)
    return data


def _list(answer: Answer) -> list[JsonObject]:
    data = answer.object().get("data")
    if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
        raise Misunderstood("DNSimple answered without a list of data", status=answer.status)
    return data


def _integer(data: JsonObject, key: str, answer: Answer) -> int:
    value = data.get(key)
    if not isinstance(value, int):
        raise Misunderstood(f"DNSimple answered without {key}", status=answer.status)
    return value
