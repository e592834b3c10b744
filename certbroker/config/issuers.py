"""CAs that are known by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from certbroker import limits
from certbroker.config.settings import BindingSettings, IssuerSettings, Place, anchored_reference
from certbroker.secret import SecretRef

if TYPE_CHECKING:
    from certbroker.config.tables import BindingTable, IssuerTable

LETSENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"
LETSENCRYPT_STAGING: Final = "https://acme-staging-v02.api.letsencrypt.org/directory"
ZEROSSL: Final = "https://acme.zerossl.com/v2/DV90"
GOOGLE: Final = "https://dv.acme-v02.api.pki.goog/directory"
GOOGLE_TEST: Final = "https://dv.acme-v02.test-api.pki.goog/directory"

_GCLOUD: Final = "gcloud publicca external-account-keys create"
_GOOGLE_TERMS: Final = "https://pki.goog/repository/"
_WITHIN: Final = "keyId is the kid and b64MacKey the hmac, to be used within 7 days"


@dataclass(frozen=True, slots=True)
class Preset:
    """A CA that the file may name without saying where it is."""

    directory: str
    terms: str
    rehearsal: str | None = None
    """The preset of its test environment."""
    staging: bool = False
    binding: str = ""
    """The page or command that makes credentials for an external account binding; empty if it wants none."""
    organization: str = ""
    """What its intermediates say they are of; empty if we know none."""


PRESETS: Final[Mapping[str, Preset]] = {
    "letsencrypt": Preset(
        LETSENCRYPT,
        "https://letsencrypt.org/repository/",
        rehearsal="letsencrypt-staging",
        organization="Let's Encrypt",
    ),
    "letsencrypt-staging": Preset(
        LETSENCRYPT_STAGING,
        "https://letsencrypt.org/repository/",
        staging=True,
        organization="(STAGING) Let's Encrypt",
    ),
    "zerossl": Preset(
        ZEROSSL,
        "https://zerossl.com/terms",
        binding="https://app.zerossl.com/developer , EAB Credentials for ACME Clients; they can be used again",
        organization="ZeroSSL",
    ),
    "google": Preset(
        GOOGLE,
        _GOOGLE_TERMS,
        rehearsal="google-test",
        binding=f"{_GCLOUD} ; {_WITHIN}",
        organization="Google Trust Services",
    ),
    "google-test": Preset(
        GOOGLE_TEST,
        _GOOGLE_TERMS,
        staging=True,
        binding=f"CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBLICCA=https://preprod-publicca.googleapis.com/ {_GCLOUD} ; {_WITHIN}",
    ),
}
"""By name (the CAs' own pages; https://letsencrypt.org/docs/staging-environment/, https://cloud.google.com/certificate-manager/docs/public-ca)."""

LIMITS: Final = {LETSENCRYPT: limits.LETSENCRYPT, LETSENCRYPT_STAGING: limits.LETSENCRYPT_STAGING}
"""The buckets that CAs publish, by directory."""

RATES: Final = {LETSENCRYPT: limits.LETSENCRYPT_RATES, LETSENCRYPT_STAGING: limits.LETSENCRYPT_STAGING_RATES}
"""How fast CAs may be asked, by directory."""


def preset(name: str, *, agree_to_terms: bool = False) -> IssuerSettings | None:
    """The settings of a CA that no table names; None if it is not known."""
    known = PRESETS.get(name)
    if known is None:
        return None
    return IssuerSettings(
        name,
        known.directory,
        agree_to_terms=agree_to_terms,
        limits=LIMITS.get(known.directory),
        rates=RATES.get(known.directory),
        staging=known.staging,
    )


def issuer_settings(
    name: str,
    table: IssuerTable,
    place: Place,
    line: int | None,
    lines: Mapping[str, int],
) -> IssuerSettings:
    """From a table `[issuer.NAME]` that has a directory or the name of a preset."""

    def path(text: str | None) -> Path | None:
        return None if text is None else Path(place(text))

    directory = table.directory or PRESETS[name].directory
    return IssuerSettings(
        name=name,
        directory=directory,
        profile=table.profile,
        most_names=table.most_names,
        preferred_chain=table.preferred_chain,
        roots=path(table.roots),
        ca_bundle=path(table.ca_bundle),
        agree_to_terms=table.agree_to_terms,
        limits=LIMITS.get(directory) if table.limits is None else limits.BY_NAME.get(table.limits),
        rates=limits.RATES_BY_NAME.get(table.limits or "") or RATES.get(directory),
        staging=_is_staging(directory) if table.staging is None else table.staging,
        eab=_binding(table.eab, place),
        line=line,
        lines=lines,
    )


def _binding(table: BindingTable | None, place: Place) -> BindingSettings | None:
    if table is None:
        return None
    kid = anchored_reference(table.kid, place) if isinstance(table.kid, SecretRef) else table.kid
    return BindingSettings(kid, anchored_reference(table.hmac, place), table.alg)


def rehearsal(issuer: IssuerSettings) -> IssuerSettings | None:
    """The test environment of the same CA, whose terms are the same; None if it has none that we know."""
    if issuer.staging:
        return issuer
    name = next((known.rehearsal for known in PRESETS.values() if known.directory == issuer.directory), None)
    found = preset(name, agree_to_terms=issuer.agree_to_terms) if name else None
    return dataclasses.replace(found, profile=issuer.profile) if found else None


def binding_source(directory: str) -> str:
    """The page or command that makes credentials for this CA's external account binding; empty if we know none."""
    return next((known.binding for known in PRESETS.values() if known.directory == directory), "")


def organization(directory: str) -> str:
    """What this CA's intermediates say they are of; empty if we do not know."""
    return next((known.organization for known in PRESETS.values() if known.directory == directory), "")


def _is_staging(directory: str) -> bool:
    return any(known.staging and known.directory == directory for known in PRESETS.values())
