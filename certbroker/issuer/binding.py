"""External account binding (RFC 8555 section 7.3.4): a new account is bound to one that exists at the CA.

Only the public half of the account's key goes into it: what is bound is read by the CA and by whoever stands between.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from acme.jws import JWS
from josepy.jwa import HS256, HS384, HS512, JWASignature
from josepy.jwk import JWK, JWKOct

from certbroker.config import BindingSettings, IssuerSettings, binding_source
from certbroker.errors import NothingDone, UsageError
from certbroker.secret import Secret, SecretRef

_ALGORITHMS: Final[dict[str, JWASignature]] = {"HS256": HS256, "HS384": HS384, "HS512": HS512}
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
"""CAs show the key as base64url, some tools as base64: no text means two keys, so both are understood."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Credentials as the CA gave them, opened. `key` holds the HMAC key as base64url text, padded."""

    kid: str
    key: Secret
    alg: str

    @classmethod
    def opened(cls, issuer: str, settings: BindingSettings, resolve: Callable[[SecretRef], Secret]) -> Binding:
        """Raises NothingDone: a reference leads nowhere, or the key is no base64. No message holds a value."""
        try:
            kid = settings.kid if isinstance(settings.kid, str) else resolve(settings.kid).reveal()
            hmac = resolve(settings.hmac)
        except UsageError as error:
            raise NothingDone(error.what, hint=error.hint) from None
        if not kid.isascii() or not kid.isprintable():
            raise NothingDone(f"eab.kid of [issuer.{issuer}] holds what no key's id has", hint=_AS_SHOWN)
        return cls(kid, _padded(issuer, hmac), settings.alg)

    def sign(self, account_key: JWK, url: str) -> dict[str, Any]:
        """The member `externalAccountBinding` for a newAccount request to `url`."""
        public = account_key.public_key()
        payload = json.dumps(public.to_partial_json(), sort_keys=True, separators=(",", ":")).encode()
        key = JWKOct(key=base64.urlsafe_b64decode(self.key.reveal()))
        signed: dict[str, Any] = JWS.sign(payload, key, _ALGORITHMS[self.alg], None, url, self.kid).to_partial_json()
        return signed


_AS_SHOWN: Final = "both are put there as the CA shows them"


def _padded(issuer: str, hmac: Secret) -> Secret:
    what = f"eab.hmac of [issuer.{issuer}]"
    try:
        text = hmac.reveal().encode("ascii").translate(_URL_SAFE).rstrip(b"=")
        text += b"=" * (-len(text) % 4)
        decoded = base64.b64decode(text, altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise NothingDone(f"{what} leads to a key that is not base64url", hint=_AS_SHOWN) from None
    if not decoded:
        raise NothingDone(f"{what} leads to an empty key", hint=_AS_SHOWN)
    return Secret(text.decode())


def missing(settings: IssuerSettings) -> NothingDone:
    """The error for a CA that wants a binding where the file has none."""
    return NothingDone(
        f"{settings.name} takes only accounts with an external account binding, and the file has none for it",
        hint=how_to_bind(settings),
    )


def how_to_bind(settings: IssuerSettings) -> str:
    """What to do where credentials are missing or refused."""
    source = binding_source(settings.directory) or "ask the CA for a key id and an HMAC key"
    return f"{source}; then eab = {{ kid = …, hmac = {{ env = … }} }} in [issuer.{settings.name}]"
