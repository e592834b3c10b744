"""The tree of commands. Nothing heavy is imported here: `certbroker --help` is instant."""

from __future__ import annotations

from typing import Any, TypeVar

import click

from certbroker import __version__
from certbroker.world import World

C = TypeVar("C", bound=click.Command)


def _help_option(command: click.Command) -> click.Option:
    """`--help`, printed to the world's stdout and not to the process's."""

    def show(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            world: World = ctx.find_root().obj
            world.stdout.write(ctx.get_help() + "\n")
            ctx.exit()

    names = command.get_help_option_names(click.Context(command))
    return click.Option(
        names, is_flag=True, is_eager=True, expose_value=False, help="Show this message and exit.", callback=show
    )


class Command(click.Command):
    """A command of ours. Its first sentence stands whole in the list of commands."""

    def get_short_help_str(self, limit: int = 45) -> str:
        return super().get_short_help_str(120)

    def get_help_option(self, ctx: click.Context) -> click.Option:
        return _help_option(self)


class Group(click.Group):
    """A group whose commands are ours; the commands are listed in the order in which they are met."""

    def get_short_help_str(self, limit: int = 45) -> str:
        return super().get_short_help_str(120)

    command_class = Command
    group_class = type  # subgroups are of this class

    def get_help_option(self, ctx: click.Context) -> click.Option:
        return _help_option(self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


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
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
@click.pass_context
def app(ctx: click.Context, config: str | None, verbose: int) -> None:
    """One owner keeps the private key; every origin serves it, proven at the edge."""
    ctx.meta["certbroker.config"] = config
    ctx.meta["certbroker.verbose"] = verbose


def _add() -> None:
    from certbroker.cli import keeping, looks, runs, setup, worlds

    for module in (setup, runs, looks, keeping, worlds):
        for command in module.COMMANDS:
            app.add_command(command)


def as_json(function: Any) -> Any:
    """The `--json` option of every command that answers."""
    return click.option("--json", "as_json", is_flag=True, help="Answer as JSON, with a stable schema.")(function)


_add()
