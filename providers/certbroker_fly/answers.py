"""How the Fly simulator words what it holds: the bodies of its answers, in the shapes of Fly's OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from certbroker.testkit.simulator import Response
from certbroker_fly.estate import Custom, FlyApp, Held, challenge_target, cname_target
from certbroker_fly.quirks import Quirks


class Answers:
    """Values to JSON, with the quirks that concern form only."""

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks

    def detail(self, app: FlyApp, held: Held, **more: Any) -> dict[str, Any]:
        """A hostname with all that is known of it; `more` are the members that only some calls answer."""
        sight = held.sight
        errors: list[dict[str, Any]] = []
        if held.acme_requested and held.managed is None:
            errors = [
                {
                    "code": "DNS_NOT_CONFIGURED",
                    "message": "DNS is not configured for this hostname",
                    "remediation": None,
                    "timestamp": self.time(held.updated),
                }
            ]
        value: dict[str, Any] = {
            "hostname": held.name,
            "configured": held.configured,
            "acme_requested": held.acme_requested,
            "status": self._status(held),
            "dns_provider": "dnsimple",
            "rate_limited_until": None,
            "certificates": self._entries(held),
            "validation": {
                "dns_configured": sight.dns,
                "alpn_configured": sight.routed,
                "http_configured": sight.routed,
                "ownership_txt_configured": sight.proven,
            },
            "dns_requirements": {
                "a": list(app.v4),
                "aaaa": list(app.v6),
                "cname": cname_target(app),
                "acme_challenge": {"name": f"_acme-challenge.{held.base}", "target": challenge_target(app, held)},
                "ownership": {
                    "name": f"_fly-ownership.{held.base}",
                    "app_value": app.proofs[0],
                    "org_value": app.proofs[1],
                },
            },
            "validation_errors": errors,
        }
        if self._quirks.extra_member:
            value["edge_generation"] = {"number": 7}
        return self._object({**value, **more})

    def page(self, found: list[Held], cursor: str | None, total: int) -> dict[str, Any]:
        """One page of the list."""
        count = None if self._quirks.blanks == "missing" else total
        listed = [self._summary(held) for held in found]
        return self._object({"certificates": listed, "next_cursor": cursor, "total_count": count})

    def records(self, held: Held) -> dict[str, Any]:
        """What a check saw in DNS."""
        sight = held.sight
        return {
            "a": list(sight.a),
            "aaaa": list(sight.aaaa),
            "cname": list(sight.cname),
            "resolved_addresses": [*sight.a, *sight.aaaa],
            "soa": None,
            "acme_challenge_cname": sight.challenge,
            "ownership_txt": sight.txt,
        }

    def addresses(self, app: FlyApp, now: datetime) -> dict[str, Any]:
        """The public ones and a private one (Flycast), as a real app may have."""
        everywhere = {"region": "global", "service_name": "", "created_at": self.time(now)}
        ips = (*app.v4, *app.v6, "fdaa:0:18:0:1::2")
        return {"ips": [{"ip": ip, "shared": "." in ip, **everywhere} for ip in ips]}

    def time(self, moment: datetime) -> str:
        whole = moment.replace(microsecond=0, tzinfo=None).isoformat()
        return f"{whole}.06Z" if self._quirks.fractions else f"{whole}Z"

    def _entries(self, held: Held) -> list[dict[str, Any]]:
        entries = []
        if held.custom:
            entries.append(self._custom(held.custom))
        if held.managed:
            ends = self.time(held.managed.ends)
            issued = [
                {"type": kind, "expires_at": ends, "certificate_authority": "lets_encrypt"} for kind in ("rsa", "ecdsa")
            ]
            made = self.time(held.managed.created)
            times = {"created_at": made, "expires_at": ends}
            entries.append({"source": "fly", "status": "active", **times, "issuer": None, "issued": issued})
        elif held.acme_requested:
            entries.append({"source": "fly", "status": "pending_validation", "issuer": None, "issued": []})
        if self._quirks.extra_member:
            entries.append({"source": "escrow", "status": "resting", "issuer": None, "issued": []})
        return entries

    def _custom(self, custom: Custom) -> dict[str, Any]:
        pending = "pending_review" if self._quirks.extra_member else "pending_ownership"
        return {
            "source": "custom",
            "status": "active" if custom.active else pending,
            "created_at": self.time(custom.created),
            "expires_at": self.time(custom.ends),
            "issuer": custom.issuer,
            "issued": [],
        }

    def _summary(self, held: Held) -> dict[str, Any]:
        return {
            "hostname": held.name,
            "status": self._status(held),
            "dns_provider": "dnsimple",
            "acme_dns_configured": held.sight.dns,
            "acme_alpn_configured": held.sight.routed,
            "acme_http_configured": held.sight.routed,
            "ownership_txt_configured": held.sight.proven,
            "configured": held.configured,
            "acme_requested": held.acme_requested,
            "has_custom_certificate": held.custom is not None,
            "has_fly_certificate": held.managed is not None,
            "created_at": self.time(held.created),
            "updated_at": self.time(held.updated),
        }

    def _status(self, held: Held) -> str:
        production, docs = (
            ("Ready", "active")
            if held.configured
            else ("Awaiting configuration", "pending_ownership")
            if held.custom
            else ("Awaiting certificates", "pending_validation")
        )
        return production if self._quirks.status_style == "production" else docs

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        """Without the members that have no content, or with them in this Fly's style."""
        kept: dict[str, Any] = {}
        for key, member in value.items():
            if member is None or member == []:
                if self._quirks.blanks == "null":
                    kept[key] = None
                elif self._quirks.blanks == "empty" and member == []:
                    kept[key] = []
            elif isinstance(member, dict):
                kept[key] = self._object(member)
            elif isinstance(member, list):
                kept[key] = [self._object(item) if isinstance(item, dict) else item for item in member]
            else:
                kept[key] = member
        return kept


def error(status: int, text: str) -> Response:
    """Fly's ErrorResponse."""
    return Response.of(status, {"error": text, "status": "unknown"})
