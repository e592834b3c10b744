"""How control of a name is proven: by which method, as which account. Pure."""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from certbroker.challenges import persist
from certbroker.model import Certificate, Method, Record
from certbroker.names import base_name

LABEL: Final = "_acme-challenge"


@dataclass(frozen=True, slots=True)
class Means:
    """What decides, besides the name, where a proof has to stand."""

    method: Method = Method.DNS_01
    account_uri: str | None = None
    """Our account as the CA calls it, byte for byte; None if there is none yet."""
    issuers: tuple[str, ...] = ()
    """The domains that the CA goes by in DNS; empty: not known."""
    alias: str | None = None
    """The zone that the owner's CNAMEs lead into."""

    @classmethod
    def of(cls, certificate: Certificate, account_uri: str | None = None) -> Self:
        """As the file says for this certificate."""
        return cls(certificate.challenge, account_uri, alias=certificate.alias)

    @property
    def wants_account(self) -> bool:
        """Where the proof stands is known only once the account is."""
        return self.method in (Method.DNS_ACCOUNT_01, Method.DNS_PERSIST_01) and self.account_uri is None

    @staticmethod
    def asked(names: Sequence[str]) -> list[str]:
        """One name a place to prove; the wildcard where it is among them, for it asks for more."""
        wanted = set(names)
        bases = dict.fromkeys(base_name(name) for name in names)
        return [f"*.{base}" if f"*.{base}" in wanted else base for base in bases]

    def owner(self, name: str) -> str:
        """Where the CA looks for the TXT that proves `name` (perhaps a wildcard) in DNS. Not while `wants_account`.

        RFC 8555 section 8.4; draft-ietf-acme-dns-account-label section 3: a label of its own for each account, so that several
        brokers prove one name and none needs the other's `_acme-challenge`.
        """
        if self.method is Method.DNS_ACCOUNT_01:
            assert self.account_uri is not None
            return f"{account_label(self.account_uri)}.{LABEL}.{base_name(name)}"
        if self.method is Method.DNS_PERSIST_01:
            return persist.owner(name)
        return f"{LABEL}.{base_name(name)}"

    def delegation(self, name: str) -> Record | None:
        """The CNAME that the owner creates once where proofs go through an alias. Not while `wants_account`."""
        if self.alias is None:
            return None
        owner = self.owner(name)
        target = f"{owner.replace(f'{LABEL}.', '', 1)}.{self.alias}"
        return Record(owner, "CNAME", (f"{target}.",))


PLAIN: Final = Means()
"""dns-01 at the name itself."""


def account_label(account_uri: str) -> str:
    """The label of an account: base32 of the first ten bytes of its URL's SHA-256, 16 characters and an underscore."""
    digest = hashlib.sha256(account_uri.encode()).digest()
    return f"_{b32encode(digest[:10]).decode().lower()}"
