"""How certbot, lego and acme.sh lay out what they keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from certbroker.adopt.place import Place


@dataclass(frozen=True, slots=True)
class Lineage:
    """One certificate of such a program: what a person types to name it, and the PEM files that hold it."""

    kind: str
    shown: str
    files: tuple[Place, ...]


def certbot(folder: Place) -> Iterator[Lineage]:
    """`live/NAME/{fullchain,privkey}.pem`; `folder` is /etc/letsencrypt, its `live`, or one in it."""
    for place in _itself_or_inside(folder / "live" if (folder / "live").is_folder else folder):
        files = place / "fullchain.pem", place / "privkey.pem"
        if all(file.is_file for file in files):
            yield Lineage("certbot", place.shown, files)


def lego(folder: Place) -> Iterator[Lineage]:
    """`certificates/NAME.{crt,key}`, and `NAME.issuer.crt` where the first has no chain; `folder` is .lego or its `certificates`."""
    inside = folder / "certificates" if (folder / "certificates").is_folder else folder
    for place in inside.inside():
        if not place.shown.endswith(".crt") or place.shown.endswith(".issuer.crt"):
            continue
        stem = place.path.name.removesuffix(".crt")
        key, issuer = inside / f"{stem}.key", inside / f"{stem}.issuer.crt"
        if key.is_file:
            files = (place, key, *([issuer] if issuer.is_file else []))
            yield Lineage("lego", " ".join(file.shown for file in files), files)


def acme_sh(folder: Place) -> Iterator[Lineage]:
    """`NAME/{fullchain.cer,NAME.key}`, with `_ecc` after the folder's name for ECDSA; `folder` is ~/.acme.sh or one in it."""
    for place in _itself_or_inside(folder):
        chain, key = place / "fullchain.cer", place / f"{place.path.name.removesuffix('_ecc')}.key"
        if chain.is_file and key.is_file:
            yield Lineage("acme.sh", place.shown, (chain, key))


FOLDERS: Final[Mapping[str, Callable[[Place], Iterator[Lineage]]]] = {
    "certbot": certbot,
    "lego": lego,
    "acme.sh": acme_sh,
}


def _itself_or_inside(folder: Place) -> Iterator[Place]:
    yield folder
    yield from (place for place in folder.inside() if place.is_folder)
