"""The tables of the file as pydantic models: what may stand where. Also the source of the JSON Schema."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from certbroker.config.settings import BindingAlgorithm
from certbroker.config.values import (
    REFERENCE,
    TEXT,
    Address,
    Challenge,
    Duration,
    EdgeText,
    Issuers,
    KeyPolicyText,
    Keys,
    Name,
    Text,
    as_addresses,
    as_https,
    as_kid,
    as_path,
    as_report,
    as_store_url,
    as_text,
    as_vault_url,
)
from certbroker.config.words import Refusal, listed
from certbroker.secret import SecretRef


class Table(BaseModel):
    """Unknown keys are mistakes, nothing is coerced, and no message shows what was written.

    What checks a table is made when the first one of its kind is read: a file has few of the kinds that there are.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True, frozen=True, defer_build=True)


class BindingTable(Table):
    """eab of [issuer.NAME]: what binds a new account to one that exists at the CA (external account binding)."""

    kid: Annotated[str | SecretRef, PlainValidator(as_kid), WithJsonSchema({"oneOf": [TEXT, REFERENCE]})] = Field(
        description="the key's id"
    )
    hmac: SecretRef = Field(description="the key, base64url with or without padding")
    alg: BindingAlgorithm = "HS256"


class IssuerTable(Table):
    """[issuer.NAME]: one ACME account at one CA."""

    directory: Annotated[str, PlainValidator(as_https), WithJsonSchema({"type": "string", "format": "uri"})] | None = (
        Field(
            default=None,
            description="ACME directory URL; known by itself for letsencrypt, zerossl, google and their test CAs",
        )
    )
    staging: bool | None = Field(
        default=None, description="a test CA: `issue --staging` rehearses with it; known by itself for the presets"
    )
    profile: Text | None = Field(default=None, description="a profile that the CA offers, e.g. tlsserver")
    most_names: Annotated[int, Field(ge=2, le=10000)] | None = Field(
        default=None,
        description="how many names fit into one certificate; known by itself for Let's Encrypt's profiles",
    )
    preferred_chain: Text | None = Field(
        default=None,
        description='common name that its chains are to end at, e.g. "ISRG Root X2"; else the CA\'s default',
    )
    roots: Text | None = Field(default=None, description="PEM file its certificates are judged by; else the system's")
    ca_bundle: Text | None = Field(default=None, description="PEM file the CA's own HTTPS is judged by")
    limits: Literal["letsencrypt", "letsencrypt-staging", "none"] | None = Field(
        default=None,
        description="whose published limits to keep to, orders and requests; known by itself for the presets; none: no count of orders",
    )
    agree_to_terms: bool = Field(default=False, description="you have read the CA's terms and agree")
    eab: BindingTable | None = Field(default=None, description="external account binding: sent with a new account")


class SolverTable(Table):
    """[solver.NAME], the keys that every solver has."""

    type: Text = Field(description="which solver")
    nameservers: list[Address] = Field(default=[], description="HOST or HOST:PORT to ask instead of the zone's own")
    zones: list[Name] = Field(default=[], description="used for these zones only; else for every zone it holds")


class ReadyCheckTable(Table):
    """ready_check of [target.NAME]: what `ready` asks each edge by HTTPS besides the handshake."""

    path: Annotated[str, PlainValidator(as_path), WithJsonSchema({"type": "string", "pattern": '^/[!-"$-~]*$'})] = (
        Field(description="what to GET, from its slash on, e.g. /healthz")
    )
    status: Annotated[int, Field(ge=200, le=599)] = Field(default=200, description="the status that says ready")


class TargetTable(Table):
    """[target.NAME], the keys that every target has."""

    type: Text = Field(description="which provider")
    edges: list[EdgeText] = Field(default=[], description="addresses to look at besides the provider's own")
    standby: bool = Field(default=False, description="DNS does not point here; proven all the same")
    deadline: Duration | None = Field(default=None, description="how long its edges may take, e.g. 60m")
    ownership: Literal["publish", "print"] = Field(
        default="print", description="records that the platform wants: publish them through the solver, or print them"
    )
    accept_untrusted: bool = Field(default=False, description="may get certificates that the system does not trust")
    on_failure: Literal["restore", "keep"] = Field(
        default="restore",
        description="a push that makes an edge worse: put back what was served, or keep what is there",
    )
    ready_check: ReadyCheckTable | None = Field(
        default=None, description='what ready asks each edge by HTTPS: { path = "/healthz", status = 200 }'
    )
    heal: bool = Field(
        default=False, description="renew puts right what drifted, even what a person put there; else it is only shown"
    )


class Subset(Table):
    """A target, perhaps with fewer names than the certificate has."""

    target: Text
    names: Annotated[list[Text], Field(min_length=1)] | None = None


def _subset(value: object) -> object:
    """A target's name alone means all names."""
    if isinstance(value, str):
        return {"target": value}
    if not isinstance(value, dict):
        raise Refusal('each entry is a target\'s name or { target = "NAME", names = [...] }')
    return value


_SUBSET: Final = {
    "type": "object",
    "properties": {"target": TEXT, "names": {"type": "array", "items": TEXT, "minItems": 1}},
    "required": ["target"],
    "additionalProperties": False,
}


class CertificateTable(Table):
    """[certificate.NAME]: what the owner wants. `{each}` in names stands for the entry."""

    names: Annotated[list[Text], Field(min_length=1)]
    keys: Keys | None = None
    key_policy: KeyPolicyText | None = Field(
        default=None,
        description="a new private key for each version (rotate), for none (reuse), for each N-th (every N)",
    )
    issuer: Issuers | None = None
    targets: list[Annotated[Subset, BeforeValidator(_subset), WithJsonSchema({"oneOf": [TEXT, _SUBSET]})]] = []
    each: Annotated[list[Text], Field(min_length=1)] | None = None
    split: bool = Field(
        default=False, description="NAME-1, NAME-2 and so on, where its names are too many for one certificate"
    )
    alias: Name | None = Field(default=None, description="the zone that _acme-challenge of each name is a CNAME into")
    challenge: Challenge | None = Field(
        default=None, description="how control of the names is proven; dns-01 unless it says"
    )


class DefaultsTable(Table):
    """[defaults]: for every certificate, unless it says otherwise."""

    issuer: Issuers | None = None
    keys: Keys | None = None
    key_policy: KeyPolicyText | None = Field(
        default=None,
        description="a new private key for each version (rotate), for none (reuse), for each N-th (every N)",
    )
    challenge: Challenge | None = None


class StoreTable(Table):
    """[store]: what is known."""

    url: (
        Annotated[str | SecretRef, PlainValidator(as_store_url), WithJsonSchema({"oneOf": [TEXT, REFERENCE]})] | None
    ) = None


class VaultTable(Table):
    """[vault]: what opens the sealed private keys."""

    key: (
        Annotated[
            str, PlainValidator(as_vault_url), WithJsonSchema({"type": "string", "pattern": "^(file|env|systemd):."})
        ]
        | None
    ) = None


class NetworkTable(Table):
    """[network]: where to connect instead, and whom to ask."""

    connect_to: Annotated[
        dict[str, str],
        PlainValidator(as_addresses),
        WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
    ] = {}
    nameservers: list[Address] = []


def _mailbox(value: object) -> str:
    """An address as `someone@example.com`: what would end a header or begin another is refused."""
    text = as_text(value)
    local, _, domain = text.rpartition("@")
    if not local or not domain or not text.isprintable() or any(sign in text for sign in ' <>,;"'):
        raise Refusal("must be a mail address, as in someone@example.com")
    return text


Mailbox = Annotated[str, PlainValidator(_mailbox), WithJsonSchema({"type": "string", "format": "email"})]


def _several_mailboxes(value: object) -> object:
    return [value] if isinstance(value, str) else value


class RouteTable(Table):
    """A way to tell somebody: exactly one of webhook, slack, smtp and apprise, each pointing to its secret URL."""

    webhook: SecretRef | None = Field(default=None, description="a URL that gets JSON by POST")
    slack: SecretRef | None = Field(default=None, description="an incoming webhook of Slack")
    smtp: SecretRef | None = Field(
        default=None, description="smtps://USER:PASSWORD@HOST or smtp://HOST:PORT; goes with from and to"
    )
    apprise: SecretRef | None = Field(default=None, description="any URL that apprise knows (extra notify)")
    sender: Mailbox | None = Field(default=None, alias="from", description="whom the mail is from (smtp)")
    to: Annotated[
        list[Mailbox],
        BeforeValidator(_several_mailboxes),
        WithJsonSchema({"oneOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]}),
    ] = Field(default=[], description="whom the mail is for (smtp)")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [way for way in WAYS if getattr(self, way) is not None]
        if len(ways) != 1:
            said = f"names {' and '.join(ways)}" if ways else "names no way to tell"
            raise Refusal(f"{said}: it needs exactly one of {listed(WAYS)}")
        if ways == ["smtp"] and not (self.sender and self.to):
            raise Refusal("smtp needs from and to, the addresses of the mail")
        if ways != ["smtp"] and (self.sender or self.to):
            raise Refusal(f"from and to go with smtp, not with {ways[0]}")
        return self


def _routes(value: object) -> object:
    """One table may stand for a list of one."""
    if not isinstance(value, dict | list):
        raise Refusal('must be a way to tell, as in { webhook = { env = "NAME" } }, or a list of them')
    return [value] if isinstance(value, dict) else value


WAYS: Final = ("webhook", "slack", "smtp", "apprise")
_ROUTE: Final = {
    "type": "object",
    "properties": {
        **dict.fromkeys(WAYS, REFERENCE),
        "from": TEXT,
        "to": {"oneOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]},
    },
    "oneOf": [{"required": [way]} for way in WAYS],
    "additionalProperties": False,
}
Routes = Annotated[
    list[RouteTable],
    BeforeValidator(_routes),
    WithJsonSchema({"oneOf": [_ROUTE, {"type": "array", "items": _ROUTE}]}),
]


class AllowanceTable(Table):
    """allowance of [alerts]: what is set aside before the last safe moment, at most an eighth of a life in all."""

    people: Duration = Field(default=timedelta(hours=24), description="until somebody has come and acted")
    ca: Duration = Field(default=timedelta(hours=24), description="for a CA that is away")


class AlertsTable(Table):
    """[alerts]: who is told when something needs somebody."""

    page: Routes = Field(default=[], description="wakes: users get a broken certificate, or will within 24 hours")
    tell: Routes = Field(default=[], description="all the rest: once, daily while it lasts, and when it is over")
    heartbeat: SecretRef | None = Field(
        default=None, description="a URL that hears of every run, so that a dead broker is noticed elsewhere"
    )
    allowance: AllowanceTable = Field(default_factory=AllowanceTable, description="before the last safe moment")
    link: Annotated[str, PlainValidator(as_https), WithJsonSchema({"type": "string", "format": "uri"})] | None = Field(
        default=None, description="the dashboard, for a click in the alert"
    )


def _header(value: object) -> str:
    """The name of an HTTP header (RFC 9110 section 5.1)."""
    text = as_text(value)
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", text):
        raise Refusal("must be the name of an HTTP header, as in X-Forwarded-User")
    return text


class DashboardTable(Table):
    """[dashboard]: who may look at the pages, and under which names they are reached."""

    token: SecretRef | None = Field(default=None, description="whoever looks shows it, as a password or as a Bearer")
    trusted_header: Annotated[str, PlainValidator(_header), WithJsonSchema(TEXT)] | None = Field(
        default=None, description="a header that only the proxy in front can set, and sets for whom it has let in"
    )
    hosts: list[Annotated[str, PlainValidator(as_text), WithJsonSchema(TEXT)]] = Field(
        default=[], description="the names that browsers use for it; that of alerts.link need not be said again"
    )


def _textfile(value: object) -> str:
    """A file that node_exporter reads: it takes only those whose name ends so."""
    text = as_text(value)
    if not text.endswith(".prom"):
        raise Refusal("must end with .prom: node_exporter reads nothing else")
    return text


class MetricsTable(Table):
    """[metrics]: numbers for Prometheus, besides /metrics of the dashboard."""

    textfile: Annotated[str, PlainValidator(_textfile), WithJsonSchema(TEXT)] | None = Field(
        default=None, description="a file in the folder of node_exporter's textfile collector, written by each renew"
    )


class WatchTable(Table):
    """[watch]: what a watcher elsewhere is given, which holds no key and no token."""

    inventory: Text | None = Field(
        default=None,
        description="a file that each run leaves for certbroker watch: what is served where, and until when",
    )


class ScheduleTable(Table):
    """[schedule]: when the next run comes, and how many versions stay in the store."""

    every: Duration = timedelta(hours=1)
    keep: Annotated[int, Field(ge=1, le=1000)] = 3


class CaaTable(Table):
    """[caa]: what `certbroker caa` adds to the records that let us alone have certificates signed."""

    iodef: (
        Annotated[str, PlainValidator(as_report), WithJsonSchema({"type": "string", "pattern": "^(mailto|https?):."})]
        | None
    ) = None
