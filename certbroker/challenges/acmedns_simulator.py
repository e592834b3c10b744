"""acme-dns from the other side, in memory: its three calls, its two slots, its one word for every mistake."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from certbroker.testkit.simulator import Request, Response, Simulator

OnChange = Callable[[str, str, tuple[str, ...]], None]
"""Told after every update: zone, full name, and the values that stand there now."""


@dataclass
class Registered:
    """One registration. `values` oldest first, at most two."""

    username: str
    password: str
    subdomain: str
    allowfrom: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)


class AcmeDnsSimulator(Simulator):
    """Registrations are numbered, so that runs repeat."""

    def __init__(
        self, domain: str = "auth.example.org", *, on_change: OnChange = lambda zone, name, values: None
    ) -> None:
        super().__init__()
        self.domain = domain
        self.registrations: dict[str, Registered] = {}
        self.open_registration = True
        self._on_change = on_change

    def register(self, allowfrom: list[str] | None = None) -> Registered:
        number = len(self.registrations) + 1
        made = Registered(
            username=str(UUID(int=1000 + number)),
            password=f"{number:040d}",
            subdomain=str(UUID(int=number)),
            allowfrom=allowfrom or [],
        )
        self.registrations[made.subdomain] = made
        return made

    def fulldomain(self, registered: Registered) -> str:
        return f"{registered.subdomain}.{self.domain}"

    def answer(self, request: Request) -> Response:
        match request.method, request.path:
            case "GET", "/health":
                return Response(200)
            case "POST", "/register" if self.open_registration:
                return self._register(request)
            case "POST", "/update":
                return self._update(request)
        return Response(404, b"404 page not found\n", {"Content-Type": "text/plain"})

    def _register(self, request: Request) -> Response:
        wish: Any = request.json() if request.body else {}
        if not isinstance(wish, dict):
            return _error(400, "malformed_json_payload")
        allowed = wish.get("allowfrom", [])
        try:
            for network in allowed:
                ipaddress.ip_network(network, strict=False)
        except (ValueError, TypeError):
            return _error(400, "invalid_allowfrom_cidr")
        made = self.register(list(allowed))
        return Response.of(
            201,
            {
                "username": made.username,
                "password": made.password,
                "fulldomain": self.fulldomain(made),
                "subdomain": made.subdomain,
                "allowfrom": made.allowfrom,
            },
        )

    def _update(self, request: Request) -> Response:
        wish = request.json()
        if not isinstance(wish, dict):
            return _error(401, "forbidden")
        mine = self.registrations.get(str(wish.get("subdomain")))
        user, key = request.headers.get("X-Api-User"), request.headers.get("X-Api-Key")
        if mine is None or (user, key) != (mine.username, mine.password) or not _from_here(mine.allowfrom):
            return _error(401, "forbidden")
        value = wish.get("txt")
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]{43}", value):
            return _error(400, "bad_txt")
        mine.values = [*mine.values, value][-2:]
        self._on_change(self.domain, self.fulldomain(mine), tuple(dict.fromkeys(mine.values)))
        return Response.of(200, {"txt": value})


def _from_here(allowfrom: list[str]) -> bool:
    here = ipaddress.ip_address("127.0.0.1")
    return not allowfrom or any(here in ipaddress.ip_network(network, strict=False) for network in allowfrom)


def _error(status: int, word: str) -> Response:
    return Response.of(status, {"error": word})
