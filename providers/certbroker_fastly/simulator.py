"""The other side of Fastly's TLS calls: an in-memory API with the documented rules, quirks and open questions.

Written from the contract, not from the adapter. Bad days of the line (502, a reset after the effect, HTML) are the base's
faults; what is Fastly's own, or nobody knows, is a quirk. Texts that nobody has recorded begin with `sim:`.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, Self
from urllib.parse import unquote

from cryptography import x509

from certbroker.secret import Secret
from certbroker.testkit.embedded import House
from certbroker.testkit.simulator import Request, Response, Simulator
from certbroker.world import SystemClock
from certbroker_fastly.answers import legacy, no_route, refused, when
from certbroker_fastly.changes import Changes
from certbroker_fastly.estate import Activation, Configuration, Estate, Pair, Refusal, Subscription
from certbroker_fastly.quirks import Quirks
from certbroker_fastly.reads import Reads

__all__ = ["FastlySimulator", "Quirks"]

EDGES: Final = ("198.51.100.10", "198.51.100.74", "198.51.100.138", "198.51.100.202", "2001:db8:fa::10")
"""Documentation addresses: four for A and one for AAAA, as a configuration of Fastly's has them."""

Lookup = Callable[[str, str], Sequence[str]]
"""Name and record type to the values."""

_BASE62: Final = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is. `writes` False: it reads, and every write is 403."""

    id: str
    name: str
    ends: datetime | None = None
    scope: str = "global"
    writes: bool = True


class FastlySimulator(Simulator):
    """One Fastly account with a default TLS configuration and one token.

    Args:
        clock: the time of day, aware; by default the machine's.
        domains: those on an active service; None: every domain is.
        edges: addresses of the default configuration.
        random: where ids and the token come from.
        managed_issuer: issues Fastly's own certificates; without it they are listed and cannot be served.
        lookup: DNS as Fastly sees it; the default world has no records.
        roots_pem: the roots that this Fastly trusts.
        on_change: called under the simulator's lock when what edges serve has changed.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        domains: Iterable[str] | None = None,
        edges: Sequence[str] = EDGES,
        random: Random | None = None,
        managed_issuer: Callable[[str], Pair] | None = None,
        lookup: Lookup = lambda name, kind: (),
        roots_pem: str = "",
        on_change: Callable[[], None] | None = None,
        quirks: Quirks | None = None,
    ) -> None:
        super().__init__()
        self.quirks = quirks or Quirks()
        self.domains: set[str] | None = None if domains is None else set(domains)
        self.on_change = on_change
        self.estate = Estate()
        self._random = random or Random(0)  # noqa: S311 - ids must be the same each time
        self._now = clock or SystemClock().now
        self._managed_issuer = managed_issuer
        self._lookup = lookup
        self._roots = x509.load_pem_x509_certificates(roots_pem.encode()) if roots_pem else []
        self._grants: dict[str, Grant] = {}
        self._written: list[datetime] = []
        self._before: Estate | None = None
        self._lag: dict[str, int] = {}
        self.add_configuration("TLS v1.3", edges=edges, default=True, cname="t.sni.global.fastly.example")
        self.token = self.add_token("certbroker")

    @classmethod
    def embed(cls, house: House) -> Self:
        return cls(clock=house.clock, random=house.random, managed_issuer=house.managed, lookup=house.lookup)

    def tables(self, url: str) -> str:
        return f"""[target.fastly]
type = "fastly"
token = {{ env = "FASTLY_TOKEN" }}
api = "{url}"
accept_untrusted = true
"""

    @property
    def secrets(self) -> Mapping[str, str]:
        return {"FASTLY_TOKEN": self.token}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those of all configurations."""
        records = (record for each in self.estate.configurations.values() for record in each.records)
        return tuple(dict.fromkeys(value for kind, value, _ in records if kind != "CNAME"))

    def serving_at(self, address: str) -> Mapping[str, Pair]:
        found: dict[str, Pair] = {}
        for each in list(self.estate.configurations.values()):
            if any(value == address for _, value, _ in each.records):
                found.update(self.serving(each.id))
        return found

    def serving(self, configuration: str = "") -> Mapping[str, Pair]:
        """What the edges of a configuration (the default one) present, by domain."""
        with self._lock:
            return self.estate.serving(configuration or self.estate.default().id)

    def remember(self) -> Callable[[], None]:
        with self._lock:
            estate, before, lag = self.estate.copy(), self._before, dict(self._lag)

        def put_back() -> None:
            with self._lock:
                self.estate, self._before, self._lag = estate.copy(), before, dict(lag)

        return put_back

    # ---- what is done at Fastly by other hands ---------------------------------------------------------------------

    def add_configuration(
        self, name: str, *, edges: Sequence[str] = (), default: bool = False, bulk: bool = False, cname: str = ""
    ) -> str:
        """As Fastly's staff makes one; returns its id."""
        records = [("AAAA" if ":" in edge else "A", edge, "global") for edge in edges]
        records += [("CNAME", cname, "global")] if cname else []
        now = self._now()
        made = Configuration(self.new_id(), name, now, now, default, bulk, tuple(records))
        with self._lock:
            self.estate.configurations[made.id] = made
        return made.id

    def add_token(self, name: str, *, ends: datetime | None = None, scope: str = "global", writes: bool = True) -> str:
        """One more token; returns it."""
        token = "".join(self._random.choices(_BASE62 + "-_", k=32))
        with self._lock:
            self._grants[token] = Grant(self.new_id(), name, ends, scope, writes)
        return token

    def revoke(self, token: str) -> None:
        with self._lock:
            del self._grants[token]

    def add_key(self, key_pem: Secret, *, name: str | None) -> None:
        """A key that somebody else uploaded."""
        with self._lock:
            self._changes().create_key(_body(key=key_pem.reveal(), name=name))

    def add_certificate(self, chain_pem: str, *, name: str | None) -> str:
        """A certificate that somebody else uploaded after its key; returns its id."""
        with self._lock:
            self._changes().create_certificate(_body(cert_blob=chain_pem, name=name))
            return list(self.estate.certificates)[-1]

    def add_foreign(self, chain_pem: str, key_pem: Secret, *, name: str | None, activate: Iterable[str] = ()) -> str:
        """Both, and perhaps in use; returns the certificate's id."""
        with self._lock:
            self.add_key(key_pem, name=name)
            made = self.add_certificate(chain_pem, name=name)
            for domain in activate:
                self.activate(domain, made)
            self._changed()
            return made

    def activate(self, domain: str, certificate: str, *, configuration: str = "", mutual: str | None = None) -> str:
        """Put an activation there, whatever the rules say; returns its id."""
        with self._lock:
            configuration = configuration or self.estate.default().id
            made = Activation(self.new_id(), domain, certificate, configuration, self._now(), mutual)
            self.estate.activations[made.id] = made
            return made.id

    def manage(self, domain: str, *, configuration: str = "") -> str:
        """A finished TLS subscription, which Fastly serves; returns its id."""
        with self._lock:
            configuration = configuration or self.estate.default().id
            pair = self._managed_issuer(domain) if self._managed_issuer else None
            made = Subscription(
                self.new_id(), (domain,), configuration, self._now(), self.new_id(), self.new_id(), pair
            )
            self.estate.subscriptions[made.id] = made
            self.activate(domain, str(made.certificate), configuration=configuration)
            self._changed()
            return made.id

    def certificate_names(self) -> list[Mapping[str, str]]:
        """Id and name of every uploaded certificate."""
        with self._lock:
            return [{"id": each.id, "name": each.name} for each in self.estate.custom()]

    def new_id(self) -> str:
        """22 characters, as Fastly's are."""
        return "".join(self._random.choices(_BASE62, k=22))

    # ---- the calls -------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        grant = self._grants.get(request.headers.get("Fastly-Key", ""))
        if grant is None:
            kind = "text/plain" if self.quirks.plain_401 else "application/json"
            return legacy(401, "Provided credentials are missing or invalid", kind=kind)
        parts = [unquote(part) for part in request.path.split("/")[1:]]
        if request.method == "GET" and parts == ["tokens", "self"]:
            return self._about(grant)
        if parts[:1] != ["tls"]:
            return no_route()
        if not request.write:
            self._issue_what_is_proven()
            return self._read(request, parts[1:])
        if self.quirks.read_only or not grant.writes:
            return legacy(403, "sim: you are not authorized to perform this action")
        return self._limited() or self._write(request, parts[1:])

    def _read(self, request: Request, parts: list[str]) -> Response:
        shown = self.estate
        if len(parts) == 1 and self._before is not None and self._lag.setdefault(parts[0], self.quirks.list_lag) > 0:
            self._lag[parts[0]] -= 1
            shown = self._before
        try:
            return Reads(self.estate, shown, self.quirks).answer(request, parts)
        except Refusal as refusal:
            return self._refused(refusal)

    def _write(self, request: Request, parts: list[str]) -> Response:
        before, served = self.estate.copy(), self._served()
        try:
            response = self._changes().answer(request.method, parts, request.json())
        except Refusal as refusal:
            return self._with_rate(self._refused(refusal))
        if self.quirks.list_lag:
            self._before, self._lag = before, {}
        if self._served() != served:
            self._changed()
        return self._with_rate(response)

    def _issue_what_is_proven(self) -> None:
        """A pending subscription whose names are proven by DNS or by routing gets its certificate, and its domains are enabled."""
        for pending in [each for each in self.estate.subscriptions.values() if each.certificate is None]:
            if all(self._proven(domain, pending) for domain in pending.domains):
                pair = self._managed_issuer(pending.domains[0]) if self._managed_issuer else None
                issued = replace(pending, certificate=self.new_id(), pair=pair)
                self.estate.subscriptions[pending.id] = issued
                self._enable(issued)

    def _enable(self, issued: Subscription) -> None:
        for domain in issued.domains:
            here = [
                each
                for each in self.estate.activations.values()
                if (each.domain, each.configuration) == (domain, issued.configuration)
            ]
            if not here:
                self.activate(domain, str(issued.certificate), configuration=issued.configuration)
            elif self.quirks.issued_is_activated:
                self.estate.move(here[0], certificate=issued.certificate)
        self._changed()

    def _proven(self, domain: str, pending: Subscription) -> bool:
        def ask(name: str, kind: str) -> set[str]:
            return {value.rstrip(".") for value in self._lookup(name, kind)}

        base = domain.removeprefix("*.")
        if pending.validation in ask(f"_acme-challenge.{base}", "CNAME"):
            return True
        records = {value for _, value, _ in self.estate.configurations[pending.configuration].records}
        routed = ask(domain, "A") | ask(domain, "CNAME")
        return not domain.startswith("*.") and bool(routed & records)

    def _changes(self) -> Changes:
        return Changes(self.estate, self.quirks, self._now(), self.new_id, self.domains, self._roots)

    def _served(self) -> dict[str, dict[str, Pair]]:
        return {each: self.estate.serving(each) for each in self.estate.configurations}

    def _changed(self) -> None:
        if self.on_change:
            self.on_change()

    def _refused(self, refusal: Refusal) -> Response:
        return refused(refusal.status or self.quirks.refusal_status, refusal.title, refusal.detail)

    def _about(self, grant: Grant) -> Response:
        if self.quirks.tokens_self == 404:
            return legacy(404, "Record not found")
        if self.quirks.tokens_self == 403:
            return legacy(403, "sim: you are not authorized to perform this action")
        about: dict[str, Any] = {
            "id": grant.id,
            "user_id": "sim4User5678901234567Z",
            "customer_id": "sim4Customer901234567Z",
            "name": grant.name,
            "scope": grant.scope,
            "services": [],
            "created_at": when(self._now() - timedelta(days=30)),
            "last_used_at": when(self._now()),
            "expires_at": when(grant.ends) if grant.ends else None,
        }
        return Response.of(200, about)

    # ---- limits ----------------------------------------------------------------------------------------------------

    def _limited(self) -> Response | None:
        """So many writes an hour for all tokens of a user; reads do not count."""
        now = self._now()
        self._written = [moment for moment in self._written if moment > now - timedelta(hours=1)]
        if len(self._written) < self.quirks.writes_per_hour:
            self._written.append(now)
            return None
        answer = legacy(429, "sim: You have exceeded your hourly rate limit")
        back = {"Retry-After": str(int((self._reset() - now).total_seconds()))} if self.quirks.retry_after else {}
        return self._with_rate(Response(429, answer.body, {**answer.headers, **back}))

    def _reset(self) -> datetime:
        return (self._written[0] if self._written else self._now()) + timedelta(hours=1)

    def _with_rate(self, response: Response) -> Response:
        if not self.quirks.rate_headers:
            return response
        left = max(self.quirks.writes_per_hour - len(self._written), 0)
        told = {"Fastly-RateLimit-Remaining": str(left), "Fastly-RateLimit-Reset": f"{self._reset().timestamp():.0f}"}
        return Response(response.status, response.body, {**response.headers, **told})


def _body(**attributes: Any) -> dict[str, Any]:
    return {"data": {"attributes": attributes}}
