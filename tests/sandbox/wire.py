"""A client that signs by hand, so that it can sign wrongly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.json_util import encode_b64jose
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from requests.structures import CaseInsensitiveDict

from certbroker import keys
from certbroker.sandbox.ca import SandboxCA
from certbroker.secret import Secret
from certbroker.testkit.simulator import Request, Response
from tests.sandbox.client import URL, Dns, certificate_key, new_key


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The type without its prefix, or "" if it went well."""
        return str(self.json["type"]).rpartition(":")[2] if self.status >= 400 else ""


class Wire:
    """One account key at one CA. `post` signs as it should, save for what is overridden."""

    def __init__(self, ca: SandboxCA, dns: Dns | None = None, key: JWKEC | None = None) -> None:
        self.ca = ca
        self.dns = dns or Dns()
        self.key = key or new_key()
        self.kid: str | None = None

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        sent = {"User-Agent": "by hand", "Content-Type": "application/jose+json", **headers}
        wanted = {name.replace("_", "-"): value for name, value in sent.items()}
        answer: Response = self.ca.handle(Request(method, path, (), CaseInsensitiveDict(wanted), body))
        return Reply(answer.status, CaseInsensitiveDict(dict(answer.headers)), answer.body)

    def nonce(self) -> str:
        return self.send("HEAD", "/nonce").headers["Replay-Nonce"]

    def signed(self, path: str, payload: Any, /, **protected: Any) -> dict[str, str]:
        """The JWS as it goes over the wire. `payload` None is POST-as-GET; bytes go as they are; a protected None is left out."""
        raw = b"" if payload is None else payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        who = {"kid": self.kid} if self.kid else {"jwk": self.key.public_key().to_json()}
        header = {"alg": "ES256", "url": URL + path, **who}
        header |= protected
        if "nonce" not in header:
            header["nonce"] = self.nonce()
        kept = {name: value for name, value in header.items() if value is not None}
        texts = {"protected": encode_b64jose(json.dumps(kept).encode()), "payload": encode_b64jose(raw)}
        signature = ES256.sign(self.key.key, f"{texts['protected']}.{texts['payload']}".encode())
        return {**texts, "signature": encode_b64jose(signature)}

    def post(self, url: str, payload: Any = None, /, **protected: Any) -> Reply:
        path = url.removeprefix(URL)
        return self.send("POST", path, json.dumps(self.signed(path, payload, **protected)).encode())

    def join(self) -> Wire:
        """Get an account."""
        self.kid = self.post("/new-account", {"termsOfServiceAgreed": True}).headers["Location"]
        return self

    def order(self, *names: str, **more: Any) -> Reply:
        identifiers = [{"type": "dns", "value": name} for name in names]
        return self.post("/new-order", {"identifiers": identifiers, **more})

    def authorizations(self, order: Reply) -> list[Any]:
        return [self.post(url).json for url in order.json["authorizations"]]

    def proof(self, challenge: Mapping[str, Any]) -> str:
        text = f"{challenge['token']}.{encode_b64jose(self.key.thumbprint())}"
        return str(encode_b64jose(hashlib.sha256(text.encode()).digest()))

    def prove(self, order: Reply, kind: str = "dns-01", prefix: str = "_acme-challenge") -> None:
        """Publish and answer."""
        for authorization in self.authorizations(order):
            challenge = next((c for c in authorization["challenges"] if c["type"] == kind), None)
            if authorization["status"] == "pending" and challenge:
                name = f"{prefix}.{authorization['identifier']['value']}"
                self.dns.values.setdefault(name, []).append(self.proof(challenge))
                self.post(challenge["url"], {})

    def finalize(self, order: Reply, names: Sequence[str], key: bytes | None = None) -> Reply:
        pem = keys.signing_request(Secret((key or certificate_key()).decode()), names)
        der = x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER)
        return self.post(order.json["finalize"], {"csr": encode_b64jose(der)})

    def obtain(self, *names: str, **more: Any) -> Reply:
        """The order, after everything."""
        order = self.order(*names, **more)
        self.prove(order)
        return self.finalize(order, names)

    @property
    def private_pem(self) -> bytes:
        key = self.key.key
        assert hasattr(key, "private_bytes")
        pem: bytes = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem


def curve_key(curve: ec.EllipticCurve) -> JWKEC:
    return JWKEC(key=ec.generate_private_key(curve))
