"""The commands for the beginning: init, where, config, providers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from certbroker.cli.command import Command, Group, as_json
from certbroker.cli.paper import Paper
from certbroker.errors import CertbrokerError, UsageError
from certbroker.world import World

if TYPE_CHECKING:
    from pydantic import BaseModel

    from certbroker.config import Config


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[DNS-NAME]...")
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="TYPE[:VALUE]",
    help="e.g. fastly, fly:site-blue, files:/etc/tls; may be repeated.",
)
@click.option(
    "--solver",
    "solvers",
    multiple=True,
    metavar="TYPE",
    help="Who writes the DNS proof, e.g. dnsimple; may be repeated.",
)
@click.option(
    "--issuer",
    "issuers",
    multiple=True,
    metavar="CA",
    help="letsencrypt (the default), zerossl, google; may be repeated, the preferred first.",
)
@click.option("--agree-to-terms", is_flag=True, help="I agree to the CA's terms of service.")
@click.pass_context
def init(
    ctx: click.Context,
    names: tuple[str, ...],
    targets: tuple[str, ...],
    solvers: tuple[str, ...],
    issuers: tuple[str, ...],
    agree_to_terms: bool,
) -> int:
    """Look around, write a complete file, and make the store and the vault key. Nothing that exists is overwritten.

    Where a file is there already, only what is missing is made.
    """
    from certbroker.config import candidates_exist

    world: World = ctx.find_root().obj
    paper = Paper(world)
    option = ctx.find_root().meta.get("certbroker.config")
    if names:
        if candidates_exist(option, world.environ, world.cwd):
            raise UsageError(
                "there is a file already",
                hint="certbroker where shows it; add the names there, or name a new one with --config",
            )
        option = _write_files(world, paper, option, names, targets, solvers, issuers, agree_to_terms=agree_to_terms)
    elif targets or solvers or issuers:
        raise UsageError("init needs the DNS names", hint="certbroker init example.com '*.example.com' --target fastly")
    return _make_places(ctx, world, paper, option, wrote=bool(names))


def _write_files(
    world: World,
    paper: Paper,
    option: str | None,
    names: tuple[str, ...],
    targets: tuple[str, ...],
    solvers: tuple[str, ...],
    issuers: tuple[str, ...],
    *,
    agree_to_terms: bool,
) -> str:
    from certbroker import challenges, registry
    from certbroker.broker import home_path
    from certbroker.broker.survey import survey
    from certbroker.cli.starter import Start, choice, common_keys, render
    from certbroker.config import PRESETS
    from certbroker.config.names import dns_name
    from certbroker.config.words import unknown

    for issuer in issuers:
        if issuer not in PRESETS:
            raise UsageError(unknown("CA known by name", issuer, PRESETS))
    wanted = [dns_name(name) for name in names]
    chosen = [
        choice(t, kind="target", settings_of=registry.provider_settings, types=registry.provider_types())
        for t in targets
    ]
    seen = survey(world, wanted)
    for line in seen.lines:
        paper.line(f" looked  {line}")
    kinds = list(solvers) or ([seen.solver] if seen.solver else [])

    def settings_of(kind: str) -> type[BaseModel] | None:
        """What it writes proves by dns-01."""
        return challenges.solver_settings(kind) if kind in challenges.IN_DNS else None

    proofs = [choice(s, kind="solver", settings_of=settings_of, types=tuple(challenges.IN_DNS)) for s in kinds]
    written = render(
        Start(
            names=wanted,
            targets=chosen,
            solvers=proofs,
            looked=seen.lines,
            keys=common_keys([registry.provider_key_types(c.kind) for c in chosen]),
            agree_to_terms=agree_to_terms,
            issuers=tuple(dict.fromkeys(issuers)) or ("letsencrypt",),
            solver_types=tuple(challenges.IN_DNS),
        )
    )
    path = home_path(world, option or "certbroker.toml")
    _new_file(path, written.toml, 0o644)
    paper.line(f" wrote   {option or 'certbroker.toml':<30} complete for what was found; goes into git")
    example = path.parent / ".env.example"
    if not example.exists():
        _new_file(example, written.env, 0o644)
        paper.line(
            f" wrote   {'.env.example':<30} {len(written.secrets)} secrets, each with the page or command that makes it with least rights"
        )
    return str(path)


def _make_places(ctx: click.Context, world: World, paper: Paper, option: str | None, *, wrote: bool) -> int:
    from certbroker import broker
    from certbroker.config import default_vault
    from certbroker.vault import Vault

    config = broker.read_config(world, option)
    file = broker.sqlite_file(broker.store_url(world, config))
    fresh = file is not None and not file.exists()
    store = ctx.with_resource(broker.open_store(world, config, create=True))
    if fresh:
        paper.line(f" made    {file!s:<30} what is known; private keys in it are sealed")
    url = config.vault or default_vault(world.environ)
    sealed = next(store.boxes(), None)
    made = False
    if url.startswith("file:"):
        from certbroker.vault import locate

        place = locate(url, world.environ, config.path.parent)
        if not place.exists():
            if sealed is not None:
                raise UsageError(
                    f"the vault key {place} is missing, and the store holds keys sealed with it",
                    hint="put the vault key back; a new one opens nothing",
                )
            Vault.make(url, world.environ, config.path.parent, world.clock.now())
            paper.line(f" made    {place!s:<30} opens them; mode 0600; the only copy")
            made = True
    else:
        Vault.open(url, world.environ, config.path.parent)
    if made:
        paper.line()
        paper.line(
            "Put the vault key into your password manager now. Without it no private key in the store can be opened again."
        )
    if not fresh and not made and not wrote:
        paper.line("everything is there already; nothing was made")
        return 0
    first = next(iter(config.certificates), "NAME")
    paper.line()
    paper.line("Next  fill in the secrets, then   certbroker check                   reads, changes nothing")
    paper.line(
        f"      rehearse                    certbroker issue {first} --staging    a test certificate that no target ever gets"
    )
    paper.line("      see it, then do it          certbroker plan                    certbroker renew")
    return 0


def _new_file(path: Path, text: str, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise UsageError(f"{path} is there already and is not overwritten") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)


@click.command(cls=Command)
@as_json
@click.pass_context
def where(ctx: click.Context, as_json: bool) -> int:
    """Which file, store and vault key are used, and which accounts are held."""
    from certbroker import broker
    from certbroker.config import default_vault

    world: World = ctx.find_root().obj
    config = broker.read_config(world, ctx.find_root().meta.get("certbroker.config"))
    url = broker.store_url(world, config)
    file = broker.sqlite_file(url)
    there = file is None or file.exists()
    store = ctx.with_resource(broker.open_store(world, config)) if there else None
    accounts = []
    if store is not None:
        for issuer in config.issuers.values():
            held = store.account(issuer.name, issuer.directory)
            if held is not None:
                accounts.append({"issuer": issuer.name, "directory": issuer.directory, "uri": held.uri})
    found = {
        "file": str(config.path),
        "store": store.url if store else f"{file} (not made yet: certbroker init)",
        "store_id": store.id if store else None,
        "vault": config.vault or default_vault(world.environ),
        "accounts": accounts,
    }
    paper = Paper(world)
    if as_json:
        paper.json(found)
        return 0
    paper.line(f"file      {found['file']}")
    paper.line(f"store     {found['store']}" + (f"  id {store.id}" if store else ""))
    paper.line(f"vault     {found['vault']}")
    for account in accounts:
        paper.line(f"account   {account['issuer']}  {account['uri']}")
    if not accounts:
        paper.line("account   none yet; the first order makes one")
    return 0


@click.group(cls=Group)
def config() -> None:
    """The file: check it, or print its schema."""


@config.command("check")
@click.option("--secrets", is_flag=True, help="Also resolve every secret reference (values are not shown).")
@as_json
@click.pass_context
def config_check(ctx: click.Context, secrets: bool, as_json: bool) -> int:
    """Read the file and tell every mistake at once. Offline."""
    from certbroker import broker

    world: World = ctx.find_root().obj
    found: Config = broker.read_config(world, ctx.find_root().meta.get("certbroker.config"))
    paper = Paper(world)
    failed = []
    if secrets:
        for use in found.secrets():
            try:
                use.reference.resolve(world.environ, where=use.where)
            except CertbrokerError as error:
                failed.append(error)
    count = {
        "certificates": len(found.certificates),
        "targets": len(found.targets),
        "solvers": len(found.solvers),
        "issuers": len(found.issuers),
    }
    if as_json:
        paper.json(
            {
                "file": str(found.path),
                **count,
                "secrets": len(found.secrets()),
                "failed": [missing.what for missing in failed],
            }
        )
    else:
        for missing in failed:
            paper.trouble(missing.what, hint=missing.hint or "")
        paper.line(f"{found.file} is well formed: " + ", ".join(f"{n} {kind}" for kind, n in count.items()))
        if secrets:
            paper.line(f"{len(found.secrets()) - len(failed)} of {len(found.secrets())} secrets are there")
    return 2 if failed else 0


@config.command("schema")
@click.pass_context
def config_schema(ctx: click.Context) -> int:
    """Print JSON Schema for the file: completion in your editor."""
    from certbroker import challenges, registry
    from certbroker.config import json_schema

    providers = {kind: model for kind in registry.provider_types() if (model := registry.provider_settings(kind))}
    solvers = {kind: model for kind in challenges.solver_types() if (model := challenges.solver_settings(kind))}
    Paper(ctx.find_root().obj).json(json_schema(providers, solvers))
    return 0


@click.command(cls=Command)
@as_json
@click.pass_context
def providers(ctx: click.Context, as_json: bool) -> int:
    """Which kinds of targets and solvers are installed, and what each can do."""
    from certbroker import challenges, registry

    paper = Paper(ctx.find_root().obj)
    found = []
    for kind in registry.provider_types():
        traits = registry.provider(kind).traits
        found.append(
            {
                "type": kind,
                "keys": [key.value for key in traits.key_types],
                "reads_back": sorted(traits.reads_back),
                "edge_deadline_seconds": traits.edge_deadline.total_seconds(),
                "most_names": traits.most_names,
                "addresses": traits.addresses,
            }
        )
    if as_json:
        paper.json({"targets": found, "solvers": challenges.solver_types()})
        return 0
    rows = [
        (
            str(one["type"]),
            ", ".join(registry.provider(str(one["type"])).traits.key_types),
            ", ".join(sorted(registry.provider(str(one["type"])).traits.reads_back)) or "nothing",
            f"{registry.provider(str(one['type'])).traits.edge_deadline.total_seconds() / 60:.0f} min",
        )
        for one in found
    ]
    paper.table(("target", "keys, the preferred first", "reads back", "edges may take"), rows)
    paper.line()
    paper.line("solvers: " + ", ".join(challenges.solver_types()))
    return 0


COMMANDS = (init, where, config, providers)
