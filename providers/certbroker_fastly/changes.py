"""The writes of the Fastly simulator: each method is one call, and raises Refusal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography import x509

from certbroker.testkit.simulator import Response
from certbroker_fastly import answers
from certbroker_fastly.answers import no_route, nothing, said
from certbroker_fastly.estate import (
    Activation,
    Certificate,
    Configuration,
    Estate,
    Key,
    Mutual,
    Refusal,
    Subscription,
    row,
)
from certbroker_fastly.quirks import Quirks
from certbroker_fastly.uploads import ReadChain, common_name, reaches, read_chain, read_key


@dataclass(frozen=True, slots=True)
class Changes:
    """One write to `estate`. `services`: the domains on active services, None for every domain."""

    estate: Estate
    quirks: Quirks
    now: datetime
    new_id: Callable[[], str]
    services: Collection[str] | None
    roots: Sequence[x509.Certificate]

    def answer(self, method: str, parts: Sequence[str], body: Any) -> Response:
        match method, parts:
            case "POST", ["private_keys"]:
                return self.create_key(body)
            case "DELETE", ["private_keys", identity]:
                return self.delete_key(identity)
            case "POST", ["certificates"]:
                return self.create_certificate(body)
            case "PATCH", ["certificates", identity]:
                return self.update_certificate(identity, body)
            case "DELETE", ["certificates", identity]:
                return self.delete_certificate(identity)
            case "POST", ["activations"]:
                return self.create_activation(body)
            case "PATCH", ["activations", identity]:
                return self.update_activation(identity, body)
            case "DELETE", ["activations", identity]:
                row(self.estate.activations, identity, "activation")
                del self.estate.activations[identity]
                return said(200, {}) if self.quirks.old_statuses else nothing()
            case "PATCH", ["configurations", identity]:
                return self.rename_configuration(identity, body)
            case _, ["bulk", "certificates", *rest]:
                return self._bulk(method, rest, body)
            case _, ["mutual_authentications", *rest]:
                return self._mutual(method, rest, body)
            case _, ["subscriptions", *rest]:
                return self._subscription(method, rest, body)
        return no_route()

    # ---- keys ------------------------------------------------------------------------------------------------------

    def create_key(self, body: Any) -> Response:
        attributes = _attributes(body)
        read = read_key(attributes.get("key"))
        for key in self.estate.keys.values():
            if key.public == read.public:
                raise Refusal("Can't create private key", f"Key already exists: '{key.id}'", 400)
        name = attributes.get("name")
        name = name if isinstance(name, str) else None
        key = Key(self.new_id(), name, read.kind, read.length, read.sha1, read.public, read.pem, self.now)
        self.estate.keys[key.id] = key
        return said(201, {"data": answers.key_row(key, self.quirks, new=True)})

    def delete_key(self, identity: str) -> Response:
        if self.estate.key_in_use(row(self.estate.keys, identity, "private key")):
            raise Refusal("Can't delete private key", "sim: private key is in use by a certificate")
        del self.estate.keys[identity]
        return nothing()

    # ---- certificates ----------------------------------------------------------------------------------------------

    def create_certificate(self, body: Any) -> Response:
        attributes = _attributes(body)
        chain = self._chain(attributes.get("cert_blob"), attributes)
        self._need_key(chain)
        if self.quirks.same_certificate == "refuse":
            for each in self.estate.custom():
                if each.leaf == chain.leaf:
                    raise Refusal("Can't create certificate", f"sim: Certificate already exists: '{each.id}'")
        name = attributes.get("name") or common_name(chain.leaf.subject) or chain.names[0]
        made = self._store(chain, str(name), str(attributes["cert_blob"]))
        return said(201, {"data": answers.certificate_row(made)})

    def update_certificate(self, identity: str, body: Any) -> Response:
        old = row({each.id: each for each in self.estate.custom()}, identity, "certificate")
        attributes = _attributes(body)
        name = str(attributes.get("name") or old.name)
        if "cert_blob" not in attributes:
            if not self.quirks.rename_certificate:
                raise Refusal("Can't update certificate", "sim: cert_blob can't be blank")
            self.estate.certificates[identity] = replace(old, name=name, updated=self.now)
            return said(200, {"data": answers.certificate_row(self.estate.certificates[identity])})
        chain = self._chain(attributes["cert_blob"], attributes)
        if not set(old.names) <= set(chain.names):
            raise Refusal("Can't update certificate", "sim: a SAN entry of the current certificate is missing")
        if chain.public != old.public and not self.quirks.new_key_on_patch:
            raise Refusal("Can't update certificate", "sim: the private key does not match the current certificate")
        self._need_key(chain)
        new = replace(
            old,
            name=name,
            blob=str(attributes["cert_blob"]),
            leaf=chain.leaf,
            names=chain.names,
            public=chain.public,
            created=self.now,
            updated=self.now,
        )
        self.estate.certificates[identity] = new
        return said(200, {"data": answers.certificate_row(new, names=old.names if self.quirks.stale_domains else None)})

    def delete_certificate(self, identity: str) -> Response:
        found = row({each.id: each for each in self.estate.custom()}, identity, "certificate")
        if self.estate.certificate_in_use(found):
            raise Refusal("Can't delete certificate", "sim: certificate is in use by an activation")
        del self.estate.certificates[identity]
        return nothing()

    def _chain(self, blob: Any, attributes: Mapping[str, Any]) -> ReadChain:
        chain = read_chain(blob, self.now, dates=self.quirks.dates == "reject")
        known = attributes.get("allow_untrusted_root") is True or self.quirks.untrusted == "accept"
        if not known and not reaches(chain.last, self.roots):
            raise Refusal("Can't create certificate", "sim: the chain ends in no trusted root")
        return chain

    def _need_key(self, chain: ReadChain) -> None:
        if not any(key.public == chain.public for key in self.estate.keys.values()):
            raise Refusal("Can't create certificate", "sim: no private key of this certificate was uploaded")

    def _store(self, chain: ReadChain, name: str, blob: str, *, bulk: str | None = None) -> Certificate:
        made = Certificate(
            self.new_id(), name, blob, chain.leaf, chain.names, chain.public, self.now, self.now, bulk=bulk
        )
        self.estate.certificates[made.id] = made
        return made

    # ---- activations -----------------------------------------------------------------------------------------------

    def create_activation(self, body: Any) -> Response:
        wanted = _related(body)
        certificate = self._custom(wanted.get("tls_certificate"))
        domain = wanted.get("tls_domain")
        if not domain:
            raise Refusal("Can't create activation", "sim: tls_domain can't be blank")
        identity = wanted.get("tls_configuration")
        configuration = (
            row(self.estate.configurations, identity, "configuration") if identity else self.estate.default()
        )
        self._on_a_service(domain)
        once = self.quirks.one_activation_per == "domain"
        everywhere = self.quirks.subscription_blocks == "domain"
        self.estate.check_activation(domain, certificate, configuration, once=once, everywhere=everywhere, now=self.now)
        made = Activation(self.new_id(), domain, certificate.id, configuration.id, self.now)
        self.estate.activations[made.id] = made
        return said(200 if self.quirks.old_statuses else 201, {"data": answers.activation_row(made, self.quirks)})

    def update_activation(self, identity: str, body: Any) -> Response:
        """Configuration and domain cannot be changed: naming them has no effect. A null mutual authentication removes it."""
        activation = row(self.estate.activations, identity, "activation")
        wanted = _related(body)
        changes: dict[str, str | None] = {}
        if wanted.get("tls_certificate"):
            changes["certificate"] = self._moved_to(activation, str(wanted["tls_certificate"]))
            if not self.quirks.mutual_survives:
                changes["mutual"] = None
        if "mutual_authentication" in wanted:
            mutual = wanted["mutual_authentication"]
            changes["mutual"] = row(self.estate.mutuals, mutual, "mutual authentication").id if mutual else None
        moved = self.estate.move(activation, **changes)
        return said(200, {"data": answers.activation_row(moved, self.quirks)})

    def _moved_to(self, activation: Activation, identity: str) -> str:
        """The certificate that an activation may be pointed to."""
        issued = [each.certificate for each in self.estate.subscribed(activation.domain)]
        if identity in issued and self.quirks.managed_activation_returns:
            return identity
        certificate = self._custom(identity)
        if activation.certificate not in self.estate.certificates and not self.quirks.managed_activation_moves:
            raise Refusal("Can't update activation", "sim: this activation belongs to a subscription")
        self.estate.check_fit(activation.domain, certificate, self.now)
        return certificate.id

    def _custom(self, identity: str | None) -> Certificate:
        return row({each.id: each for each in self.estate.custom()}, identity or "", "certificate")

    def _on_a_service(self, domain: str) -> None:
        if self.quirks.services_checked and self.services is not None and domain not in self.services:
            raise Refusal(
                "The domain you entered was not found on one of your services",
                f"Please add {domain} to an active service to begin TLS enablement.",
                400,
            )

    # ---- the rest --------------------------------------------------------------------------------------------------

    def rename_configuration(self, identity: str, body: Any) -> Response:
        old = row(self.estate.configurations, identity, "configuration")
        name = _attributes(body).get("name")
        if not isinstance(name, str) or not name:
            raise Refusal("Can't update configuration", "sim: name can't be blank")
        new = replace(old, name=name, updated=self.now)
        self.estate.configurations[identity] = new
        return said(200, {"data": answers.configuration_row(new, with_records=False)})

    def _bulk(self, method: str, rest: Sequence[str], body: Any) -> Response:
        """Platform TLS: no activations; every name is served at once, and a replacement may drop names."""
        match method, rest:
            case "POST", []:
                configuration = row(self.estate.configurations, _first(body, "tls_configurations"), "configuration")
                chain, blob = self._bulk_chain(body, configuration)
                made = self._store(chain, "", blob, bulk=configuration.id)
                return said(201, {"data": answers.bulk_row(made)})
            case "PATCH", [identity]:
                old = row({each.id: each for each in self.estate.bulks()}, identity, "certificate")
                chain, blob = self._bulk_chain(body, row(self.estate.configurations, old.bulk or "", "configuration"))
                new = replace(old, blob=blob, leaf=chain.leaf, names=chain.names, public=chain.public, updated=self.now)
                self.estate.certificates[identity] = new
                return said(200, {"data": answers.bulk_row(new)})
            case "DELETE", [identity]:
                row({each.id: each for each in self.estate.bulks()}, identity, "certificate")
                del self.estate.certificates[identity]
                return nothing()
        return no_route()

    def _bulk_chain(self, body: Any, configuration: Configuration) -> tuple[ReadChain, str]:
        attributes = _attributes(body)
        if not configuration.bulk:
            raise Refusal("Can't create certificate", "sim: this TLS configuration is not for bulk certificates")
        if not attributes.get("cert_blob") or not attributes.get("intermediates_blob"):
            raise Refusal("Can't create certificate", "sim: cert_blob and intermediates_blob can't be blank")
        blob = f"{str(attributes['cert_blob']).rstrip()}\n{attributes['intermediates_blob']}"
        chain = self._chain(blob, attributes)
        self._need_key(chain)
        return chain, blob

    def _mutual(self, method: str, rest: Sequence[str], body: Any) -> Response:
        attributes = _attributes(body)
        match method, rest:
            case "POST", []:
                if not attributes.get("cert_bundle"):
                    raise Refusal("Can't create mutual authentication", "sim: cert_bundle can't be blank")
                name, enforced = str(attributes.get("name") or ""), attributes.get("enforced") is True
                made = Mutual(self.new_id(), name, enforced, self.now, self.now)
                self.estate.mutuals[made.id] = made
                return said(201, {"data": answers.mutual_row(made, self.estate)})
            case "PATCH", [identity]:
                old = row(self.estate.mutuals, identity, "mutual authentication")
                name, enforced = str(attributes.get("name") or old.name), attributes.get("enforced", old.enforced)
                self.estate.mutuals[identity] = replace(old, name=name, enforced=enforced is True, updated=self.now)
                return said(200, {"data": answers.mutual_row(self.estate.mutuals[identity], self.estate)})
            case "DELETE", [identity]:
                row(self.estate.mutuals, identity, "mutual authentication")
                if any(each.mutual == identity for each in self.estate.activations.values()):
                    raise Refusal("Can't delete mutual authentication", "sim: it is in use by an activation")
                del self.estate.mutuals[identity]
                return nothing()
        return no_route()

    def _subscription(self, method: str, rest: Sequence[str], body: Any) -> Response:
        """A new one is pending until its name is proven. Nobody here sends `force`: what serves stays."""
        match method, rest:
            case "POST", []:
                domain = _first(body, "tls_domain") or _first(body, "tls_domains")
                if not domain:
                    raise Refusal("Can't create subscription", "sim: tls_domains can't be blank")
                self._may_subscribe(domain)
                configuration = _related(body).get("tls_configuration") or self.estate.default().id
                made = Subscription(self.new_id(), (domain,), configuration, self.now, self.new_id())
                self.estate.subscriptions[made.id] = made
                included = answers.subscription_included(made, self.estate, ("tls_authorizations",))
                return said(201, {"data": answers.subscription_row(made), "included": included})
            case "DELETE", [identity]:
                gone = row(self.estate.subscriptions, identity, "subscription")
                enabled = any(each.domain in gone.domains for each in self.estate.activations.values())
                if self.estate.subscription_in_use(gone) or (enabled and not self.quirks.subscription_goes):
                    raise Refusal("Can't delete subscription", "sim: a domain of this subscription is active")
                del self.estate.subscriptions[identity]
                return nothing()
        return no_route()

    def _may_subscribe(self, domain: str) -> None:
        self._on_a_service(domain)
        enabled = any(each.domain == domain for each in self.estate.activations.values())
        if self.estate.subscribed(domain) or (enabled and not self.quirks.subscription_beside):
            raise Refusal("Can't create subscription", "sim: the domain is enabled already")


def _data(body: Any) -> Mapping[str, Any]:
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict):
        raise Refusal("Bad request", "sim: the body has no data", 400)
    return data


def _attributes(body: Any) -> Mapping[str, Any]:
    if body is None:
        return {}
    found = _data(body).get("attributes")
    return found if isinstance(found, dict) else {}


def _related(body: Any) -> dict[str, str | None]:
    """The ids of the to-one relations that the body names; None where it says null."""
    relations = _data(body).get("relationships")
    found: dict[str, str | None] = {}
    for kind, relation in relations.items() if isinstance(relations, dict) else ():
        data = relation.get("data") if isinstance(relation, dict) else None
        found[kind] = data.get("id") if isinstance(data, dict) else None
    return found


def _first(body: Any, kind: str) -> str:
    """The first id of a to-many relation, or ""."""
    relations = _data(body).get("relationships")
    relation = relations.get(kind) if isinstance(relations, dict) else None
    data = relation.get("data") if isinstance(relation, dict) else None
    return next((str(each.get("id")) for each in data if isinstance(each, dict)), "") if isinstance(data, list) else ""
