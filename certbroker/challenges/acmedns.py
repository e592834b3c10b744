"""acme-dns (https://github.com/joohoi/acme-dns): a small name server that takes challenge values over HTTP.

    [solver.acme]
    type       = "acme-dns"
    api        = "https://auth.example.org"
    fulldomain = "8e57….auth.example.org"           # what the registration gave; _acme-challenge.NAME is a CNAME to it
    subdomain  = "8e57…"
    username   = { env = "ACME_DNS_USER" }
    password   = { env = "ACME_DNS_PASSWORD" }

or, for many names, `storage = "acme-dns.json"`: the file that lego and acme-dns-client write, one registration for each name.

It keeps the two newest values, cannot delete, and the same value sent twice pushes the other one out. So: only challenges, look
before writing, never a third value at once, no clean-up.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from certbroker.challenges.solver import ADOPTED, SolverContext, safe_url
from certbroker.config import Puts
from certbroker.errors import CertbrokerError, CredentialsRejected, Missing, Misunderstood, Rejected, Unavailable
from certbroker.model import Standing, Traits
from certbroker.secret import Secret, SecretRef, expand
from certbroker.session import Session

VALUE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
SLOTS: Final = 2
TRAITS: Final = Traits(calls_per_second=10.0, burst=10)


class AcmeDnsSettings(BaseModel):
    """`[solver.NAME]` with `type = "acme-dns"`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    api: str = Field(description="base URL of the acme-dns server", examples=["https://auth.acme-dns.io"])
    fulldomain: str | None = Field(default=None, description="the registration's fulldomain")
    subdomain: str | None = Field(default=None, description="the registration's subdomain")
    username: SecretRef | None = Field(default=None, description="the registration's username")
    password: SecretRef | None = Field(default=None, description="the registration's password")
    storage: str | None = Field(
        default=None, description="JSON file of registrations, as lego writes it", examples=["acme-dns.json"]
    )

    @field_validator("api")
    @classmethod
    def _safe(cls, value: str) -> str:
        return safe_url(value)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        own = (self.fulldomain, self.subdomain, self.username, self.password)
        if (self.storage is None) == all(part is None for part in own) or (self.storage is None and None in own):
            raise ValueError("needs either storage, or all of fulldomain, subdomain, username and password")
        return self


@dataclass(frozen=True, slots=True)
class Registration:
    """One name at the acme-dns server. `domain`: the name it was made for, if the file tells."""

    fulldomain: str
    subdomain: str
    username: Secret
    password: Secret
    domain: str | None = None


class AcmeDnsSolver:
    """Serves exactly the names it is registered for."""

    settings: ClassVar[type[BaseModel]] = AcmeDnsSettings
    puts: ClassVar[Puts] = "txt"
    walks: ClassVar[bool] = False

    def __init__(self, settings: AcmeDnsSettings, context: SolverContext) -> None:
        self._settings = settings
        self._context = context
        self._lock = threading.RLock()
        self._registrations: dict[str, Registration] | None = None
        self._sessions: dict[str, Session] = {}
        self._in_use: dict[str, set[str]] = {}

    @classmethod
    def open(cls, settings: Any, context: SolverContext) -> Self:
        return cls(settings, context)

    def zone_for(self, name: str) -> str | None:
        """Its zone, if `name` is a fulldomain of ours. Raises Missing with the CNAME to make, if that is all that lacks."""
        own = self._settings.fulldomain
        if own is not None:
            return _zone(own) if name == _plain(own) else None
        registrations = self._all()
        if name in registrations:
            return _zone(name)
        for registration in registrations.values():
            if registration.domain is not None and name == f"_acme-challenge.{registration.domain}":
                raise Missing(
                    f"{name} does not lead to acme-dns yet",
                    hint=f"publish once: {name}. CNAME {registration.fulldomain}.",
                )
        return None

    def present(self, zone: str, name: str, value: str) -> str:
        if not VALUE.fullmatch(value):
            raise Rejected(
                f"acme-dns takes challenge values only, and what {name} needs is none",
                hint="publish it through another solver, or by hand",
            )
        registration = self._all().get(name)
        if registration is None:
            raise Missing(f"no acme-dns registration has the name {name}")
        with self._lock:
            used = self._in_use.setdefault(name, set())
            if value not in used and len(used) >= SLOTS:
                raise Unavailable(
                    f"acme-dns keeps {SLOTS} values at {name}, and as many are in use by this run",
                    hint="the next run goes on with the rest; one registration for each name avoids it",
                )
            used.add(value)
        if value in self._values(zone, name):
            return f"{ADOPTED} acme-dns"
        try:
            answer = self._session(registration).call(
                "POST", "/update", json={"subdomain": registration.subdomain, "txt": value}
            )
        except CredentialsRejected as error:
            raise CredentialsRejected(
                error.what,
                hint="a wrong user or password, another registration's subdomain, or an address outside its allowfrom",
                status=error.status,
            ) from None
        if answer.object().get("txt") != value:
            raise Misunderstood(f"acme-dns did not confirm the value for {name}", status=answer.status)
        return "acme-dns"

    def clean_up(self, zone: str, name: str, value: str, handle: str | None) -> None:
        """Nothing can be deleted there; the value gives way to the next ones."""
        with self._lock:
            self._in_use.get(name, set()).discard(value)

    def check(self, *, write: bool = False) -> Standing:
        """Reachability; what a password is worth shows only in an update, which would push out a value in use."""
        registrations = self._all()
        first = next(iter(registrations.values()))
        self._session(first).call("GET", "/health")
        return Standing(
            "registration",
            account=self._settings.api,
            reach=f"{len(registrations)} name{'s' if len(registrations) > 1 else ''}",
            remarks=("acme-dns has no way to try a password without replacing a value",),
        )

    def _values(self, zone: str, name: str) -> frozenset[str]:
        """What its name server shows now; nothing if it does not say."""
        lookup = self._context.lookup
        try:
            named = self._context.nameservers
            servers = lookup.named(named) if named else lookup.servers(zone)
        except CertbrokerError:
            return frozenset()
        return frozenset(value for server in servers for value in lookup.ask(server, name).values)

    def _all(self) -> dict[str, Registration]:
        """By fulldomain. Raises Missing or Misunderstood for a storage file that cannot be used."""
        with self._lock:
            if self._registrations is None:
                found = self._stored() if self._settings.storage is not None else [self._single()]
                self._registrations = {_plain(each.fulldomain): each for each in found}
            return self._registrations

    def _single(self) -> Registration:
        own = self._settings
        if own.fulldomain is None or own.subdomain is None or own.username is None or own.password is None:
            raise Missing("the acme-dns registration is incomplete")
        resolve = self._context.resolve
        return Registration(own.fulldomain, own.subdomain, resolve(own.username), resolve(own.password))

    def _stored(self) -> list[Registration]:
        path = self._context.cwd / expand(self._settings.storage or "", self._context.environ)
        try:
            stored = json.loads(Path(path).read_text(encoding="utf-8"))
            found = [
                Registration(
                    str(each["fulldomain"]),
                    str(each["subdomain"]),
                    Secret(str(each["username"])),
                    Secret(str(each["password"])),
                    _plain(domain).removeprefix("*."),
                )
                for domain, each in stored.items()
            ]
        except OSError as error:
            raise Missing(f"the acme-dns storage {path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Misunderstood(f"{path} is not a file of acme-dns registrations") from None
        if not found:
            raise Missing(f"the acme-dns storage {path} holds no registration")
        return found

    def _session(self, registration: Registration) -> Session:
        def authorize() -> Mapping[str, Secret]:
            return {"X-Api-User": registration.username, "X-Api-Key": registration.password}

        with self._lock:
            if registration.fulldomain not in self._sessions:
                self._sessions[registration.fulldomain] = self._context.session(
                    service="acme-dns", base=self._settings.api, authorize=authorize, traits=TRAITS
                )
            return self._sessions[registration.fulldomain]


def _plain(name: str) -> str:
    return name.rstrip(".").lower()


def _zone(fulldomain: str) -> str:
    return _plain(fulldomain).partition(".")[2]
