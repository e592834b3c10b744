"""The other side of Fly's certificate calls: an in-memory Machines API with the documented rules, quirks and open questions.

Written from the contract, not from the adapter. Bad days of the line (502, 429, a reset after the effect, HTML) are the
base's faults; what is Fly's own, or nobody knows, is a quirk.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import unquote

from certbroker.testkit.embedded import House
from certbroker.testkit.simulator import Request, Response, Simulator
from certbroker.world import SystemClock
from certbroker_fly.answers import Answers, error
from certbroker_fly.estate import FlyApp, Held, Lookup, Managed, Pair, Refusal, look, read_upload, short_id
from certbroker_fly.quirks import Quirks

__all__ = ["FlyApp", "FlySimulator", "Quirks"]


@dataclass(frozen=True, slots=True)
class _Grant:
    """What a token may do. No `apps`: every app of `org`."""

    id: str
    org: str
    apps: tuple[str, ...] = ()
    user: str = ""
    readonly: bool = False

    def covers(self, app: FlyApp) -> bool:
        return app.org == self.org and (not self.apps or app.name in self.apps)


@dataclass(frozen=True, slots=True)
class _Moment:
    """What the edges were told at one moment: per hostname the candidates, best first, each with its end."""

    at: datetime
    number: int
    served: Mapping[str, tuple[tuple[Pair, datetime], ...]]


class FlySimulator(Simulator):
    """Several apps, organisations and tokens.

    Args:
        clock: the time of day, aware; the machine's by default.
        apps: names, or FlyApp values for organisations and addresses; a name alone gets one address of each family.
        lookup: DNS as Fly sees it; the default world has no records.
        managed_issuer: issues Fly's own certificates; without it they are listed and cannot be served.
        on_change: called under the simulator's lock when what edges serve has changed; not for a delay that is over.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        apps: Iterable[str | FlyApp] = ("site-blue",),
        lookup: Lookup = lambda name, kind: (),
        managed_issuer: Callable[[str], Pair] | None = None,
        on_change: Callable[[], None] | None = None,
        quirks: Quirks | None = None,
    ) -> None:
        super().__init__()
        self.quirks = quirks or Quirks()
        self.apps: dict[str, FlyApp] = {}
        self.on_change = on_change
        self._now = clock or SystemClock().now
        self._lookup = lookup
        self._managed_issuer = managed_issuer
        self._held: dict[str, dict[str, Held]] = {}
        self._grants: dict[str, _Grant] = {}
        self._told: dict[str, list[_Moment]] = {}
        self._stale: dict[str, int] = {}
        self._conflicts = 0
        self._calls: dict[tuple[str, str], datetime] = {}
        for app in apps:
            self.add_app(app)

    @classmethod
    def embed(cls, house: House) -> Self:
        """Two apps of one organisation, for blue/green, each with a deploy token of its own."""
        blue = FlyApp("site-blue", v4=("203.0.113.10",), v6=("2001:db8:f::10",))
        green = FlyApp("site-green", v4=("203.0.113.20",), v6=("2001:db8:f::20",))
        return cls(clock=house.clock, apps=(blue, green), lookup=house.lookup, managed_issuer=house.managed)

    def tables(self, url: str) -> str:
        """One target per app, called `fly-blue` for `site-blue`."""
        return "\n".join(
            f"""[target.{_target(name)}]
type = "fly"
app = "{name}"
token = {{ env = "{_variable(name)}" }}
api = "{url}"
ownership = "publish"
accept_untrusted = true
"""
            for name in self.apps
        )

    @property
    def secrets(self) -> Mapping[str, str]:
        return {_variable(name): self.deploy_token(name) for name in self.apps}

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(address for app in self.apps.values() for address in (*app.v4, *app.v6))

    def serving_at(self, address: str) -> Mapping[str, Pair]:
        """What the edge at that address presents. Two apps may share a v4: then it serves what either has."""
        found: dict[str, Pair] = {}
        for app in self.apps.values():
            if address in (*app.v4, *app.v6):
                found = {**self.serving(app.name, address), **found}
        return found

    def add_app(self, app: str | FlyApp) -> FlyApp:
        """One more app, as `fly apps create` makes it."""
        if isinstance(app, str):
            number = len(self.apps)
            app = FlyApp(app, v4=(f"137.66.0.{10 + number}",), v6=(f"2a09:8280:1::1:{0xABCD + number:x}",))
        with self._lock:
            self.apps[app.name] = app
            self._held[app.name] = {}
            self._told[app.name] = []
        return app

    def deploy_token(self, app: str, *, readonly: bool = False) -> str:
        """As `fly tokens create deploy -a APP` prints it: the scheme, then the macaroon."""
        token = f"fm2_deploy{'r' * readonly}{short_id(app)}{short_id(f'secret {app}')}"
        self.accept(token, org=self.apps[app].org, apps=(app,), readonly=readonly)
        return f"FlyV1 {token}"

    def org_token(self, org: str) -> str:
        """As `fly tokens create org` prints it."""
        token = f"fm2_org{short_id(org)}{short_id(f'secret {org}')}"
        self.accept(token, org=org)
        return f"FlyV1 {token}"

    def accept(
        self, token: str, *, org: str, apps: tuple[str, ...] = (), user: str = "", readonly: bool = False
    ) -> None:
        """Let this token in (without its scheme). No `apps`: the whole organisation."""
        with self._lock:
            self._grants[token] = _Grant(short_id(token), org, apps, user, readonly)

    def revoke(self, token: str) -> None:
        with self._lock:
            del self._grants[token.removeprefix("FlyV1 ")]

    def manage(self, app: str, hostname: str) -> None:
        """Give a hostname a certificate of Fly's own, as a finished `fly certs add` leaves it."""
        with self._lock:
            held = self._hold(self.apps[app], hostname)
            held.acme_requested = True
            self._issue(held)
            self._tell(self.apps[app])

    def remove(self, app: str, *hostnames: str) -> None:
        """As `fly certs remove` does it."""
        with self._lock:
            for hostname in hostnames:
                self._held[app].pop(hostname, None)
            self._tell(self.apps[app])

    def serving(self, app: str, address: str = "") -> Mapping[str, Pair]:
        """What the app's edge at `address` presents, per hostname: the active custom certificate first, then Fly's own."""
        with self._lock:
            now = self._now()
            known = now - self.quirks.propagation.get(address, timedelta())
            latest = self._stale.get(address)
            told = [
                moment
                for moment in self._told[app]
                if moment.at <= known and (latest is None or moment.number <= latest)
            ]
            served = told[-1].served if told else {}
            return {
                hostname: next((pair for pair, ends in pairs if ends > now), pairs[0][0])
                if self.quirks.expired_falls_back
                else pairs[0][0]
                for hostname, pairs in served.items()
            }

    def remember(self) -> Callable[[], None]:
        with self._lock:
            held = {app: {name: each.copy() for name, each in there.items()} for app, there in self._held.items()}
            told = {app: list(moments) for app, moments in self._told.items()}
            stale = dict(self._stale)

        def put_back() -> None:
            with self._lock:
                self._held = {app: {name: each.copy() for name, each in there.items()} for app, there in held.items()}
                self._told = {app: list(moments) for app, moments in told.items()}
                self._stale = dict(stale)

        return put_back

    def stored(self, app: str) -> Mapping[str, Mapping[str, str]]:
        """The chains kept per hostname, served or not, under `custom` and `fly`."""
        with self._lock:
            return {
                name: {
                    **({"custom": held.custom.pair[0]} if held.custom else {}),
                    **({"fly": held.managed.pair[0] if held.managed.pair else ""} if held.managed else {}),
                }
                for name, held in self._held[app].items()
            }

    def freeze(self, address: str) -> None:
        """From now on the edge at `address` hears of no change: the stale one."""
        with self._lock:
            self._stale[address] = sum(len(moments) for moments in self._told.values())

    def thaw(self, address: str) -> None:
        with self._lock:
            self._stale.pop(address, None)

    @property
    def _answers(self) -> Answers:
        return Answers(self.quirks)

    def answer(self, request: Request) -> Response:
        response = self._answer(request)
        headers = {**response.headers, "fly-request-id": f"01J{len(self.requests):023d}-ams"}
        return Response(response.status, response.body, headers)

    def _answer(self, request: Request) -> Response:
        grants = self._granted(request.headers.get("Authorization", ""))
        if not grants:
            return error(401, "unauthorized")
        match [unquote(part) for part in request.path.split("/")[1:]]:
            case ["v1", "tokens", "current"] if request.method == "GET":
                return Response.of(200, {"tokens": [self._token(grant) for grant in grants]})
            case ["v1", "apps", name, *rest]:
                app = self.apps.get(name)
                if app is None:
                    return error(404, "app not found")
                mine = [grant for grant in grants if grant.covers(app)]
                if not mine:
                    return error(404, "app not found") if self.quirks.hides_apps else error(403, "unauthorized")
                if request.write and all(grant.readonly for grant in mine):
                    checking = rest[-1:] == ["check"] and self.quirks.readonly_checks
                    if not checking:
                        return error(403, "unauthorized")
                return self._limited(app, request, rest) or self._for_app(app, request, rest)
        return error(404, "not found")

    def _for_app(self, app: FlyApp, request: Request, rest: list[str]) -> Response:
        match request.method, rest:
            case "GET", ["ip_assignments"]:
                return Response.of(200, self._answers.addresses(app, self._now()))
            case "GET", ["certificates"]:
                return self._list(app, request)
            case "POST", ["certificates", "custom"]:
                return self._import(app, request)
            case "POST", ["certificates", "acme"]:
                return self._request_acme(app, request)
            case method, ["certificates", hostname, *verb]:
                held = self._held[app.name].get(hostname.lower())
                if held is None:
                    return error(404, "certificate not found")
                return self._for_hostname(app, held, method, verb)
        return error(404, "not found")

    def _for_hostname(self, app: FlyApp, held: Held, method: str, verb: list[str]) -> Response:
        match method, verb:
            case "GET", []:
                wait = self.quirks.rechecks_after
                if wait is not None and (held.looked is None or self._now() - held.looked >= wait):
                    self._check(app, held)
                return Response.of(200, self._answers.detail(app, held))
            case "POST", ["check"]:
                self._check(app, held)
                return Response.of(200, self._answers.detail(app, held, dns_records=self._answers.records(held)))
            case "DELETE", []:
                del self._held[app.name][held.name]
                self._tell(app)
                return Response(204)
            case "DELETE", ["acme"]:
                held.acme_requested, held.managed, held.updated = False, None, self._now()
                self._tell(app)
                return Response.of(200, self._answers.detail(app, held))
            case "DELETE", ["custom"] if held.custom:
                held.custom, held.updated = None, self._now()
                self._tell(app)
                warning = None if held.managed else self.quirks.warning
                return Response.of(200, self._answers.detail(app, held, warning=warning))
        return error(404, "certificate not found")

    def _import(self, app: FlyApp, request: Request) -> Response:
        body = request.json()
        texts = [body.get(key) if isinstance(body, dict) else None for key in ("hostname", "fullchain", "private_key")]
        if not all(isinstance(text, str) and text for text in texts):
            return error(self.quirks.malformed_status, "hostname, fullchain and private_key are required")
        hostname, fullchain, private_key = (str(text) for text in texts)
        hostname = hostname.lower()
        now = self._now()
        try:
            custom = read_upload(
                hostname,
                fullchain,
                private_key,
                now,
                wildcards=self.quirks.wildcards,
                old_keys=self.quirks.old_keys,
            )
        except Refusal as refusal:
            return error(422, str(refusal))
        elsewhere = any(
            held.custom
            for name, hostnames in self._held.items()
            if name != app.name and (held := hostnames.get(hostname))
        )
        if elsewhere and self.quirks.one_app_per_name:
            return error(self.quirks.refusal_status, "Hostname already exists on another app")
        there = self._held[app.name].get(hostname)
        if there and there.custom and self._conflicts < self.quirks.repost_conflicts:
            self._conflicts += 1
            return error(409, "hostname is being changed")
        held = self._hold(app, hostname)
        if held.custom:  # a name proven once stays proven, unless this Fly forgets
            custom.active = held.custom.active
        held.custom, held.updated = custom, now
        self._check(app, held)
        return Response.of(201, self._answers.detail(app, held))

    def _request_acme(self, app: FlyApp, request: Request) -> Response:
        body = request.json()
        hostname = body.get("hostname") if isinstance(body, dict) else None
        if not isinstance(hostname, str) or not hostname:
            return error(400, "hostname is required")
        there = self._held[app.name].get(hostname.lower())
        if there and there.acme_requested:
            return error(422, "Hostname already exists on app")
        held = self._hold(app, hostname)
        held.acme_requested = True
        self._check(app, held)
        return Response.of(201, self._answers.detail(app, held))

    def _list(self, app: FlyApp, request: Request) -> Response:
        found = [held for held in self._held[app.name].values() if request.one("filter").lower() in held.name]
        found.sort(key=lambda held: held.name)
        if self.quirks.newest_first:
            found.sort(key=lambda held: held.created, reverse=True)
        try:
            limit = min(max(int(request.one("limit", "25")), 1), 500)
            start = int(base64.urlsafe_b64decode(request.one("cursor") or "MA=="))
        except (ValueError, binascii.Error):
            return error(400, "invalid limit or cursor")
        more = start + limit < len(found)
        cursor = base64.urlsafe_b64encode(str(start + limit).encode()).decode() if more else None
        return Response.of(200, self._answers.page(found[start : start + limit], cursor, len(found)))

    def _hold(self, app: FlyApp, hostname: str) -> Held:
        now = self._now()
        return self._held[app.name].setdefault(hostname.lower(), Held(hostname.lower(), now, now))

    def _check(self, app: FlyApp, held: Held) -> None:
        """Look at DNS; what follows from it: a custom certificate is taken into use, a requested one is issued."""
        held.sight, held.looked = look(app, held, self._lookup), self._now()
        if held.custom:
            kept = held.custom.active and self.quirks.ownership_lost == "keep"
            held.custom.active = held.owned or kept
        routed = held.sight.routed and not held.name.startswith("*.")
        if held.acme_requested and held.managed is None and (held.sight.dns or routed):
            self._issue(held)
        self._tell(app)

    def _issue(self, held: Held) -> None:
        now = self._now()
        pair = self._managed_issuer(held.name) if self._managed_issuer else None
        held.managed = Managed(pair, now, now + timedelta(days=90))

    def _tell(self, app: FlyApp) -> None:
        served = {}
        for held in self._held[app.name].values():
            pairs = [(held.custom.pair, held.custom.ends)] if held.custom and held.custom.active else []
            if held.managed and held.managed.pair:
                pairs.append((held.managed.pair, held.managed.ends))
            if pairs:
                served[held.name] = tuple(pairs)
        told = self._told[app.name]
        if (told[-1].served if told else {}) == served:
            return
        number = 1 + sum(len(moments) for moments in self._told.values())
        told.append(_Moment(self._now(), number, served))
        if self.on_change:
            self.on_change()

    def _limited(self, app: FlyApp, request: Request, rest: list[str]) -> Response | None:
        """One a second per app and action, a burst of three (Fly's documented limits)."""
        if not self.quirks.rate_limit:
            return None
        collection = len(rest) < 2 or (request.method == "POST" and len(rest) == 2)
        action = " ".join([request.method, *(rest if collection else ["hostname", *rest[2:]])])
        now = self._now()
        longest = now - timedelta(seconds=2)
        ready = max(self._calls.get((app.name, action), longest), longest)
        if ready > now:
            headers = {"Retry-After": "1"} if self.quirks.retry_after else {}
            return Response.of(429, {"error": "rate limit exceeded"}, **headers)
        self._calls[(app.name, action)] = ready + timedelta(seconds=1)
        return None

    def _granted(self, header: str) -> list[_Grant]:
        scheme, _, value = header.partition(" ")
        if scheme not in ("FlyV1", "Bearer"):
            return []
        return [self._grants[token] for token in value.split(",") if token in self._grants]

    def _token(self, grant: _Grant) -> dict[str, Any]:
        value: dict[str, Any] = {"token_id": grant.id, "org_slug": grant.org, "organization": grant.org}
        if grant.apps:
            value["apps"] = list(grant.apps)
        if grant.user:
            value["user"] = grant.user
        return value


def _target(app: str) -> str:
    return f"fly-{app.removeprefix('site-')}"


def _variable(app: str) -> str:
    return f"FLY_TOKEN_{app.removeprefix('site-').upper().replace('-', '_')}"
