"""Opening the desk: find the file, read it, open the store. The only place that joins them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from certbroker import challenges, registry
from certbroker.broker.desk import Desk
from certbroker.config import Config, default_store, find, load, state_folder
from certbroker.errors import StoreError, UsageError
from certbroker.events import Emit
from certbroker.model import Traits
from certbroker.secret import SecretRef, expand
from certbroker.store import Store
from certbroker.world import World


def read_config(world: World, option: str | None) -> Config:
    """Find and read the file. Raises ConfigError with every problem, UsageError if there is none."""
    path = find(option, world.environ, world.cwd)
    shown = str(path.relative_to(world.cwd)) if path.is_relative_to(world.cwd) else str(path)
    return load(
        path,
        shown=shown,
        provider_settings=registry.provider_settings,
        solver_settings=challenges.solver_settings,
        provider_types=registry.provider_types(),
        solver_types=challenges.solver_types(),
        solver_puts=challenges.solver_puts,
        traits_of=_traits,
    )


def store_url(world: World, config: Config) -> str:
    """Where the state is. Resolves the store's secret reference, if it is one."""
    if isinstance(config.store, SecretRef):
        return config.store.resolve(world.environ, where=f"{config.file}: store.url").reveal()
    return config.store or default_store(world.environ)


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL, None for a server."""
    return Path(url.removeprefix("sqlite:///").partition("?")[0]) if url.startswith("sqlite:///") else None


def open_store(world: World, config: Config, *, create: bool = False) -> Store:
    """Open the state. Only `init` and `restore` make a new one: a mistyped path must not order everything again."""
    url = store_url(world, config)
    file = sqlite_file(url)
    if file is not None and not create and not file.exists():
        raise StoreError(
            f"there is no store at {file}", hint="certbroker init makes one; after a loss: certbroker restore BACKUP"
        )
    return Store.open(url, world.clock)


def open_desk(world: World, config: Config, emit: Emit) -> Desk:
    """Everything a run needs; nothing secret is read yet but the store's address."""
    return Desk(world, config, open_store(world, config), emit)


def beside_store(world: World, config: Config) -> Path:
    """The file for what the store refuses to keep: beside SQLite's, else in the state folder, one for each file of ours."""
    try:
        file = sqlite_file(store_url(world, config))
    except UsageError:
        file = None
    if file is not None:
        return file.with_name(f"{file.name}.told")
    return state_folder(world.environ) / f"told-{hashlib.sha256(bytes(config.path)).hexdigest()[:8]}"


def _traits(provider_type: str) -> Traits:
    return registry.provider(provider_type).traits


def home_path(world: World, text: str) -> Path:
    """A path a person typed: `~` by the world's HOME, relative to its folder."""
    path = Path(expand(text, world.environ))
    return path if path.is_absolute() else world.cwd / path
