"""Where things lie when nobody says otherwise (XDG Base Directory Specification 0.8)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from certbroker.errors import UsageError
from certbroker.secret import expand

FILE: Final = "certbroker.toml"
VARIABLE: Final = "CERTBROKER_CONFIG"


def find(option: str | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """The file: `--config`, else $CERTBROKER_CONFIG, ./certbroker.toml, the user's folder, the system's.

    Raises UsageError saying where it looked.
    """
    for said, by in ((option, "--config"), (environ.get(VARIABLE), f"${VARIABLE}")):
        if said:
            path = cwd / expand(said, environ)
            if not path.is_file():
                raise UsageError(f"{by} names {said}, which is no file", hint="certbroker init writes one")
            return path
    looked = candidates(environ, cwd)
    for path in looked:
        if path.is_file():
            return path
    raise UsageError(
        "there is no certbroker.toml; looked at " + ", ".join(shown(path, environ, cwd) for path in looked),
        hint="certbroker init NAME… writes one, or name yours: --config FILE",
    )


def candidates(environ: Mapping[str, str], cwd: Path) -> list[Path]:
    """Where a file is looked for that nobody named, first match wins."""
    system = [Path(folder) for folder in environ.get("XDG_CONFIG_DIRS", "").split(":") if folder.startswith("/")]
    folders = [config_folder(environ), *(folder / "certbroker" for folder in system), Path("/etc/certbroker")]
    return list(dict.fromkeys([cwd / FILE, *(folder / FILE for folder in folders)]))


def config_folder(environ: Mapping[str, str]) -> Path:
    """The user's own: `$XDG_CONFIG_HOME/certbroker`, else `~/.config/certbroker`."""
    return _folder(environ, "XDG_CONFIG_HOME", ".config")


def state_folder(environ: Mapping[str, str]) -> Path:
    """What must survive: `$XDG_STATE_HOME/certbroker`, else `~/.local/state/certbroker`."""
    return _folder(environ, "XDG_STATE_HOME", ".local/state")


def default_store(environ: Mapping[str, str]) -> str:
    """The URL of the store that needs no set-up."""
    return f"sqlite:///{state_folder(environ) / 'store.db'}"


def default_vault(environ: Mapping[str, str]) -> str:
    """The URL of the vault key that `init` makes. It lies outside the state folder, so that a copy of one opens nothing."""
    return f"file:{config_folder(environ) / 'vault.key'}"


def shown(path: Path, environ: Mapping[str, str], cwd: Path) -> str:
    """As a person would write it: `./x` or `~/x` where that is shorter."""
    for folder, short in ((cwd, "."), (Path(environ.get("HOME") or os.sep), "~")):
        if folder != Path(os.sep) and path.is_relative_to(folder):
            return f"{short}/{path.relative_to(folder)}"
    return str(path)


def _folder(environ: Mapping[str, str], variable: str, under_home: str) -> Path:
    said = environ.get(variable, "")
    base = Path(said) if said.startswith("/") else Path(environ.get("HOME") or os.sep) / under_home
    return base / "certbroker"


def candidates_exist(option: str | None, environ: Mapping[str, str], cwd: Path) -> bool:
    """Whether `find` would find a file: `init` then writes none."""
    said = option or environ.get(VARIABLE)
    paths = [cwd / expand(said, environ)] if said else candidates(environ, cwd)
    return any(path.exists() for path in paths)
