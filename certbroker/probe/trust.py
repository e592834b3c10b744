"""Would a user accept this chain for this name now? And the roots that decide it."""

from __future__ import annotations

import functools
import ssl
import threading
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import certifi
from cryptography import x509
from cryptography.x509 import verification

from certbroker import keys
from certbroker.errors import BadMaterial
from certbroker.names import covers, is_address, probe_name

SYSTEM_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
"""Where systems keep their roots, besides what OpenSSL itself was built with."""


class Roots:
    """The certificates that a chain may end in."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self.store = verification.Store(list(certificates))
        self.names = frozenset(certificate.subject for certificate in certificates)

    @classmethod
    def of(cls, pem: str) -> Roots:
        """Raises BadMaterial if there is no certificate in `pem`."""
        return cls(keys.read_chain(pem, what="the roots"))

    @classmethod
    def with_system(cls, pem: str) -> Roots:
        """The system's, and those in `pem` beside them. Raises BadMaterial if there is no certificate in `pem`."""
        with _reading:
            return cls([*_system_certificates(), *keys.read_chain(pem, what="the roots")])

    @classmethod
    def system(cls) -> Roots:
        """The system's own; where there is none, Mozilla's as `certifi` (which requests brings) has them. Read once."""
        with _reading:
            return _system_roots()


_reading = threading.Lock()


@functools.cache
def _system_roots() -> Roots:
    return Roots(_system_certificates())


@functools.cache
def _system_certificates() -> list[x509.Certificate]:
    built_in = ssl.get_default_verify_paths().openssl_cafile
    for bundle in (built_in, *SYSTEM_BUNDLES, certifi.where()):
        try:
            text = Path(bundle).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if found := list(_readable(text)):
            return found
    raise BadMaterial("no trusted roots were found on this machine", hint="install the package ca-certificates")


def _readable(text: str) -> Iterator[x509.Certificate]:
    """A bundle may hold certificates older than the rules for them; those are passed over."""
    end = "-----END CERTIFICATE-----"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in text.split(end)[:-1]:
            try:
                yield x509.load_pem_x509_certificate((block[block.rfind("-----BEGIN") :] + end).encode())
            except ValueError:
                continue


def judge(chain_pem: str, name: str, roots: Roots, now: datetime) -> str | None:
    """Why a user would refuse this chain for `name` at `now`, or None. For a wildcard, a name under it is asked for."""
    try:
        chain = keys.read_chain(chain_pem)
    except BadMaterial as error:
        return error.what
    return judge_certificates(chain, probe_name(name), roots, now)


def judge_certificates(chain: Sequence[x509.Certificate], name: str, roots: Roots, now: datetime) -> str | None:
    """`judge`, of certificates that were read already and a concrete name."""
    leaf, others = chain[0], list(chain[1:])
    try:
        if now < leaf.not_valid_before_utc:
            return f"not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        if now >= leaf.not_valid_after_utc:
            return f"expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        names = keys.names_of(leaf)
        if not any(covers(pattern, name) for pattern in names):
            return f"wrong name: it is for {_some(names)}" if names else "wrong name: it names none"
        _verifier(roots, now, _subject(name, names)).verify(leaf, others)
    except verification.VerificationError as error:
        return _explained(chain, roots, now) or f"does not verify: {_one_line(error)}"
    except keys.UNREADABLE:
        return "the certificate cannot be read or judged"
    return None


def _explained(chain: Sequence[x509.Certificate], roots: Roots, now: datetime) -> str | None:
    try:
        return _why(chain, roots, now)
    except keys.UNREADABLE:  # a name somewhere in the chain
        return None


def _one_line(error: Exception) -> str:
    """The first line; nothing in it that a terminal would obey."""
    return "".join(sign if sign.isprintable() else " " for sign in f"{error} ".splitlines()[0][:200]).strip()


def _subject(name: str, names: Sequence[str]) -> x509.DNSName | x509.IPAddress:
    """The name to ask the verifier for. It takes none with an underscore, though DNS does and CAs once did: since the name was
    compared before, by the one rule of the whole program, another one of the leaf's will do."""
    if is_address(name):
        return keys.general_name(name)
    asked = [name, *map(probe_name, names)]
    return x509.DNSName(next((known for known in asked if "_" not in known and not is_address(known)), name))


def _verifier(roots: Roots, now: datetime, subject: x509.DNSName | x509.IPAddress) -> verification.ServerVerifier:
    """As strict as browsers and no stricter: key identifiers and CA key usage may be missing, as in many private CAs."""
    agnostic = verification.Criticality.AGNOSTIC
    leaf = (
        verification.ExtensionPolicy.webpki_defaults_ee()
        .may_be_present(x509.AuthorityKeyIdentifier, agnostic, None)
        .require_present(x509.SubjectAlternativeName, agnostic, None)
    )
    authority = (
        verification.ExtensionPolicy.webpki_defaults_ca()
        .may_be_present(x509.AuthorityKeyIdentifier, agnostic, None)
        .may_be_present(x509.SubjectKeyIdentifier, agnostic, None)
        .may_be_present(x509.KeyUsage, agnostic, _may_sign)
    )
    return (
        verification.PolicyBuilder()
        .store(roots.store)
        .time(now)
        .extension_policies(ca_policy=authority, ee_policy=leaf)
        .build_server_verifier(subject)
    )


def _may_sign(_policy: verification.Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("a CA certificate in the chain may not sign certificates")


def _why(chain: Sequence[x509.Certificate], roots: Roots, now: datetime) -> str | None:
    """The common reasons in words: follow the issuers through what was sent until nobody is left."""
    top = chain[0]
    if top.issuer == top.subject:
        return "self-signed" if len(chain) == 1 else "self-signed, and not by a trusted root"
    for _ in chain:
        if top.issuer in roots.names or top.issuer == top.subject:
            break
        above = next((c for c in chain[1:] if c.subject == top.issuer), None)
        if above is None:
            break
        if now >= above.not_valid_after_utc:
            return f"the intermediate {keys.common_name(above.subject)} expired on {above.not_valid_after_utc:%Y-%m-%d}"
        top = above
    if top.issuer in roots.names:
        return None  # the path is whole and named right: something else is wrong with it
    issuer = keys.common_name(top.issuer)
    if top is chain[0] and len(chain) == 1:
        return f"incomplete chain: only the leaf is sent, and its issuer {issuer} is no trusted root"
    return f"untrusted chain: it ends at {issuer}, which is no trusted root"


def _some(names: Sequence[str]) -> str:
    shown = ["".join(sign if sign.isprintable() else " " for sign in name[:253]) for name in names[:3]]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
