"""The tree of commands. Nothing heavy is imported here: `certbroker --help` is instant."""

from __future__ import annotations

from typing import Final

import click

from certbroker import __version__
from certbroker.cli import (
    accounts,
    adopting,
    alerts,
    dashboard,
    forget,
    handing,
    keeping,
    looks,
    owning,
    plans,
    rollback,
    runs,
    setup,
    watching,
    worlds,
)
from certbroker.cli.command import Group
from certbroker.errors import UsageError
from certbroker.saying import Aside
from certbroker.world import World

LOG_FORMAT: Final = "CERTBROKER_LOG_FORMAT"
FORMATS: Final = ("text", "json")


def _version(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        world: World = ctx.find_root().obj
        world.stdout.write(f"certbroker {__version__}\n")
        ctx.exit()


@click.group(cls=Group, context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config",
    metavar="FILE",
    help="The file; default: $CERTBROKER_CONFIG, ./certbroker.toml, the config folders.",
)
@click.option("-v", "--verbose", count=True, help="Tell the story as it happens; twice: everything.")
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    help=f"How everything on stderr is written; json: with the story, an object a line. Default: ${LOG_FORMAT}, text.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
@click.pass_context
def app(ctx: click.Context, config: str | None, verbose: int, log_format: str | None) -> None:
    """One owner keeps the private key; every origin serves it, proven at the edge."""
    ctx.meta["certbroker.config"] = config
    ctx.meta["certbroker.verbose"] = verbose
    world: World = ctx.find_root().obj
    aside = world.stderr
    assert isinstance(aside, Aside)
    chosen = log_format or world.environ.get(LOG_FORMAT) or "text"
    if chosen not in FORMATS:
        raise UsageError(f"${LOG_FORMAT} is {chosen!r}; it can be {' or '.join(FORMATS)}")
    aside.as_json = chosen == "json"
    if verbose > 1 or aside.as_json:
        from certbroker.telemetry import library_logs

        ctx.with_resource(library_logs(aside, everything=verbose > 1))


for module in (
    setup,
    plans,
    runs,
    rollback,
    handing,
    looks,
    owning,
    accounts,
    adopting,
    forget,
    keeping,
    alerts,
    dashboard,
    watching,
    worlds,
):
    for command in module.COMMANDS:
        app.add_command(command)
