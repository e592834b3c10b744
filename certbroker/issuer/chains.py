"""Which chain of a certificate is kept: the CA's default, or an alternate that ends where the file prefers.

RFC 8555 section 7.4.2: a CA links the alternates of a certificate as `rel="alternate"`. The default is good and in our hands
before any of them is asked for, so nothing that is wrong with an alternate can lose it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

from requests.utils import parse_header_links

from certbroker.errors import BadMaterial, IssuanceError
from certbroker.issuer.certificate import Certified
from certbroker.issuer.messages import usable

MOST: Final = 8
"""Alternates that are looked at; a public CA has two or three."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chain to keep. `seen`: where the chains that were looked at end; empty if none had to be looked for."""

    chain: Certified
    seen: tuple[str, ...] = ()
    broken: int = 0
    """Alternates that could not be had, or are not what they should be."""


def choose(
    default: Certified, preferred: str | None, alternates: Sequence[str], fetch: Callable[[str], Certified]
) -> Chosen:
    """The first chain whose topmost certificate was issued by `preferred` (a common name), else the default.

    Args:
        alternates: their addresses; each is fetched at most once, and none after the first that matches.
        fetch: raises IssuanceError or BadMaterial.
    """
    if preferred is None or default.root == preferred:
        return Chosen(default)
    seen, broken = [default.root], 0
    for url in alternates[:MOST]:
        try:
            other = fetch(url)
        except (IssuanceError, BadMaterial):
            broken += 1
            continue
        if other.leaf.fingerprint != default.leaf.fingerprint:
            broken += 1
            continue
        seen.append(other.root)
        if other.root == preferred:
            return Chosen(other, tuple(dict.fromkeys(seen)), broken)
    return Chosen(default, tuple(dict.fromkeys(seen)), broken)


def linked(header: str, url: str) -> list[str]:
    """The alternates that a `Link` header names, in its order. `url` is what was asked: a link may be relative to it."""
    found: dict[str, None] = {}
    for link in parse_header_links(header):
        if "alternate" not in link.get("rel", "").lower().split():
            continue
        try:
            absolute = urljoin(url, link["url"])
        except ValueError:
            continue
        if usable(absolute) and absolute != url:
            found[absolute] = None
    return list(found)
