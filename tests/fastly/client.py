"""A client that speaks to the simulator as curl would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from requests.structures import CaseInsensitiveDict

from certbroker.model import Bundle
from certbroker.secret import Secret
from certbroker.testkit.bundles import (
    NOW,
)
from certbroker.testkit.simulator import Request
from certbroker_fastly.simulator import FastlySimulator, Quirks
from tests.clock import TestClock
from tests.fastly.rig import label

NAMES = ("example.com", "www.example.com")
MEDIA = "application/vnd.api+json"


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        assert self.status < 300, self.body
        return self.json["data"]

    @property
    def detail(self) -> str:
        return str(self.json["errors"][0]["detail"])


class Client:
    """Speaks to a simulator as curl would."""

    def __init__(self, quirks: Quirks | None = None, **more: Any) -> None:
        self.clock = TestClock(NOW)
        self.simulator = FastlySimulator(clock=self.clock.now, quirks=quirks, **more)
        self.token = self.simulator.token

    def call(self, method: str, path: str, body: Any = None, *, accept: str = MEDIA) -> Said:
        parts = urlsplit(path)
        headers = CaseInsensitiveDict({"Fastly-Key": self.token, "Accept": accept})
        raw = b"" if body is None else json.dumps(body).encode()
        answer = self.simulator.handle(Request(method, parts.path, tuple(parse_qsl(parts.query)), headers, raw))
        return Said(answer.status, dict(answer.headers), answer.body)

    def get(self, path: str, **more: Any) -> Said:
        return self.call("GET", path, **more)

    def key(self, pem: Secret, name: str | None = "k") -> Said:
        named = {} if name is None else {"name": name}
        return self.call("POST", "/tls/private_keys", attributes(key=pem.reveal(), **named))

    def certificate(self, bundle: Bundle, **more: Any) -> Said:
        return self.call("POST", "/tls/certificates", attributes(cert_blob=bundle.version.chain_pem, **more))

    def upload(self, bundle: Bundle) -> str:
        """Key and certificate; returns the certificate's id."""
        assert self.key(bundle.key_pem).status == 201
        return str(self.certificate(bundle).data["id"])

    def activate(self, domain: str, certificate: str, configuration: str = "") -> Said:
        ids = {"tls_certificate": certificate, "tls_domain": domain}
        ids |= {"tls_configuration": configuration} if configuration else {}
        return self.call("POST", "/tls/activations", related(**ids))


def attributes(**values: Any) -> Any:
    return {"data": {"type": "", "attributes": values}, "included": [{"attributes": {"type": ""}}], "stray": 1}


def related(**ids: str | None) -> Any:
    relations = {kind: {"data": {"type": kind, "id": each} if each else None} for kind, each in ids.items()}
    return {"data": {"type": "tls_activation", "relationships": relations}}


def both(**quirk: Any) -> pytest.MarkDecorator:
    """The likely Fastly and the other one."""
    return pytest.mark.parametrize("quirks", [Quirks(), Quirks(**quirk)], ids=label)
