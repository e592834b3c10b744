"""The embedded world: demo tells the story once, sandbox stays up for real clients."""

from __future__ import annotations

import click

from certbroker.cli.command import Command
from certbroker.world import World


@click.command(cls=Command)
@click.option("--keep", metavar="DIR", help="Keep the demo's file and store in DIR.")
@click.pass_context
def demo(ctx: click.Context, keep: str | None) -> int:
    """The whole main job in an embedded world: no account, no network, nothing trusted."""
    from certbroker.cli.demo import tell_demo

    world: World = ctx.find_root().obj
    return tell_demo(world, keep)


@click.command(cls=Command)
@click.option("--folder", metavar="DIR", default="certbroker-sandbox", show_default=True, help="Where its files go.")
@click.option("--seconds", type=float, metavar="N", help="End by itself after so long.")
@click.pass_context
def sandbox(ctx: click.Context, folder: str, seconds: float | None) -> int:
    """Keep the embedded world running and print what points certbroker and real clients at it."""
    from certbroker.cli.demo import keep_sandbox

    world: World = ctx.find_root().obj
    return keep_sandbox(world, folder, seconds)


COMMANDS = (demo, sandbox)
