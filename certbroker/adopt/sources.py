"""What a source is, as somebody says or as it looks, and the reader for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from certbroker.adopt.folders import FOLDERS
from certbroker.adopt.manifest import read_manifest
from certbroker.adopt.pair import Pair, put_together
from certbroker.adopt.pem import decode, read_pem
from certbroker.adopt.pkcs12 import read_pkcs12
from certbroker.adopt.place import Place
from certbroker.errors import BadMaterial, UsageError
from certbroker.secret import Secret

KINDS: Final = ("pem", *FOLDERS, "kubernetes", "pkcs12")

_MANIFEST: Final = re.compile(r"\A\s*\{|^(apiVersion|kind)\s*:", re.MULTILINE)
_SEQUENCE: Final = b"\x30"
"""How DER begins."""


def read(sources: Sequence[Place], kind: str | None = None, passphrase: Secret | None = None) -> Pair:
    """One pair out of these files, or out of one folder, manifest or PKCS#12.

    Args:
        kind: one of KINDS; None: what it looks like.
        passphrase: opens an encrypted key or PKCS#12.

    Raises:
        BadMaterial: there is nothing usable, or more than one.
        UsageError: these do not go together.
    """
    if kind in FOLDERS or any(source.is_folder for source in sources):
        if kind is not None and kind not in FOLDERS:
            raise UsageError(f"--from {kind} reads files, and {sources[0].shown} is a folder")
        return _from_folder(_only(sources), kind, passphrase)
    contents = [(source.shown, source.read()) for source in sources]
    if kind is None and any(content[:1] == _SEQUENCE for _, content in contents):
        kind = "pkcs12"
    if kind == "pkcs12":
        shown = _only(sources).shown
        return put_together(kind, shown, *read_pkcs12(shown, contents[0][1], passphrase))
    texts = [(shown, decode(shown, content)) for shown, content in contents]
    if kind is None:
        kind = "kubernetes" if any(_MANIFEST.search(text) for _, text in texts) else "pem"
    if kind == "kubernetes":
        shown = _only(sources).shown
        chain, key = read_manifest(shown, texts[0][1])
        texts = [(f"tls.crt in {shown}", chain), (f"tls.key in {shown}", key)]
    else:
        shown = " and ".join(source.shown for source in sources)
    return put_together(kind, shown, *read_pem(texts, passphrase))


def _from_folder(folder: Place, kind: str | None, passphrase: Secret | None) -> Pair:
    if not folder.is_folder:
        raise BadMaterial(f"{folder.shown} is no folder")
    kinds = [kind] if kind else list(FOLDERS)
    found = [lineage for each in kinds for lineage in FOLDERS[each](folder)]
    if not found:
        raise BadMaterial(
            f"{folder.shown} holds no certificate with its key as {' or '.join(kinds)} would keep it",
            hint="point to the folder of one certificate, or to its PEM files",
        )
    if len(found) > 1:
        raise BadMaterial(
            f"{folder.shown} holds {len(found)} certificates: {_some([lineage.shown for lineage in found])}",
            hint=f"name the one to import, e.g. {found[0].shown}",
        )
    lineage = found[0]
    texts = [(file.shown, decode(file.shown, file.read())) for file in lineage.files]
    return put_together(lineage.kind, lineage.shown, *read_pem(texts, passphrase))


def _only(sources: Sequence[Place]) -> Place:
    if len(sources) != 1:
        hint = "certbroker import NAME SOURCE, one after the other"
        raise UsageError("several sources are PEM files of one pair; anything else is given alone", hint=hint)
    return sources[0]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
