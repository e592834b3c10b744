"""Certificates and a private key out of PEM texts, in whichever file each of them is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from cryptography import x509

from certbroker import keys
from certbroker.errors import BadMaterial
from certbroker.secret import Secret

_KEY: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_BEGIN: Final = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"


def read_pem(
    texts: Sequence[tuple[str, str]], passphrase: Secret | None
) -> tuple[tuple[x509.Certificate, ...], Secret]:
    """Every certificate of `texts` (each with its name for people) and their one private key, as PKCS#8.

    Raises:
        BadMaterial: one of them holds neither, cannot be read, or there is no key or more than one.
    """
    certificates: list[x509.Certificate] = []
    found: dict[bytes, Secret] = {}
    for shown, text in texts:
        private = _private_keys(shown, text, passphrase)
        if _CERTIFICATE in text:
            certificates += keys.read_chain(text, what=shown)
        elif not private:
            raise BadMaterial(f"{shown} holds neither a PEM certificate nor a PEM private key")
        for key in private:
            found[keys.public_bytes(key.public_key())] = keys.pkcs8(key)
    where = " and ".join(shown for shown, _ in texts)
    if not certificates:
        raise BadMaterial(f"there is no certificate in {where}", hint="give its file as well")
    if not found:
        raise BadMaterial(f"there is no private key in {where}", hint="give its file as well")
    if len(found) > 1:
        raise BadMaterial(f"there are {len(found)} private keys in {where}", hint="import one pair after the other")
    return tuple(certificates), next(iter(found.values()))


def decode(shown: str, content: bytes) -> str:
    """Raises BadMaterial."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadMaterial(f"{shown} is not text: neither PEM nor a manifest") from None


def _private_keys(shown: str, text: str, passphrase: Secret | None) -> list[keys.PrivateKey]:
    blocks = [found[0] for found in _KEY.finditer(text)]
    if len(blocks) != len(_BEGIN.findall(text)):
        raise BadMaterial(f"{shown} holds a private key that is cut off")
    return [_load(shown, block, passphrase) for block in blocks]


def _load(shown: str, block: str, passphrase: Secret | None) -> keys.PrivateKey:
    what = f"the private key in {shown}"
    if "ENCRYPTED" not in block:
        return keys.load_key(Secret(block), what=what)
    if passphrase is None:
        hint = "--passphrase-env NAME names the variable that holds it"
        raise BadMaterial(f"{what} is protected by a passphrase", hint=hint)
    return keys.load_key(Secret(block), what=what, passphrase=passphrase)
