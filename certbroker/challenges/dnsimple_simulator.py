"""DNSimple's API v2 from the other side, in memory, for tests and the sandbox.

Written from its documentation and shares no code with the solver. What the documentation leaves open is a switch:
`filters_apex`, `duplicate_error`, and `quotes` (False: as before December 2023).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from certbroker.testkit.simulator import Request, Response, Simulator

OnChange = Callable[[str, str, str, tuple[str, ...]], None]
"""Told after every change of TXT and CNAME: zone, full name, type, and the values that stand there now (without quotes)."""

HOUR_LIMIT: Final = 2400


@dataclass
class Account:
    """One account with its zones' names."""

    id: int
    name: str = "Example Account"
    email: str = "account@example.com"
    plan: str = "teams-v1-monthly"


@dataclass
class Token:
    """What a token may do. `account` None: a user token, which reaches every account. `zones` None: all of them."""

    account: int | None
    zones: frozenset[str] | None = None
    writes: bool = True


@dataclass
class Zone:
    """One zone and its records, by id."""

    id: int
    account: int
    name: str
    active: bool = True
    secondary: bool = False
    records: dict[int, dict[str, Any]] = field(default_factory=dict)


class DnsimpleSimulator(Simulator):
    """Answers at `/v2/...` and without the prefix. It begins with one account, one token for it, and `zones`."""

    def __init__(
        self,
        *,
        zones: tuple[str, ...] = (),
        account: int = 1010,
        on_change: OnChange = lambda zone, name, kind, values: None,
        now: Callable[[], datetime] = lambda: datetime(2026, 11, 23, 9, 0, tzinfo=UTC),
    ) -> None:
        super().__init__()
        self.accounts: dict[int, Account] = {}
        self.tokens: dict[str, Token] = {}
        self.zones: dict[str, Zone] = {}
        self.quotes = True
        self.filters_apex = True
        self.duplicate_error: dict[str, Any] = {
            "message": "Validation failed",
            "errors": {"base": ["Matching record already exists for this zone"]},
        }
        self.distribution: Callable[[int], bool | None] = lambda id_: True
        """By record id: distributed, not yet, or None (504)."""
        self.remaining = HOUR_LIMIT
        self._on_change = on_change
        self._now = now
        self._next = 0
        self.token = "dnsimple_a_0123456789abcdef"  # noqa: S105 - opens nothing but this simulator
        """An account token that may do everything in the first account."""
        self.add_account(account)
        self.add_token(self.token, account=account)
        for zone in zones:
            self.add_zone(zone, account=account)

    # ---- filling it --------------------------------------------------------------------------------------------------

    def add_account(self, id_: int, name: str = "Example Account") -> None:
        self.accounts[id_] = Account(id_, name)

    def add_token(
        self, text: str, *, account: int | None, zones: tuple[str, ...] | None = None, writes: bool = True
    ) -> None:
        self.tokens[text] = Token(account, frozenset(zones) if zones is not None else None, writes)

    def add_zone(self, name: str, *, account: int, active: bool = True, secondary: bool = False) -> None:
        zone = Zone(self._number(), account, name, active, secondary)
        self.zones[name] = zone
        self._add(
            zone,
            {"name": "", "type": "SOA", "content": "ns1.dnsimple.com admin.dnsimple.com 1 86400 7200 604800 300"},
            system=True,
        )
        for number in range(1, 5):
            self._add(zone, {"name": "", "type": "NS", "content": f"ns{number}.dnsimple.com"}, system=True)

    def add_record(self, zone: str, name: str, type_: str, content: str, *, parent: int | None = None) -> int:
        """As somebody else does it, past the API."""
        record = self._add(self.zones[zone], {"name": name, "type": type_, "content": content}, parent=parent)
        return int(record["id"])

    def values(self, zone: str, name: str, kind: str = "TXT") -> tuple[str, ...]:
        """The values of that type at a relative name."""
        records = self.zones[zone].records.values()
        return tuple(_bare(r["content"]) for r in records if r["type"] == kind and r["name"] == name)

    # ---- answering ---------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        if self.remaining <= 0:
            return self._rated(Response.of(429, {"message": "quota exceeded"}))
        self.remaining -= 1
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        token = self.tokens.get(text) if scheme == "Bearer" else None
        if token is None:
            return Response.of(401, {"message": "Authentication failed"})
        answer = self._route(request, token)
        return answer if answer.status == 404 else self._rated(answer)

    def _rated(self, answer: Response) -> Response:
        reset = int(self._now().timestamp()) // 3600 * 3600 + 3600
        headers = {
            "X-RateLimit-Limit": str(HOUR_LIMIT),
            "X-RateLimit-Remaining": str(max(self.remaining, 0)),
            "X-RateLimit-Reset": str(reset),
        }
        return Response(answer.status, answer.body, {**answer.headers, **headers})

    def _route(self, request: Request, token: Token) -> Response:
        parts = [unquote(part) for part in request.path.removeprefix("/v2").strip("/").split("/")]
        match request.method, parts:
            case "GET", ["whoami"]:
                return self._whoami(token)
            case "GET", ["accounts"]:
                mine = [a for a in self.accounts.values() if token.account in (None, a.id)]
                return Response.of(200, {"data": [self._account(account) for account in mine]})
            case _, [account, *rest] if account.isdigit() and int(account) in self.accounts:
                if token.account not in (None, int(account)):
                    return _not_found(f"Account `{account}` not found")
                return self._in_account(request, token, int(account), rest)
        return _not_found("Not found")

    def _in_account(self, request: Request, token: Token, account: int, parts: list[str]) -> Response:
        match request.method, parts:
            case "GET", ["zones"]:
                zones = sorted(self._visible(token, account), key=lambda zone: zone.name)
                wish = request.one("name_like")
                return self._page(request, [self._zone(zone) for zone in zones if wish in zone.name])
            case _, ["zones", name, *rest]:
                zone = next((z for z in self._visible(token, account) if z.name == name.lower()), None)
                if zone is None:
                    return _not_found(f"Zone `{name}` not found")
                if request.write and not token.writes:
                    return Response.of(403, {"message": f"Permission Denied. Required Scope: zones:{name}:write"})
                return self._in_zone(request, zone, rest)
            case "GET", ["domains"] if token.zones is not None:
                return Response.of(403, {"message": "Permission Denied. Required Scope: domains:*:read"})
        return _not_found("Not found")

    def _in_zone(self, request: Request, zone: Zone, parts: list[str]) -> Response:
        match request.method, parts:
            case "GET", []:
                return Response.of(200, {"data": self._zone(zone)})
            case "GET", ["distribution"]:
                return self._distribution(zone.id)
            case "GET", ["records"]:
                return self._page(request, self._filtered(request, zone))
            case "POST", ["records"]:
                return self._create(zone, request.json())
            case _, ["records", id_, *rest]:
                record = zone.records.get(int(id_)) if id_.isdigit() else None
                if record is None:
                    return _not_found(f"Record `{id_}` not found")
                return self._on_record(request, zone, record, rest)
        return _not_found("Not found")

    def _on_record(self, request: Request, zone: Zone, record: dict[str, Any], parts: list[str]) -> Response:
        match request.method, parts:
            case "GET", []:
                return Response.of(200, {"data": record})
            case "GET", ["distribution"]:
                return self._distribution(record["id"])
            case "PATCH", []:
                return self._change(zone, record, request.json())
            case "DELETE", []:
                if record["system_record"]:
                    return _invalid({"base": ["System records cannot be deleted"]})
                del zone.records[int(record["id"])]
                self._tell(zone, record)
                return Response(204)
        return _not_found("Not found")

    def _create(self, zone: Zone, wish: Any) -> Response:
        if not isinstance(wish, dict) or not isinstance(wish.get("type"), str):
            return _invalid({"record_type": ["can't be blank"]})
        if zone.secondary:
            return _invalid({"base": ["Zone is secondary"]})
        if "regions" in wish:
            return Response.of(412, {"message": "Your plan does not support regional records"})
        content = wish.get("content")
        if not isinstance(content, str) or not content.strip():
            return _invalid({"content": ["can't be blank"]})
        own = {"name": _relative(str(wish.get("name", ""))), "type": wish["type"].upper(), "content": content}
        own["content"] = self._stored(own["type"], content)
        there = [r for r in zone.records.values() if r["name"] == own["name"] and not r["system_record"]]
        if any(r["type"] == own["type"] and r["content"] == own["content"] for r in there):
            return Response.of(400, self.duplicate_error)
        full = f"{own['name']}.{zone.name}".strip(".")
        if own["type"] == "CNAME" and there:
            return _invalid({"base": [f"Another record already exists for {full}, cannot add a CNAME"]})
        if any(r["type"] == "CNAME" for r in there):
            return _invalid({"base": [f"A CNAME record exists for {full}, cannot add another record"]})
        record = self._add(zone, own, ttl=wish.get("ttl", 3600))
        return Response.of(201, {"data": record})

    def _change(self, zone: Zone, record: dict[str, Any], wish: Any) -> Response:
        if not isinstance(wish, dict) or record["system_record"]:
            return _invalid({"base": ["cannot be changed"]})
        if "content" in wish:
            record["content"] = self._stored(record["type"], str(wish["content"]))
        if "ttl" in wish:
            record["ttl"] = wish["ttl"]
        self._tell(zone, record)
        return Response.of(200, {"data": record})

    def _distribution(self, id_: int) -> Response:
        said = self.distribution(id_)
        if said is None:
            return Response.of(504, {"message": "Could not query zone, connection timed out"})
        return Response.of(200, {"data": {"distributed": said}})

    # ---- what it holds -----------------------------------------------------------------------------------------------

    def _add(
        self, zone: Zone, own: dict[str, str], *, ttl: int = 3600, system: bool = False, parent: int | None = None
    ) -> dict[str, Any]:
        record = {
            "id": self._number(),
            "zone_id": zone.name,
            "parent_id": parent,
            "name": own["name"],
            "content": own["content"],
            "ttl": ttl,
            "priority": None,
            "type": own["type"],
            "regions": ["global"],
            "system_record": system,
            "created_at": self._stamp(),
            "updated_at": self._stamp(),
        }
        zone.records[self._next] = record
        self._tell(zone, record)
        return record

    def _tell(self, zone: Zone, record: dict[str, Any]) -> None:
        if record["type"] in ("TXT", "CNAME"):
            full = f"{record['name']}.{zone.name}".strip(".")
            values = self.values(zone.name, record["name"], record["type"])
            self._on_change(zone.name, full, record["type"], values)

    def _stored(self, type_: str, content: str) -> str:
        if type_ != "TXT" or not self.quotes or (content.startswith('"') and content.endswith('"')):
            return content
        pieces = [content[start : start + 255] for start in range(0, len(content), 255)]
        return " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)

    def _filtered(self, request: Request, zone: Zone) -> list[dict[str, Any]]:
        records = list(zone.records.values())
        for key, value in request.query:
            if key == "name" and (value or self.filters_apex):
                records = [r for r in records if r["name"] == _relative(value)]
            elif key == "name_like":
                records = [r for r in records if value in r["name"]]
            elif key == "type":
                records = [r for r in records if r["type"] == value]
        return records

    def _page(self, request: Request, items: list[dict[str, Any]]) -> Response:
        page = max(int(request.one("page", "1")), 1)
        size = min(max(int(request.one("per_page", "30")), 1), 100)
        pagination = {
            "current_page": page,
            "per_page": size,
            "total_entries": len(items),
            "total_pages": max((len(items) + size - 1) // size, 1),
        }
        return Response.of(200, {"data": items[(page - 1) * size : page * size], "pagination": pagination})

    def _visible(self, token: Token, account: int) -> list[Zone]:
        mine = [zone for zone in self.zones.values() if zone.account == account]
        return mine if token.zones is None else [zone for zone in mine if zone.name in token.zones]

    def _whoami(self, token: Token) -> Response:
        if token.account is not None:
            return Response.of(200, {"data": {"user": None, "account": self._account(self.accounts[token.account])}})
        user = {"id": 1, "email": "user@example.com", "created_at": self._stamp(), "updated_at": self._stamp()}
        return Response.of(200, {"data": {"user": user, "account": None}})

    def _account(self, account: Account) -> dict[str, Any]:
        return {
            "id": account.id,
            "email": account.email,
            "name": account.name,
            "plan_identifier": account.plan,
            "created_at": self._stamp(),
            "updated_at": self._stamp(),
        }

    def _zone(self, zone: Zone) -> dict[str, Any]:
        return {
            "id": zone.id,
            "account_id": zone.account,
            "name": zone.name,
            "reverse": False,
            "secondary": zone.secondary,
            "last_transferred_at": None,
            "active": zone.active,
            "created_at": self._stamp(),
            "updated_at": self._stamp(),
        }

    def _stamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _number(self) -> int:
        self._next += 1
        return self._next


def _relative(name: str) -> str:
    return "" if name == "@" else name.lower()


def _bare(content: str) -> str:
    """What a name server would serve: the strings joined, quotes and backslashes taken off."""
    if not content.startswith('"'):
        return content
    text, inside, index = "", False, 0
    while index < len(content):
        letter = content[index]
        if letter == "\\":
            index += 1
            text += content[index]
        elif letter == '"':
            inside = not inside
        elif inside:
            text += letter
        index += 1
    return text


def _not_found(message: str) -> Response:
    return Response.of(404, {"message": message})


def _invalid(errors: dict[str, list[str]]) -> Response:
    return Response.of(400, {"message": "Validation failed", "errors": errors})
