"""Revoking a certificate (RFC 8555 section 7.6): signed by the account that ordered it, or by the certificate's own key."""

from __future__ import annotations

from acme import messages

from certbroker.errors import IssuanceError, NothingDone
from certbroker.issuer.account_key import as_jwk
from certbroker.issuer.directory import Directories
from certbroker.issuer.messages import Directory
from certbroker.issuer.network import CaNetwork, Reply
from certbroker.issuer.problem import PREFIX
from certbroker.keys import load_key, read_chain
from certbroker.model import RevocationReason, Version
from certbroker.secret import Secret

HINTS = {
    "unauthorized": "another account ordered it: with --reason keyCompromise its own key may sign (--with-certificate-key)",
    "badRevocationReason": "this CA does not take that reason: try --reason unspecified",
}


def sign_with_certificate_key(network: CaNetwork, directories: Directories, key_pem: Secret) -> None:
    """Let `network`, which is of no account, sign with a certificate's own private key (PEM)."""
    network.identify(as_jwk(load_key(key_pem)), None)
    network.learn(directories.get())


def revoke(network: CaNetwork, directories: Directories, ca: str, version: Version, reason: RevocationReason) -> bool:
    """Ask for it. True if it was revoked now, False if the CA had done so before: then it is as good.

    Raises:
        NothingDone: the CA's directory has no place for it. IssuanceError: the CA refused or is away.
    """
    body = messages.Revocation(certificate=read_chain(version.chain_pem)[0], reason=reason.code)

    def ask(directory: Directory) -> Reply:
        if directory.revoke is None:
            raise NothingDone(f"{ca} offers no way to revoke a certificate")
        return network.ask(directory.revoke, f"the revocation of {version.certificate} {version.label}", body)

    try:
        directories.use(ask)
    except IssuanceError as error:
        code = (error.problem_type or "").removeprefix(PREFIX)
        if code == "alreadyRevoked":
            return False
        error.hint = HINTS.get(code, error.hint)
        raise
    return True
