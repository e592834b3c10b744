"""CAs that are known by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from certbroker import limits
from certbroker.config.settings import IssuerSettings

if TYPE_CHECKING:
    from certbroker.config.tables import IssuerTable

LETSENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"
LETSENCRYPT_STAGING: Final = "https://acme-staging-v02.api.letsencrypt.org/directory"

PRESETS: Final = {"letsencrypt": LETSENCRYPT, "letsencrypt-staging": LETSENCRYPT_STAGING}
"""Name -> directory (https://letsencrypt.org/docs/acme-protocol-updates/ and docs/staging-environment/)."""

STAGING_OF: Final = {LETSENCRYPT: "letsencrypt-staging"}
"""A CA's directory -> the preset for its test environment."""

LIMITS: Final = {LETSENCRYPT: limits.LETSENCRYPT, LETSENCRYPT_STAGING: limits.LETSENCRYPT_STAGING}
"""The buckets that CAs publish, by directory."""

STAGING: Final = frozenset({LETSENCRYPT_STAGING})


def preset(name: str, *, agree_to_terms: bool = False) -> IssuerSettings | None:
    """The settings of a CA that no table names; None if it is not known."""
    directory = PRESETS.get(name)
    if directory is None:
        return None
    return IssuerSettings(
        name,
        directory,
        agree_to_terms=agree_to_terms,
        limits=LIMITS.get(directory),
        staging=directory in STAGING,
    )


def issuer_settings(
    name: str, table: IssuerTable, place: Callable[[str | None], Path | None], line: int | None
) -> IssuerSettings:
    """From a table `[issuer.NAME]` that has a directory or the name of a preset."""
    directory = table.directory or PRESETS[name]
    return IssuerSettings(
        name=name,
        directory=directory,
        profile=table.profile,
        preferred_chain=table.preferred_chain,
        roots=place(table.roots),
        ca_bundle=place(table.ca_bundle),
        agree_to_terms=table.agree_to_terms,
        limits=LIMITS.get(directory) if table.limits is None else limits.BY_NAME.get(table.limits),
        staging=directory in STAGING if table.staging is None else table.staging,
        line=line,
    )


def rehearsal(issuer: IssuerSettings) -> IssuerSettings | None:
    """The test environment of the same CA, whose terms are the same; None if it has none that we know."""
    if issuer.staging:
        return issuer
    name = STAGING_OF.get(issuer.directory)
    return preset(name, agree_to_terms=issuer.agree_to_terms) if name else None
