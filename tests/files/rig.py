"""A folder to put files into, and a disk that can be cut at every write."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from certbroker import keys
from certbroker.names import covers
from certbroker.secret import Secret
from certbroker.testkit.bundles import make_bundle
from certbroker.testkit.line import Gate
from certbroker.testkit.rig import STORE, Rig, context
from certbroker_files import FilesProvider, FilesSettings
from certbroker_files.disk import Disk, Rights

_NUMBERS = itertools.count()


def full() -> Exception:
    return OSError(errno.ENOSPC, "No space left on device")


class GatedDisk(Disk):
    """Every call passes the gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def make_folder(self, path: Path, rights: Rights) -> None:
        self._gate.write(lambda: Disk.make_folder(self, path, rights), full)

    def write(self, path: Path, content: bytes, rights: Rights) -> None:
        self._gate.write(lambda: Disk.write(self, path, content, rights), full)

    def link(self, path: Path, target: str) -> None:
        self._gate.write(lambda: Disk.link(self, path, target), full)

    def rename(self, old: Path, new: Path) -> None:
        self._gate.write(lambda: Disk.rename(self, old, new), full)

    def settle(self, folder: Path) -> None:
        self._gate.write(lambda: Disk.settle(self, folder), full)

    def remove(self, path: Path) -> None:
        self._gate.write(lambda: Disk.remove(self, path), full)


def served(folder: Path, name: str) -> str | None:
    """What a server would serve that reads the plain paths there now; "broken" if it could not start."""
    try:
        chain, key = (folder / "fullchain.pem").read_text(), (folder / "privkey.pem").read_text()
    except FileNotFoundError:
        return None
    leaf = keys.read_chain(chain)[0]
    if keys.public_bytes(leaf.public_key()) != keys.public_bytes(keys.load_key(Secret(key)).public_key()):
        return "broken"
    facts = keys.leaf_facts(leaf)
    return facts.fingerprint if any(covers(pattern, name) for pattern in facts.names) else None


def state(folder: Path) -> Mapping[str, Any]:
    """Every file and link there."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def put(folder: Path, names: Sequence[str], *, number: int = 9) -> str:
    """A pair that somebody else put there; returns its fingerprint."""
    bundle = make_bundle(names, number=number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fullchain.pem").write_text(bundle.version.chain_pem)
    (folder / "privkey.pem").write_text(bundle.key_pem.reveal())
    return bundle.fingerprint


def files_rig(
    tmp_path: Path, *, environ: Mapping[str, str] | None = None, target: str = "place", **settings: Any
) -> Rig:
    """A new folder, one below it for each certificate."""
    top = tmp_path / f"place{next(_NUMBERS)}"
    top.mkdir()
    gate = Gate()
    wanted = FilesSettings.model_validate({"folder": "{certificate}", **settings})

    def make(store_id: str) -> FilesProvider:
        opened = context(store_id=store_id, target=target, cwd=top, environ=environ)
        return FilesProvider(wanted, opened, GatedDisk(gate))

    def where(name: str) -> Path:
        return top / ("other" if name in rig.other_names else "main")

    def put_foreign() -> Any:
        (top / "main").mkdir()
        theirs = [top / "main" / "dhparam.pem", top / "readme.txt"]
        for path in theirs:
            path.write_text("theirs")
        return lambda: [path.read_text() for path in theirs]

    rig = Rig(
        make=make,
        served=lambda name: served(where(name), name),
        state=lambda: state(top),
        gate=gate,
        target=target,
        per_name=False,
        put_foreign=put_foreign,
        occupy=lambda: put(top / "main", rig.names),
    )
    return rig


def folder(rig: Rig) -> Path:
    """Where the certificate main of that rig goes."""
    provider = rig.make(STORE)
    assert isinstance(provider, FilesProvider)
    return provider.place("main").folder
