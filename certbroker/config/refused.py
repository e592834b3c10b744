"""What CAs are known to refuse, by the rules that they publish: told with its line, before anybody is asked."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from certbroker.config.issuers import GOOGLE, GOOGLE_TEST, LETSENCRYPT, LETSENCRYPT_STAGING, PRESETS
from certbroker.config.settings import IssuerSettings
from certbroker.model import Method
from certbroker.names import covers, is_address


@dataclass(frozen=True, slots=True)
class Profile:
    """What certificates of one profile may be."""

    most_names: int
    addresses: bool = False
    """It signs IP addresses too."""


LETSENCRYPT_PROFILES: Final = {
    "classic": Profile(100),
    "tlsserver": Profile(25),
    "shortlived": Profile(25, addresses=True),
}
"""https://letsencrypt.org/docs/profiles/"""

_DEFAULT: Final = "classic"
_LETSENCRYPT: Final = frozenset({LETSENCRYPT, LETSENCRYPT_STAGING})
_GOOGLE: Final = frozenset({GOOGLE, GOOGLE_TEST})


def most_names(issuer: IssuerSettings) -> int | None:
    """The most names of one certificate; None if nobody has told."""
    known = _profile(issuer)
    said = [most for most in (issuer.most_names, known.most_names if known else None) if most is not None]
    return min(said, default=None)


def shown(issuer: IssuerSettings) -> str:
    """The issuer, and the profile that its limits belong to."""
    return f"{issuer.name} (profile {issuer.profile or _DEFAULT})" if issuer.directory in _LETSENCRYPT else issuer.name


def unprovable(names: Sequence[str], method: Method) -> Iterator[tuple[str, str]]:
    """Each name that this method proves at no CA, and why."""
    for name in names:
        if is_address(name) and not method.proves_addresses:
            yield (
                name,
                f'{name} is an IP address, which no DNS record proves: challenge = "http-01" does, this is {method}',
            )


def refusals(names: Sequence[str], issuer: IssuerSettings) -> Iterator[tuple[str, str]]:
    """Each name that this CA will not sign, and why."""
    if not any(known.directory == issuer.directory for known in PRESETS.values()):
        return  # a CA of one's own has its own rules
    for name in names:
        why = _address(name, issuer) if is_address(name) else _dns_name(name, names, issuer)
        if why is not None:
            yield name, why


def _dns_name(name: str, names: Sequence[str], issuer: IssuerSettings) -> str | None:
    if "_" in name:  # CA/Browser Forum, Baseline Requirements, section 7.1.2.7.12
        return f"{name} holds an underscore, which public CAs do not sign; {issuer.name} would refuse it"
    if issuer.directory in _LETSENCRYPT:  # boulder: "redundant with a wildcard"
        star = next(
            (other for other in names if other != name and other.startswith("*.") and covers(other, name)), None
        )
        if star is not None:
            return f"{name} is covered by {star}; Let's Encrypt refuses both in one certificate"
    return None


def _address(name: str, issuer: IssuerSettings) -> str | None:
    if not ipaddress.ip_address(name).is_global:
        return f"{name} is no public address; {issuer.name} signs only addresses that anybody can reach"
    if issuer.directory in _GOOGLE:
        return f"{name} is an IP address, and {issuer.name} signs none"
    known = _profile(issuer)
    if known is not None and not known.addresses:
        able = " or ".join(f'"{profile}"' for profile, of in LETSENCRYPT_PROFILES.items() if of.addresses)
        return f"{name} is an IP address, which Let's Encrypt signs with profile = {able} only; [issuer.{issuer.name}] has {_said(issuer)}"
    return None


def _said(issuer: IssuerSettings) -> str:
    return f'"{issuer.profile}"' if issuer.profile else f"none, which means {_DEFAULT}"


def _profile(issuer: IssuerSettings) -> Profile | None:
    if issuer.directory not in _LETSENCRYPT:
        return None
    return LETSENCRYPT_PROFILES.get(issuer.profile or _DEFAULT)
