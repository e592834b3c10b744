"""forget: what left the file, or a host that is no more."""

from __future__ import annotations

import click

from certbroker.cli.command import Command, as_json
from certbroker.cli.paper import Paper
from certbroker.cli.runs import desk_of
from certbroker.errors import UsageError


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--target", metavar="TARGET", help="Only what NAME left behind there; without NAME: the target itself.")
@click.option("--host", metavar="HOST", help="A host that is no more: its file has no say any more.")
@click.option(
    "--remove", is_flag=True, help="Also remove what we created at the platform, once nothing of it is served."
)
@click.option("--yes", is_flag=True, help="Although it is served somewhere, or private keys are lost.")
@click.option("-m", "--reason", "why", metavar="WHY", help="Why, for the history.")
@as_json
@click.pass_context
def forget(
    ctx: click.Context,
    name: str | None,
    target: str | None,
    host: str | None,
    remove: bool,
    yes: bool,
    why: str | None,
    as_json: bool,
) -> int:
    """Forget the certificate or target NAME, which has left the file; or a host that is no more."""
    from certbroker import broker

    if bool(host) == bool(name or target):
        raise UsageError("one thing is forgotten at a time", hint="certbroker forget NAME, or forget --host HOST")
    if host and (remove or yes):
        raise UsageError("--remove and --yes do not go with --host", hint=f"certbroker forget --host {host}")
    desk = desk_of(ctx)
    found = (
        broker.forget_host(desk, host, why)
        if host
        else broker.forget(desk, name, target=target, remove=remove, yes=yes, why=why)
    )
    paper = Paper(ctx.find_root().obj)
    if as_json:
        paper.json(found)
        return found.exit_code
    for each in found.removed:
        paper.line(f"removed  {each}")
    if found.exit_code:
        paper.trouble(found.what, found.now, found.hint, kind="wait")
        return found.exit_code
    for each in found.stays:
        paper.line(f"stays    {each}; nobody renews it there")
    paper.line(found.what)
    return 0


COMMANDS = (forget,)
