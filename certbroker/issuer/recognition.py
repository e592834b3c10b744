"""Whether a CA takes a key of ours for our account, and where it keeps the account of a key (RFC 8555 section 7.3.1)."""

from __future__ import annotations

from acme import messages
from josepy.jwk import JWK

from certbroker.errors import IssuanceError, IssuerUnavailable, RateLimited
from certbroker.issuer.directory import Directories
from certbroker.issuer.messages import usable
from certbroker.issuer.network import CaNetwork
from certbroker.issuer.problem import unknown_account


def find(network: CaNetwork, directories: Directories, key: JWK) -> str | None:
    """The URI of the account that the CA knows this key by, as it says; None if it knows none. Raises IssuanceError."""
    network.identify(key, None)
    body = messages.NewRegistration(only_return_existing=True)
    try:
        reply = directories.use(lambda directory: network.ask(directory.new_account, "the account of a key", body))
    except IssuanceError as error:
        if unknown_account(error):
            return None
        raise
    return reply.headers.get("Location", "")


def takes(network: CaNetwork, directories: Directories, uri: str, key: JWK) -> bool:
    """Whether the CA has just taken a request by this key for the account at `uri`: proof enough to give another key up.

    It shows the account as valid, or says of the key that its account is that one: a CA need not show accounts.

    Raises RateLimited, IssuerUnavailable: it cannot be asked.
    """
    try:
        return _shows(network, directories, uri, key) or find(network, directories, key) == uri
    except (RateLimited, IssuerUnavailable):
        raise
    except IssuanceError:
        return False


def _shows(network: CaNetwork, directories: Directories, uri: str, key: JWK) -> bool:
    directories.get()  # says where nonces are
    network.identify(key, uri)
    try:
        return network.ask(uri, "the account").object().get("status") == "valid"
    except (RateLimited, IssuerUnavailable):
        raise
    except IssuanceError:
        return False


def elsewhere(network: CaNetwork, directories: Directories, uri: str, key: JWK) -> str | None:
    """Another address than `uri` at which the CA keeps the account of this key, and shows it to the key; None if there is none.

    Raises IssuanceError.
    """
    found = find(network, directories, key)
    if found is None or found == uri or not usable(found):
        return None
    return found if _shows(network, directories, found, key) else None
