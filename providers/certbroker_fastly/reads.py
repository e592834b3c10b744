"""The reads of the Fastly simulator: single objects, and listings with their filters, orders and inclusions.

A filter that Fastly does not know, or one without the right Accept header, changes nothing: everything is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from certbroker.testkit.simulator import Request, Response
from certbroker_fastly import answers
from certbroker_fastly.answers import Row, listing, no_route, said
from certbroker_fastly.estate import Certificate, Estate, row
from certbroker_fastly.quirks import Quirks

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reads:
    """What GET answers. `shown` is what listings see, perhaps of a moment ago."""

    estate: Estate
    shown: Estate
    quirks: Quirks

    def answer(self, request: Request, parts: Sequence[str]) -> Response:
        match parts:
            case [kind] if kind in _LISTINGS:
                return _LISTINGS[kind](self, request)
            case ["bulk", "certificates"]:
                return self._bulks(request)
            case ["bulk", "certificates", identity]:
                return said(200, {"data": answers.bulk_row(row(self.estate.certificates, identity, "certificate"))})
            case [kind, identity]:
                return self._one(request, kind, identity)
        return no_route()

    def _one(self, request: Request, kind: str, identity: str) -> Response:
        estate = self.estate
        match kind:
            case "private_keys":
                return said(200, {"data": answers.key_row(row(estate.keys, identity, "private key"), self.quirks)})
            case "certificates":
                custom = {each.id: each for each in estate.custom()}
                return said(200, {"data": answers.certificate_row(row(custom, identity, "certificate"))})
            case "activations":
                activation = row(estate.activations, identity, "activation")
                return said(200, {"data": answers.activation_row(activation, self.quirks)})
            case "configurations":
                configuration = row(estate.configurations, identity, "configuration")
                with_records = "dns_records" in _included(request)
                value: dict[str, Any] = {"data": answers.configuration_row(configuration, with_records=with_records)}
                if with_records:
                    value["included"] = answers.record_rows([configuration])
                return said(200, value)
            case "mutual_authentications":
                mutual = row(estate.mutuals, identity, "mutual authentication")
                return said(200, {"data": answers.mutual_row(mutual, estate)})
            case "subscriptions":
                subscription = row(estate.subscriptions, identity, "subscription")
                value = {"data": answers.subscription_row(subscription)}
                if wanted := _included(request):
                    value["included"] = answers.subscription_included(subscription, estate, wanted)
                return said(200, value)
        return no_route()

    def _filter(self, request: Request, name: str, operator: str = "") -> str | None:
        """The value to filter by; None for all."""
        if not self.quirks.filters or "application/vnd.api+json" not in request.headers.get("Accept", ""):
            return None
        return request.one(f"filter[{name}]" + (f"[{operator}]" if operator else "")) or None

    def _keys(self, request: Request) -> Response:
        keys = list(self.shown.keys.values())
        if self._filter(request, "in_use") == "false":
            keys = [key for key in keys if not self.shown.key_in_use(key)]
        return listing(request, [answers.key_row(key, self.quirks) for key in keys], None, links=False)

    def _certificates(self, request: Request) -> Response:
        shown = self.shown
        found = list(shown.custom())
        found = _if(found, self._filter(request, "in_use"), lambda c, v: shown.certificate_in_use(c) == (v == "true"))
        found = _if(
            found, self._filter(request, "not_after", "lte"), lambda c, v: f"{c.leaf.not_valid_after_utc:%F}" <= v
        )
        found = _if(found, self._filter(request, "tls_domains.id"), lambda c, v: v in c.names)
        rows = [answers.certificate_row(each) for each in _sorted(request, found)]
        included = None
        if "tls_activations" in _included(request):
            ids = {each.id for each in found}
            included = [
                answers.activation_row(a, self.quirks) for a in shown.activations.values() if a.certificate in ids
            ]
        return listing(request, rows, included, links=True)

    def _activations(self, request: Request) -> Response:
        shown = self.shown
        found = list(shown.activations.values())
        found = _if(found, self._filter(request, "tls_certificate.id"), lambda a, v: a.certificate == v)
        found = _if(found, self._filter(request, "tls_configuration.id"), lambda a, v: a.configuration == v)
        found = _if(found, self._filter(request, "tls_domain.id"), lambda a, v: a.domain == v)
        wanted = _included(request)
        included: list[Row] = []
        if "tls_certificate" in wanted:
            ids = dict.fromkeys(each.certificate for each in found)
            included += [answers.certificate_row(shown.certificates[i]) for i in ids if i in shown.certificates]
        if "tls_configuration" in wanted:
            ids = dict.fromkeys(each.configuration for each in found)
            included += [answers.configuration_row(shown.configurations[i], with_records=False) for i in ids]
        if "tls_domain" in wanted:
            included += [answers.domain_row(name, shown) for name in dict.fromkeys(each.domain for each in found)]
        rows = [answers.activation_row(each, self.quirks) for each in found]
        return listing(request, rows, included if wanted else None, links=self.quirks.links)

    def _configurations(self, request: Request) -> Response:
        found = _if(
            list(self.shown.configurations.values()),
            self._filter(request, "bulk"),
            lambda c, v: c.bulk == (v == "true"),
        )
        with_records = "dns_records" in _included(request)
        rows = [answers.configuration_row(each, with_records=with_records) for each in found]
        included = answers.record_rows(found) if with_records else None
        return listing(request, rows, included, links=self.quirks.links)

    def _domains(self, request: Request) -> Response:
        shown = self.shown
        found = [answers.domain_row(name, shown) for name in shown.domains()]
        in_use = self._filter(request, "in_use")
        found = _if(found, in_use, lambda d, v: bool(_ids(d, "tls_activations")) == (v == "true"))
        for kind in ("tls_certificates", "tls_subscriptions"):
            found = [d for d in found if (v := self._filter(request, f"{kind}.id")) is None or v in _ids(d, kind)]
        if request.one("sort") == "-id":
            found.reverse()
        wanted = _included(request)
        active = {i for d in found for i in _ids(d, "tls_activations")} if "tls_activations" in wanted else set()
        held = {i for d in found for i in _ids(d, "tls_certificates")} if "tls_certificates" in wanted else set()
        included = [answers.activation_row(a, self.quirks) for a in shown.activations.values() if a.id in active]
        included += [answers.certificate_row(c) for c in shown.custom() if c.id in held]
        return listing(request, found, included if wanted else None, links=True)

    def _bulks(self, request: Request) -> Response:
        found = list(self.shown.bulks())
        found = _if(found, self._filter(request, "tls_domain.id"), lambda c, v: v in c.names)
        found = _if(found, self._filter(request, "tls_domains.id", "match"), lambda c, v: any(v in n for n in c.names))
        return listing(request, [answers.bulk_row(each) for each in _sorted(request, found)], None, links=True)

    def _mutuals(self, request: Request) -> Response:
        rows = [answers.mutual_row(each, self.shown) for each in self.shown.mutuals.values()]
        return listing(request, rows, None, links=True)

    def _subscriptions(self, request: Request) -> Response:
        domain = self._filter(request, "tls_domains.id")
        found = _if(list(self.shown.subscriptions.values()), domain, lambda s, v: v in s.domains)
        wanted = _included(request)
        included = [row for each in found for row in answers.subscription_included(each, self.shown, wanted)]
        rows = [answers.subscription_row(each) for each in found]
        return listing(request, rows, included if wanted else None, links=True)


_LISTINGS: dict[str, Callable[[Reads, Request], Response]] = {
    "private_keys": Reads._keys,
    "certificates": Reads._certificates,
    "activations": Reads._activations,
    "configurations": Reads._configurations,
    "domains": Reads._domains,
    "mutual_authentications": Reads._mutuals,
    "subscriptions": Reads._subscriptions,
}


def _if(found: Sequence[T], value: str | None, fits: Callable[[T, str], bool]) -> list[T]:
    return [each for each in found if value is None or fits(each, value)]


def _included(request: Request) -> list[str]:
    return [word for word in request.one("include").split(",") if word]


def _ids(found: Row, kind: str) -> list[str]:
    return [each["id"] for each in found["relationships"][kind]["data"]]


def _sorted(request: Request, found: list[Certificate]) -> list[Certificate]:
    order = request.one("sort")
    by: dict[str, Callable[[Certificate], Any]] = {
        "created_at": lambda c: c.created,
        "not_before": lambda c: c.leaf.not_valid_before_utc,
        "not_after": lambda c: c.leaf.not_valid_after_utc,
    }
    key = by.get(order.removeprefix("-"))
    return sorted(found, key=key, reverse=order.startswith("-")) if key else found
