"""What every command of ours is made of: help that goes to the world's stdout, whole sentences in lists, `--json`."""

from __future__ import annotations

from typing import Any

import click

from certbroker.world import World


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


def as_json(function: Any) -> Any:
    """The `--json` option of every command that answers."""
    return click.option("--json", "as_json", is_flag=True, help="Answer as JSON, with a stable schema.")(function)
