"""rollback: an older version is served again, until that is lifted."""

from __future__ import annotations

import click

from certbroker.cli.accounts import VersionNumber
from certbroker.cli.command import Command, as_json
from certbroker.cli.runs import Seconds, desk_of, tell
from certbroker.errors import UsageError


@click.command(cls=Command)
@click.argument("name")
@click.option("--to", "number", type=VersionNumber(), metavar="vN", help="Not the version before, but vN.")
@click.option("--target", "targets", multiple=True, metavar="TARGET", help="Only this target; may be repeated.")
@click.option("--lift", is_flag=True, help="Serve what is wanted again.")
@click.option("--wait", type=Seconds(), metavar="DURATION", help="Stay and look at slow edges this long, e.g. 10m.")
@click.option("--yes", is_flag=True, help="Replace certificates that are not ours; asked for once.")
@click.option("-m", "--reason", "why", metavar="WHY", help="Why, for the history and for whoever lifts it.")
@as_json
@click.pass_context
def rollback(
    ctx: click.Context,
    name: str,
    number: int | None,
    targets: tuple[str, ...],
    lift: bool,
    wait: float | None,
    yes: bool,
    why: str | None,
    as_json: bool,
) -> int:
    """Serve an older version of certificate NAME again. Renewals keep to it until --lift, or until it nears its end."""
    from certbroker import broker

    if lift and number is not None:
        raise UsageError("--lift goes to what is wanted; --to names another version", hint="leave one of them out")
    desk = desk_of(ctx)
    if lift:
        return tell(ctx, broker.lift(desk, name, targets=targets, why=why), as_json=as_json)
    report = broker.rollback(desk, name, number=number, targets=targets, wait=wait, yes=yes, why=why)
    return tell(ctx, report, as_json=as_json)


COMMANDS = (rollback,)
