"""A client that does nothing but the fewest requests: no journal, no checks, no errors but its own end.

    python lower_bound.py FILE

FILE is JSON: directory, ca_bundle, dns ("host:port"), tsig (name and secret), zone, key (its path, PEM), account (made and
written back if it is null), certificates (lists of names), out (a folder).
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import queue
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import dns.query
import dns.tsig
import dns.update
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

WIDTH: Final = 16
PAUSE: Final = 0.05


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Line:
    """Connections and nonces, both kept."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.context = ssl.create_default_context(cafile=order["ca_bundle"])
        self.here = threading.local()
        self.nonces: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.account: str | None = order["account"]
        key = serialization.load_pem_private_key(Path(order["key"]).read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self.key = key
        numbers = key.public_key().public_numbers()
        self.jwk = {"crv": "P-256", "kty": "EC", "x": b64(numbers.x.to_bytes(32, "big"))}
        self.jwk["y"] = b64(numbers.y.to_bytes(32, "big"))
        thumb = json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()
        self.thumbprint = b64(hashlib.sha256(thumb).digest())
        self.directory = json.loads(self.send("GET", order["directory"])[0])

    def send(self, method: str, url: str, body: str | None = None) -> tuple[bytes, str]:
        parts = urlsplit(url)
        connection = getattr(self.here, "connection", None)
        if connection is None:
            connection = http.client.HTTPSConnection(parts.netloc, context=self.context)
            self.here.connection = connection
        connection.request(method, parts.path, body, {"Content-Type": "application/jose+json"})
        reply = connection.getresponse()
        data = reply.read()
        if nonce := reply.headers.get("Replay-Nonce"):
            self.nonces.put(nonce)
        assert reply.status < 300, data
        return data, reply.headers.get("Location", "")

    def more(self, _: int) -> None:
        self.send("HEAD", self.directory["newNonce"])

    def ask(self, url: str, payload: Any = None) -> tuple[bytes, str]:
        who = {"kid": self.account} if self.account else {"jwk": self.jwk}
        protected = b64(json.dumps({"alg": "ES256", "nonce": self.nonces.get(), "url": url, **who}).encode())
        content = "" if payload is None else b64(json.dumps(payload).encode())
        r, s = decode_dss_signature(self.key.sign(f"{protected}.{content}".encode(), ec.ECDSA(hashes.SHA256())))
        signature = b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return self.send("POST", url, json.dumps({"protected": protected, "payload": content, "signature": signature}))

    def object(self, url: str, payload: Any = None) -> Any:
        return json.loads(self.ask(url, payload)[0])


def update(order: dict[str, Any], act: Callable[[dns.update.UpdateMessage], object]) -> None:
    name, secret = order["tsig"]
    message = dns.update.UpdateMessage(order["zone"], keyring=dns.tsig.Key(name, secret, "hmac-sha256"))
    act(message)
    host, _, port = order["dns"].rpartition(":")
    dns.query.tcp(message, host, port=int(port), timeout=10)


def request(key: ec.EllipticCurvePrivateKey, names: Iterable[str]) -> str:
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.add_extension(alternatives, critical=False).sign(key, hashes.SHA256())
    return b64(signed.public_bytes(serialization.Encoding.DER))


def main(file: Path) -> None:
    order = json.loads(file.read_text())
    line = Line(order)
    wanted: list[list[str]] = order["certificates"]
    with ThreadPoolExecutor(WIDTH) as pool:
        list(pool.map(line.more, range(min(3 if len(wanted) == 1 else WIDTH, max(sum(map(len, wanted)), 1)))))
        if line.account is None:
            _, order["account"] = line.ask(line.directory["newAccount"], {"termsOfServiceAgreed": True})
            file.write_text(json.dumps(order))
            return

        def place(names: list[str]) -> tuple[str, Any]:
            identifiers = [{"type": "dns", "value": name} for name in names]
            data, url = line.ask(line.directory["newOrder"], {"identifiers": identifiers})
            return url, json.loads(data)

        orders = list(pool.map(place, wanted))
        proofs = list(pool.map(line.object, [url for _, known in orders for url in known["authorizations"]]))
        challenges = [next(c for c in proof["challenges"] if c["type"] == "dns-01") for proof in proofs]
        names = [f"_acme-challenge.{proof['identifier']['value']}." for proof in proofs]
        values = [b64(hashlib.sha256(f"{c['token']}.{line.thumbprint}".encode()).digest()) for c in challenges]

        def publish(message: dns.update.UpdateMessage) -> None:
            for name, value in zip(names, values, strict=True):
                message.add(name, 60, "TXT", value)

        update(order, publish)
        list(pool.map(lambda challenge: line.ask(challenge["url"], {}), challenges))

        def finish(item: tuple[tuple[str, Any], list[str], int]) -> None:
            (url, known), names, number = item
            key = ec.generate_private_key(ec.SECP256R1())
            signing = request(key, names)
            while known["status"] == "pending":
                time.sleep(PAUSE)
                known = line.object(url)
            known = line.object(known["finalize"], {"csr": signing})
            while known["status"] != "valid":
                time.sleep(PAUSE)
                known = line.object(url)
            chain, _ = line.ask(known["certificate"])
            secret = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            Path(order["out"], f"{number}.pem").write_bytes(chain + secret)

        list(pool.map(finish, zip(orders, wanted, range(len(wanted)), strict=True)))

        def remove(message: dns.update.UpdateMessage) -> None:
            for name in names:
                message.delete(name, "TXT")

        update(order, remove)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
