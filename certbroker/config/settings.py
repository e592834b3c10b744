"""What the file says, as frozen values. Parsed once; nothing in here opens a secret or touches the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from certbroker.limits import Published, Rates
from certbroker.model import Certificate, Edge
from certbroker.notices import Route
from certbroker.safe import DEFAULT, Allowance
from certbroker.secret import SecretRef, expand

if TYPE_CHECKING:
    from pydantic import BaseModel


BindingAlgorithm = Literal["HS256", "HS384", "HS512"]


@dataclass(frozen=True, slots=True)
class BindingSettings:
    """Credentials that bind a new account to one that exists at the CA (RFC 8555 section 7.3.4)."""

    kid: str | SecretRef
    hmac: SecretRef
    """Leads to base64url, with or without padding; the plain alphabet of base64 is understood too."""
    alg: BindingAlgorithm = "HS256"


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """One ACME account at one CA."""

    name: str
    directory: str
    profile: str | None = None
    most_names: int | None = None
    """Of one certificate, where the file says so."""
    preferred_chain: str | None = None
    """The common name that the topmost certificate of a chain is to be issued by; None: the CA's default chain."""
    roots: Path | None = None
    """PEM file that its certificates are judged by; None: the system's roots."""
    ca_bundle: Path | None = None
    """PEM file that the CA's own HTTPS is judged by; None: the system's roots."""
    agree_to_terms: bool = False
    limits: Published | None = None
    """The buckets it publishes, as far as they are known."""
    rates: Rates | None = None
    """How fast it may be asked; None: nobody says, and it is asked as fast as it answers."""
    staging: bool = False
    """The directory is known to be a CA's test environment."""
    eab: BindingSettings | None = None
    """Sent with every new account, whatever the CA's directory says of it."""
    line: int | None = None
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where each of its own options stands, by dotted path."""


Puts = Literal["txt", "http"]
"""What a solver puts where the CA looks: a TXT record, or an answer over HTTP."""


class TargetName(str):
    """A setting that names a target of the file; that it is there is checked when the file is read."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema(min_length=1))


@dataclass(frozen=True, slots=True)
class SolverSettings:
    """Who puts a proof there: an account at a DNS service, a program, a web server."""

    name: str
    type: str
    options: BaseModel
    """The solver's own settings, an instance of its model."""
    zones: tuple[str, ...] = ()
    """Used for these zones only; empty: for every zone it holds."""
    nameservers: tuple[str, ...] = ()
    """"host:port": where to look for our records instead of the zone's own servers."""
    puts: Puts = "txt"
    line: int | None = None
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where each of its own options stands, by dotted path."""


@dataclass(frozen=True, slots=True)
class ReadyCheck:
    """What `ready` asks each edge besides the handshake: a GET of `path`, which is to answer `status`."""

    path: str
    status: int


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """One place that serves certificates."""

    name: str
    type: str
    options: BaseModel
    """The provider's own settings, an instance of its model."""
    edges: tuple[Edge, ...] = ()
    """Looked at besides those that the provider names."""
    standby: bool = False
    """DNS does not point here: proven all the same, but never mixed with what users get."""
    deadline: timedelta | None = None
    """How long its edges may take; None: what the provider declares."""
    ownership: Literal["publish", "print"] = "print"
    accept_untrusted: bool = False
    on_failure: Literal["restore", "keep"] = "restore"
    """What becomes of a push that made an edge worse: the certificate before is put back, or all is left as it is."""
    ready_check: ReadyCheck | None = None
    heal: bool = False
    """What drifted there, by whomever, is put right by `renew` unasked; else it is only shown."""
    line: int | None = None
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where each of its own options stands, by dotted path."""


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Where to connect instead, and whom to ask."""

    connect_to: Mapping[str, str] = field(default_factory=dict)
    """"host:port" to "host:port", as curl's --connect-to; IPv6 hosts in brackets."""
    nameservers: tuple[str, ...] = ()
    """Recursors for look-ups, "host:port"; empty: the system's."""


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Who is told when something needs somebody. Nothing is sent where no route is named."""

    page: tuple[Route, ...] = ()
    """Wakes: users get a broken certificate, or will within 24 hours."""
    tell: tuple[Route, ...] = ()
    """All the rest."""
    heartbeat: SecretRef | None = None
    """Leads to a URL that hears of every run."""
    allowance: Allowance = DEFAULT
    link: str | None = None
    """Where the dashboard is, without a final slash."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where each of its options stands."""

    @property
    def anybody(self) -> bool:
        """Whether somebody or something is told of runs at all."""
        return bool(self.page or self.tell or self.heartbeat)


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """Who may look at the pages, and under which names they are reached besides loopback and the host of `alerts.link`."""

    token: SecretRef | None = None
    trusted_header: str | None = None
    hosts: tuple[str, ...] = ()
    line: int | None = None


@dataclass(frozen=True, slots=True)
class SecretUse:
    """One reference in the file. `where` is for messages: `target.fastly.token (certbroker.toml:24)`."""

    where: str
    reference: SecretRef
    kind: Literal["solver", "target", "issuer", "store", "alerts", "dashboard"]
    name: str


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file. `file` is its path as the user named it; `digest` changes with its bytes or our version."""

    path: Path
    file: str
    digest: str
    certificates: Mapping[str, Certificate]
    issuers: Mapping[str, IssuerSettings]
    solvers: Mapping[str, SolverSettings]
    targets: Mapping[str, TargetSettings]
    store: str | SecretRef | None
    """A URL without a password, or where to find one; None: SQLite in the state folder (`places.default_store`)."""
    vault: str | None
    """`file:PATH`, `env:NAME` or `systemd:NAME`; None: `places.default_vault`."""
    network: NetworkSettings
    every: timedelta
    """When the next run comes."""
    keep_versions: int
    iodef: str | None = None
    """Where CAs are to tell what CAA made them refuse; None: the records say nothing of it."""
    store_line: int | None = None
    alerts: AlertSettings = field(default_factory=AlertSettings)
    dashboard: DashboardSettings = field(default_factory=DashboardSettings)
    textfile: Path | None = None
    """Where each `renew` leaves metrics for node_exporter, absolute; None: nowhere."""
    inventory: Path | None = None
    """Where each run leaves what `watch` is given, absolute; None: nowhere."""

    @property
    def folder(self) -> Path:
        """Relative paths in the file begin here."""
        return self.path.parent

    def place(self, path: str | Path, environ: Mapping[str, str]) -> Path:
        """A path from the file: `~` is the environment's HOME, relative ones begin at the file's folder."""
        return self.folder / expand(str(path), environ)

    def secrets(
        self,
        *,
        targets: Collection[str] | None = None,
        solvers: Collection[str] | None = None,
        issuers: Collection[str] | None = None,
        store: bool = True,
        alerts: bool = True,
        dashboard: bool = True,
    ) -> list[SecretUse]:
        """The references that a selection needs, in the file's order of kinds; None selects all of that kind."""
        found: list[SecretUse] = []
        if store and isinstance(self.store, SecretRef):
            place = f" ({self.file}:{self.store_line})" if self.store_line else ""
            found.append(SecretUse(f"store.url{place}", self.store, "store", "store"))
        for issuer in self.issuers.values():
            if issuer.eab is not None and (issuers is None or issuer.name in issuers):
                eab = {"eab": {"kid": issuer.eab.kid, "hmac": issuer.eab.hmac}}
                found += self._within("issuer", issuer.name, eab, issuer)
        for solver in self.solvers.values():
            if solvers is None or solver.name in solvers:
                found += self._within("solver", solver.name, solver.options, solver)
        for target in self.targets.values():
            if targets is None or target.name in targets:
                found += self._within("target", target.name, target.options, target)
        if alerts:
            found += self._told()
        if dashboard and self.dashboard.token is not None:
            place = f" ({self.file}:{self.dashboard.line})" if self.dashboard.line else ""
            found.append(SecretUse(f"dashboard.token{place}", self.dashboard.token, "dashboard", "dashboard"))
        return found

    def _told(self) -> Iterator[SecretUse]:
        uses = [(f"page.{route.way}", route.url) for route in self.alerts.page]
        uses += [(f"tell.{route.way}", route.url) for route in self.alerts.tell]
        uses += [("heartbeat", self.alerts.heartbeat)] if self.alerts.heartbeat else []
        for path, reference in uses:
            line = self.alerts.lines.get(path.partition(".")[0])
            yield SecretUse(
                f"alerts.{path}" + (f" ({self.file}:{line})" if line else ""), reference, "alerts", "alerts"
            )

    def where(self, reference: SecretRef) -> str:
        """The first place in the file that has this reference, for a message; empty if none has."""
        return next((use.where for use in self.secrets() if use.reference == reference), "")

    def _within(
        self,
        kind: Literal["solver", "target", "issuer"],
        name: str,
        options: object,
        settings: SolverSettings | TargetSettings | IssuerSettings,
    ) -> Iterator[SecretUse]:
        for path, reference in references(options):
            line = settings.lines.get(path) or settings.lines.get(path.split(".", 1)[0]) or settings.line
            place = f" ({self.file}:{line})" if line else ""
            yield SecretUse(f"{kind}.{name}.{path}{place}", reference, kind, name)


def references(value: object, path: str = "") -> Iterator[tuple[str, SecretRef]]:
    """Every reference inside a settings model, with its dotted path."""
    if isinstance(value, SecretRef):
        yield path, value
    for key, inner in members(value):
        yield from references(inner, f"{path}.{key}" if path else str(key))


def named_targets(value: object, path: str = "") -> Iterator[tuple[str, TargetName]]:
    """Every target that a settings model names, with its dotted path."""
    if isinstance(value, TargetName):
        yield path, value
    for key, inner in members(value):
        yield from named_targets(inner, f"{path}.{key}" if path else str(key))


def members(value: object) -> list[tuple[str | int, object]]:
    """The parts of a settings model, mapping or list, as (key in the file, value)."""
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        named = [(fields[key].alias or key if key in fields else key, inner) for key, inner in value]
        return list(named)
    if isinstance(value, Mapping):
        return [(str(key), inner) for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    return []


Place = Callable[[str], str]
"""A path as the file has it -> as it is used."""


def placing(folder: Path, environ: Mapping[str, str] | None) -> Place:
    """Relative paths begin at `folder`; `~` is the environment's HOME, or is left alone if there is no environment."""

    def place(path: str) -> str:
        if environ is not None:
            path = expand(path, environ)
        return path if path == "~" or path.startswith("~/") else str(folder / path)

    return place


def anchored(value: object, place: Place) -> object:
    """The same settings with the path of every reference inside made absolute."""
    from pydantic import BaseModel

    if isinstance(value, SecretRef):
        return anchored_reference(value, place)
    if isinstance(value, BaseModel):
        changed = {key: new for key, inner in value if (new := anchored(inner, place)) != inner}
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, dict):
        return {key: anchored(inner, place) for key, inner in value.items()}
    if isinstance(value, list):
        return [anchored(inner, place) for inner in value]
    if type(value) is tuple:
        return tuple(anchored(inner, place) for inner in value)
    return value


def anchored_reference(reference: SecretRef, place: Place) -> SecretRef:
    """A `file`, or a program named by its path, is not looked for where we happened to be started."""
    if reference.file is not None:
        return dataclasses.replace(reference, file=place(reference.file))
    if reference.command is not None and "/" in reference.command[0]:
        return dataclasses.replace(reference, command=(place(reference.command[0]), *reference.command[1:]))
    return reference
