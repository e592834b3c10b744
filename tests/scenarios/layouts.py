"""A pair as other programs keep it: written below a folder, answered with what one types after `import NAME`."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from certbroker import keys
from certbroker.secret import Secret

END = "-----END CERTIFICATE-----\n"


def split(chain: str) -> list[str]:
    return [block + END for block in chain.split(END) if block.strip()]


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def one_file(home: Path, chain: str, key: Secret) -> list[str]:
    write(home / "all.pem", key.reveal() + chain)
    return ["all.pem"]


def three_files(home: Path, chain: str, key: Secret) -> list[str]:
    leaf, *others = split(chain)
    write(home / "cert.pem", leaf)
    write(home / "chain.pem", "".join(others))
    write(home / "key.pem", key.reveal())
    return ["chain.pem", "key.pem", "cert.pem"]


def certbot_lineage(home: Path, chain: str, key: Secret) -> list[str]:
    archive, live = home / "etc/letsencrypt/archive/example.com", home / "etc/letsencrypt/live/example.com"
    live.mkdir(parents=True)
    for name, text in (("fullchain", chain), ("privkey", key.reveal()), ("cert", split(chain)[0])):
        (live / f"{name}.pem").symlink_to(write(archive / f"{name}1.pem", text))
    write(home / "etc/letsencrypt/live/README", "This directory contains your keys and certificates.")
    return ["etc/letsencrypt/live/example.com"]


def certbot_root(home: Path, chain: str, key: Secret) -> list[str]:
    certbot_lineage(home, chain, key)
    return ["etc/letsencrypt/"]


def lego(home: Path, chain: str, key: Secret) -> list[str]:
    leaf, *others = split(chain)
    write(home / ".lego/certificates/_.example.com.crt", leaf)  # as with --no-bundle
    write(home / ".lego/certificates/_.example.com.issuer.crt", "".join(others))
    write(home / ".lego/certificates/_.example.com.key", key.reveal())
    write(home / ".lego/certificates/_.example.com.json", json.dumps({"domain": "*.example.com"}))
    return [".lego"]


def acme_sh(home: Path, chain: str, key: Secret) -> list[str]:
    folder = home / ".acme.sh/example.com_ecc"
    leaf, *others = split(chain)
    write(folder / "example.com.cer", leaf)
    write(folder / "ca.cer", "".join(others))
    write(folder / "fullchain.cer", "\n".join([leaf, *others]))
    loaded = keys.load_key(key)
    old = loaded.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    write(
        folder / "example.com.key",
        b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + old,
    )
    write(folder / "example.com.conf", "Le_Domain='example.com'\n")
    return [".acme.sh"]


def manifest(home: Path, chain: str, key: Secret, *, name: str = "wildcard-acme-tls") -> list[str]:
    data = {
        "tls.crt": base64.b64encode(chain.encode()).decode(),
        "tls.key": base64.b64encode(key.reveal().encode()).decode(),
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name},
        "data": data,
    }
    write(home / "secret.json", json.dumps(secret))
    return ["secret.json"]


def manifest_yaml(home: Path, chain: str, key: Secret) -> list[str]:
    def block(text: str) -> str:
        return "".join(f"    {line}\n" for line in text.splitlines())

    text = (
        "# kubectl get secret -o yaml\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata:\n  name: tls\n"
    )
    text += f"stringData:\n  tls.crt: |\n{block(chain)}  tls.key: |\n{block(key.reveal())}---\nkind: ConfigMap\n"
    write(home / "secret.yaml", text)
    return ["secret.yaml"]


def pkcs12(home: Path, chain: str, key: Secret, *, passphrase: bytes | None = None) -> list[str]:
    from cryptography.hazmat.primitives.serialization import pkcs12 as p12

    leaf, *others = keys.read_chain(chain)
    protection = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    made = p12.serialize_key_and_certificates(b"main", keys.load_key(key), leaf, others, protection)
    write(home / "main.p12", made)
    return ["main.p12"]


def encrypted_pem(home: Path, chain: str, key: Secret, *, passphrase: bytes) -> list[str]:
    sealed = keys.load_key(key).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )
    write(home / "fullchain.pem", chain)
    write(home / "sealed.pem", sealed)
    return ["fullchain.pem", "sealed.pem"]


Writer = Callable[[Path, str, Secret], list[str]]

LAYOUTS: dict[str, tuple[str, Writer]] = {
    "one PEM file, the key first": ("pem", one_file),
    "three PEM files in any order": ("pem", three_files),
    "a certbot lineage of symlinks": ("certbot", certbot_lineage),
    "certbot's folder with one lineage": ("certbot", certbot_root),
    "lego without a bundle": ("lego", lego),
    "acme.sh with an old form of key": ("acme.sh", acme_sh),
    "a Kubernetes Secret in JSON": ("kubernetes", manifest),
    "a Kubernetes Secret in YAML": ("kubernetes", manifest_yaml),
    "PKCS#12 without a passphrase": ("pkcs12", pkcs12),
}

SEALING: tuple[Callable[..., list[str]], ...] = (pkcs12, encrypted_pem)
"""Those that take a passphrase."""
