"""The commands that keep things safe: export, backup, restore, vault."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from certbroker.cli.command import Command, Group, as_json
from certbroker.cli.paper import Paper
from certbroker.cli.runs import desk_of
from certbroker.errors import UsageError
from certbroker.world import World

if TYPE_CHECKING:
    from certbroker.broker.exports import File


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--all", "folder", metavar="DIR", help="Every certificate, one folder each, as PEM files.")
@click.option("--format", "kind", type=click.Choice(["pem", "pkcs12", "kubernetes"]), default="pem", show_default=True)
@click.option("--version", "number", type=int, metavar="N", help="Not the wanted version but vN.")
@click.option("--key-type", metavar="TYPE", help="Which one, if the certificate has several key types.")
@click.option("-o", "--output", metavar="FILE", help="Write here (mode 0600) instead of to stdout.")
@click.option("--passphrase-env", metavar="NAME", help="PKCS#12: protect it with the passphrase in this variable.")
@click.pass_context
def export(
    ctx: click.Context,
    name: str | None,
    folder: str | None,
    kind: str,
    number: int | None,
    key_type: str | None,
    output: str | None,
    passphrase_env: str | None,
) -> int:
    """Give the owner his certificate with its private key: it is his."""
    from certbroker.broker import home_path
    from certbroker.broker.exports import export_all, export_one

    world: World = ctx.find_root().obj
    if (name is None) == (folder is None):
        raise UsageError("export takes one NAME, or --all DIR")
    desk = desk_of(ctx)
    if folder is not None:
        files = export_all(desk)
        for file in files:
            _write(home_path(world, folder) / file.path, file)
        Paper(world).line(f"{len(files)} files in {folder}, private keys among them (mode 0600)")
        return 0
    assert name is not None
    file = export_one(desk, name, kind=kind, number=number, key_type=key_type, passphrase_env=passphrase_env)
    if output is not None:
        _write(home_path(world, output), file)
        Paper(world).story(f"wrote {output} (mode 0600)")
        return 0
    if file.binary:
        raise UsageError("PKCS#12 is not text", hint="give it a file: --output main.p12")
    if world.stdout.isatty():
        raise UsageError(
            "that would show a private key on the terminal", hint="give it a file: --output FILE, or a pipe"
        )
    world.stdout.write(file.content.decode())
    return 0


def _write(path: Path, file: File) -> None:
    """A new file that only its owner reads; nothing is overwritten."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} exists already; nothing was overwritten") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "wb") as stream:
        stream.write(file.content)


@click.command(cls=Command)
@click.argument("file", metavar="FILE")
@click.pass_context
def backup(ctx: click.Context, file: str) -> int:
    """Write everything that is known into one consistent FILE. Private keys in it stay sealed: keep the vault key apart."""
    from certbroker import broker
    from certbroker.store import backup as store_backup

    world: World = ctx.find_root().obj
    config = broker.read_config(world, ctx.find_root().meta.get("certbroker.config"))
    store = ctx.with_resource(broker.open_store(world, config))
    path = broker.home_path(world, file)
    store_backup.dump(store, path)
    paper = Paper(world)
    paper.line(
        f"wrote {file}: store {store.id}, private keys sealed; {_vault_url(world, config.vault)} opens them and is not in it"
    )
    return 0


@click.command(cls=Command)
@click.argument("file", metavar="FILE")
@click.pass_context
def restore(ctx: click.Context, file: str) -> int:
    """Read a backup FILE into an empty store (the one the file names)."""
    from certbroker import broker
    from certbroker.store import backup as store_backup

    world: World = ctx.find_root().obj
    config = broker.read_config(world, ctx.find_root().meta.get("certbroker.config"))
    store = ctx.with_resource(
        store_backup.load(broker.home_path(world, file), broker.store_url(world, config), world.clock)
    )
    paper = Paper(world)
    paper.line(
        f"restored store {store.id} from {file}; certbroker vault check tells whether the vault key here opens it"
    )
    return 0


def _vault_url(world: World, configured: str | None) -> str:
    from certbroker.config import default_vault

    return configured or default_vault(world.environ)


@click.group(cls=Group)
def vault() -> None:
    """The key that opens the sealed private keys."""


@vault.command("check")
@as_json
@click.pass_context
def vault_check(ctx: click.Context, as_json: bool) -> int:
    """Whether the vault key opens every sealed key of the store."""
    from certbroker.broker.keys import check_keys

    world: World = ctx.find_root().obj
    found = check_keys(desk_of(ctx))
    paper = Paper(world)
    if as_json:
        paper.json(found)
    else:
        paper.line(f"{found.url}: key {found.kid} opens {found.opened} of {found.sealed} sealed keys")
        for owner in found.closed:
            paper.trouble(f"the vault key does not open {owner}", hint="restore the vault key that sealed it")
    return 1 if found.closed else 0


@vault.command("rotate")
@click.pass_context
def vault_rotate(ctx: click.Context) -> int:
    """Make a new vault key and seal every private key anew with it. Killed half-way, it goes on at the next call."""
    from certbroker.broker.keys import rotate_keys

    done = rotate_keys(desk_of(ctx))
    paper = Paper(ctx.find_root().obj)
    paper.line(
        f"{done.sealed} keys are sealed with {done.kid} now; put the new {done.url.removeprefix('file:')} into your password manager"
    )
    return 0


COMMANDS = (export, backup, restore, vault)
