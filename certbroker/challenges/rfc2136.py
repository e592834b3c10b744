"""DNS UPDATE (RFC 2136) signed with TSIG (RFC 8945), over TCP: BIND, Knot, PowerDNS, Windows ... your own name server.

    [solver.own]
    type   = "rfc2136"
    server = "ns1.example.net:53"
    key    = "certbroker."                   # the TSIG key's name
    secret = { env = "TSIG_SECRET" }         # base64, as in the server's configuration

Least rights: let the key update TXT only, and only below the names that need it (BIND `update-policy`, Knot `acl`).
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal, Self

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.tsig
import dns.update
from dns.rdatatype import RdataType
from pydantic import BaseModel, ConfigDict, Field, field_validator

from certbroker.challenges.lookup import Server, said_by, split
from certbroker.challenges.solver import TTL, Alias, SolverContext, relative, try_writing
from certbroker.config import Puts
from certbroker.errors import CredentialsRejected, Missing, ProviderError, Rejected, Unavailable
from certbroker.model import Standing
from certbroker.names import within
from certbroker.secret import SecretRef

UPDATE_SECONDS: Final = 10.0

Algorithm = Literal["hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224", "hmac-sha1"]


class Rfc2136Settings(BaseModel):
    """`[solver.NAME]` with `type = "rfc2136"`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    server: str = Field(description='"host:port" of the primary', examples=["ns1.example.com:53"])
    key: str = Field(description="name of the TSIG key", examples=["certbroker"])
    algorithm: Algorithm = "hmac-sha256"
    secret: SecretRef = Field(
        description="the TSIG key, base64: tsig-keygen KEY (BIND) or keymgr -t KEY (Knot); TXT at _acme-challenge will do"
    )

    @field_validator("server")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            host, port = split(value)
        except ValueError:
            raise ValueError('must be "host:port"') from None
        if not host or not 0 < port < 65536:
            raise ValueError('must be "host:port"')
        return value

    @field_validator("key")
    @classmethod
    def _name(cls, value: str) -> str:
        try:
            dns.name.from_text(value)
        except dns.exception.DNSException:
            raise ValueError("must be a DNS name, as the server calls the key") from None
        return value


class Rfc2136Solver:
    """Adds and deletes single values; the server keeps the set."""

    settings: ClassVar[type[BaseModel]] = Rfc2136Settings
    puts: ClassVar[Puts] = "txt"
    walks: ClassVar[bool] = False

    def __init__(self, settings: Rfc2136Settings, context: SolverContext) -> None:
        self._settings = settings
        self._context = context

    @classmethod
    def open(cls, settings: Any, context: SolverContext) -> Self:
        return cls(settings, context)

    def zone_for(self, name: str) -> str | None:
        """The zone named in the file, else the one for which our server answers with authority."""
        if self._context.zones:
            return within(name, self._context.zones)
        return self._context.lookup.own_zone(self._server(), name)

    def present(self, zone: str, name: str, value: str) -> str:
        return self.present_all(zone, [(name, value)])

    def present_all(self, zone: str, values: Sequence[tuple[str, str]]) -> str:
        """One message (RFC 2136 section 3.4.2: all of it or nothing)."""
        update = self._update(zone)
        for name, value in values:
            owner = relative(name, zone) or "@"
            update.absent(owner, RdataType.CNAME)  # servers drop a TXT beside a CNAME and still say NOERROR
            update.add(owner, TTL, _txt(value))
        self._send(update, zone, values[0][0])
        return "rfc2136"

    def clean_up(self, zone: str, name: str, value: str, handle: str | None) -> None:
        self.clean_up_all(zone, [(name, value)])

    def clean_up_all(self, zone: str, values: Sequence[tuple[str, str]]) -> None:
        update = self._update(zone)
        for name, value in values:
            update.delete(relative(name, zone) or "@", _txt(value))
        self._send(update, zone, values[0][0])

    # ---- CNAMEs (Lends) ----------------------------------------------------------------------------------------------

    def alias(self, zone: str, name: str) -> Alias | None:
        found = self._context.lookup.cname(self._server(), name)
        return Alias(*found) if found else None

    def take_away(self, zone: str, name: str, alias: Alias) -> None:
        there = self.alias(zone, name)
        if there is not None and there.target != alias.target:
            raise Rejected(
                f"{name} is a CNAME to {there.target} by now, and not to {alias.target}",
                hint="nothing was touched; look who changed it",
            )
        update = self._update(zone)
        update.delete(relative(name, zone), _cname(alias))
        self._send(update, zone, name)

    def put_back(self, zone: str, name: str, alias: Alias) -> None:
        """Servers drop a CNAME beside other records and still say NOERROR: so it is read back."""
        update = self._update(zone)
        update.add(relative(name, zone), alias.ttl, _cname(alias))
        self._send(update, zone, name)
        there = self.alias(zone, name)
        if there is None or there.target != alias.target:
            raise Rejected(
                f"something else stands at {name}: no CNAME can be added", hint=f"look what stands at {name}"
            )

    def check(self, *, write: bool = False) -> Standing:
        """A signed update that changes nothing tells whether the key is good, for each zone that the file names."""
        server = self._server()
        remarks: list[str] = []
        for zone in self._context.zones:
            if write:
                remarks.append(try_writing(self, zone, self._context.random))
            else:
                self._send(self._update(zone), zone, zone)
        if not self._context.zones:
            remarks.append("the file names no zones for it, so the key was not tried")
        reach = ", ".join(self._context.zones)
        return Standing(f"TSIG key {self._settings.key}", account=str(server), reach=reach, remarks=tuple(remarks))

    def _server(self) -> Server:
        return self._context.lookup.named((self._settings.server,))[0]

    def _update(self, zone: str) -> dns.update.UpdateMessage:
        secret = self._context.resolve(self._settings.secret)
        try:
            key = dns.tsig.Key(self._settings.key, secret.reveal(), self._settings.algorithm)
        except binascii.Error:
            raise CredentialsRejected(
                f"the TSIG secret in {self._settings.secret} is not base64", hint="copy it as the server's file has it"
            ) from None
        return dns.update.UpdateMessage(zone, keyring=key)

    def _send(self, update: dns.update.UpdateMessage, zone: str, name: str) -> None:
        server = self._server()
        seconds = self._context.seconds(UPDATE_SECONDS, str(server))
        try:
            host, port = self._context.lookup.at(server.host, server.port)
            answer = dns.query.tcp(update, host, timeout=seconds, port=port)
        except dns.tsig.PeerBadTime:
            raise CredentialsRejected(
                f"{server} refused our signature's time", hint="the two clocks differ by more than five minutes"
            ) from None
        except (dns.tsig.PeerError, dns.tsig.BadSignature, dns.tsig.BadKey, dns.tsig.BadAlgorithm) as error:
            raise self._refused(server, said_by(error)) from None
        except dns.message.UnknownTSIGKey:
            raise self._refused(server, "it answers with another key") from None
        except dns.exception.FormError:
            # an answer without a signature: Knot's for a zone it has not, PowerDNS's for a key it does not know
            if self._context.lookup.own_zone(server, zone) != zone:
                raise self._not_its_zone(server, zone, "NOTAUTH") from None
            raise self._refused(server, "it answers without a signature") from None
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise Unavailable(f"{server} did not answer the update of {name}: {said_by(error)}") from None
        self._judge(answer.rcode(), server, zone, name)

    def _refused(self, server: Server, why: str) -> CredentialsRejected:
        return CredentialsRejected(
            f"{server} refused TSIG key {self._settings.key}: {why}",
            hint=f"name, algorithm ({self._settings.algorithm}) and secret must be those of the server",
        )

    def _not_its_zone(self, server: Server, zone: str, said: str) -> Missing:
        return Missing(
            f"{server} is not the primary of {zone} ({said})", hint="look at zones, and at which server takes updates"
        )

    def _judge(self, code: dns.rcode.Rcode, server: Server, zone: str, name: str) -> None:
        error: ProviderError
        match code:
            case dns.rcode.NOERROR:
                return
            case dns.rcode.YXRRSET:
                error = Rejected(f"a CNAME stands at {name}: no TXT can be added", hint=f"delete the CNAME {name}")
            case dns.rcode.NOTAUTH | dns.rcode.NOTZONE:
                error = self._not_its_zone(server, zone, dns.rcode.to_text(code))
            case dns.rcode.REFUSED:
                error = CredentialsRejected(
                    f"{server} does not let TSIG key {self._settings.key} update {name} (REFUSED)",
                    hint="let the key update TXT there: BIND update-policy, Knot acl",
                )
            case dns.rcode.SERVFAIL:
                error = Unavailable(f"{server} failed to update {name} (SERVFAIL)")
            case _:
                error = Rejected(f"{server} refused the update of {name} ({dns.rcode.to_text(code)})")
        raise error


def _cname(alias: Alias) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, RdataType.CNAME, f"{alias.target}.")


def _txt(value: str) -> dns.rdata.Rdata:
    """A TXT of one value, cut into strings of 255 octets."""
    octets = value.encode("ascii", "replace")
    pieces = [octets[start : start + 255] for start in range(0, len(octets), 255)]
    quoted = " ".join('"' + "".join(f"\\{octet:03d}" for octet in piece) + '"' for piece in pieces)
    return dns.rdata.from_text(dns.rdataclass.IN, RdataType.TXT, quoted)
