"""`export`: the owner's certificate and key, in the forms other programs read."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path

from certbroker import keys
from certbroker.broker.desk import Desk
from certbroker.errors import UsageError
from certbroker.model import Version
from certbroker.secret import Secret, SecretRef


@dataclass(frozen=True, slots=True)
class File:
    """One file to write. `content` may hold a private key: it is never shown."""

    path: Path
    content: bytes = field(repr=False)
    binary: bool = False


def export_one(
    desk: Desk,
    name: str,
    *,
    kind: str = "pem",
    number: int | None = None,
    key_type: str | None = None,
    passphrase_env: str | None = None,
) -> File:
    """One version as `pem` (chain and key in one text), `pkcs12` or a `kubernetes` TLS Secret manifest."""
    version = pick(desk, name, number, key_type)
    key = desk.open_key(version)
    if kind == "pkcs12":
        phrase = (
            SecretRef(env=passphrase_env).resolve(desk.world.environ, where="--passphrase-env")
            if passphrase_env
            else None
        )
        return File(Path(f"{name}.p12"), _pkcs12(name, version, key, phrase), binary=True)
    if kind == "kubernetes":
        return File(Path(f"{name}.yaml"), _manifest(name, version, key).encode())
    return File(Path(f"{name}.pem"), (version.chain_pem.rstrip("\n") + "\n" + key.reveal()).encode())


def export_all(desk: Desk) -> list[File]:
    """Every wanted version: `NAME/TYPE/fullchain.pem` and `privkey.pem` (without the type where there is one)."""
    files = []
    for name, certificate in desk.config.certificates.items():
        variants = desk.store.variants(name)
        for key_type in certificate.keys:
            known = variants.get(key_type)
            if known is None or known.wanted is None:
                continue
            folder = Path(name) / key_type.value if len(certificate.keys) > 1 else Path(name)
            files.append(File(folder / "fullchain.pem", known.wanted.chain_pem.encode()))
            files.append(File(folder / "privkey.pem", desk.open_key(known.wanted).reveal().encode()))
    if not files:
        raise UsageError("no certificate has been issued yet", hint="certbroker renew")
    return files


def pick(desk: Desk, name: str, number: int | None, key_type: str | None) -> Version:
    """Version `number` of a certificate, else the wanted one. Raises UsageError: there is none, or several key types have one."""
    versions = [
        v for v in desk.store.versions(name) if not v.rehearsal and (key_type is None or v.key_type.value == key_type)
    ]
    if not versions:
        desk.certificate(name)  # a name that nobody knows is said first
        raise UsageError(
            f"{name} has no version" + (f" of type {key_type}" if key_type else ""), hint=f"certbroker issue {name}"
        )
    if number is None:
        variants = desk.store.variants(name).values()
        wanted = {v.wanted.id for v in variants if v.wanted}
        chosen = [v for v in versions if v.id in wanted] or versions
    else:
        chosen = [v for v in versions if v.number == number]
    if not chosen:
        raise UsageError(f"{name} has no v{number}", hint="it has " + ", ".join(v.label for v in versions))
    if len({v.key_type for v in chosen}) > 1:
        raise UsageError(
            f"{name} has several key types",
            hint="--key-type " + " or ".join(sorted({v.key_type.value for v in chosen})),
        )
    return chosen[0]


def _pkcs12(name: str, version: Version, key: Secret, passphrase: Secret | None) -> bytes:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, pkcs12

    chain = keys.read_chain(version.chain_pem)
    protection = BestAvailableEncryption(passphrase.reveal().encode()) if passphrase else NoEncryption()
    return pkcs12.serialize_key_and_certificates(
        name.encode(), keys.load_key(key), chain[0], list(chain[1:]), protection
    )


def _manifest(name: str, version: Version, key: Secret) -> str:
    """A kubernetes.io/tls Secret (Kubernetes API, core/v1)."""
    crt = base64.b64encode(version.chain_pem.encode()).decode()
    private = base64.b64encode(key.reveal().encode()).decode()
    return (
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\n"
        f"metadata:\n  name: {name.replace('.', '-').replace('_', '-').lower()}-tls\n"
        f"data:\n  tls.crt: {crt}\n  tls.key: {private}\n"
    )
