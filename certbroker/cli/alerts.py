"""`alerts` and `mute`: what people are told, whether it would arrive, and what they do not want to hear of for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from certbroker.cli.command import Command, Group, as_json
from certbroker.cli.paper import Paper, counted
from certbroker.cli.runs import Seconds, config_of, herald_of
from certbroker.errors import UsageError
from certbroker.world import World

if TYPE_CHECKING:
    from certbroker.config import Config
    from certbroker.store import Store


@click.group(cls=Group)
def alerts() -> None:
    """Who is told when something needs somebody, and of what."""


@alerts.command()
@as_json
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> int:
    """What needs somebody now, what was told of it, and what is muted. From the store alone."""
    from certbroker.notices import covers
    from certbroker.standing import conditions, gather, minute

    world, config, store = _at_hand(ctx)
    now = world.clock.now()
    standing = conditions(gather(store, config, now))
    told, mutes = store.alerts(), store.mutes()
    paper = Paper(world)
    if as_json:
        paper.json({"conditions": standing, "told": told, "mutes": mutes})
        return 0
    for each in standing:
        paper.line(f"{paper.sign(each.state)} {each.subject}: {each.what}")
        mine = [row for row in told if row.key == each.key]
        muted = next((mute for mute in mutes if covers(mute, each, now)), None)
        if muted:
            paper.line(f"     muted until {minute(muted.until)} by {muted.actor}: {muted.why}")
        elif mine:
            paper.line(f"     told on {', '.join(row.way for row in mine)}, last {minute(max(r.told for r in mine))}")
        else:
            paper.line("     not told" if each.ripe else "     not told: the next run may mend it")
    for mute in mutes:
        paper.line(f"muted: {mute.what} until {minute(mute.until)} by {mute.actor}: {mute.why}")
    routes = len(config.alerts.page) + len(config.alerts.tell)
    paper.line(
        f"{counted(len(standing), 'thing')} worth telling; "
        + (f"{counted(routes, 'way')} to tell it" if routes else "no way to tell it: [alerts] in the file names them")
    )
    return 0


@alerts.command()
@as_json
@click.pass_context
def test(ctx: click.Context, as_json: bool) -> int:
    """Send a test on every way that the file names, and visit the heartbeat. Ends 1 if one did not arrive."""
    world: World = ctx.find_root().obj
    outcomes = herald_of(world, config_of(ctx)).test()
    if not outcomes:
        raise UsageError("the file names nobody to tell", hint="add [alerts] with page, tell or heartbeat")
    failed = [each for each in outcomes if each.error]
    paper = Paper(world)
    if as_json:
        paper.json({"sent": outcomes, "exit_code": 1 if failed else 0})
        return 1 if failed else 0
    for each in outcomes:
        paper.line(
            f"{paper.sign('fail' if each.error else 'ok')} {each.way}: {each.error or 'sent; look whether it arrived'}"
        )
    for each in failed:
        paper.trouble(
            f"nobody is told on the way {each.way}: {each.error}",
            "what needs somebody is told on the other ways"
            if len(failed) < len(outcomes)
            else "nobody is told of anything",
            "put its address right in what [alerts] refers to, then: certbroker alerts test",
        )
    return 1 if failed else 0


@click.command(cls=Command)
@click.argument("what")
@click.option("--until", metavar="DATE", help="A day (2026-12-24) or a moment (2026-12-24T08:00), UTC.")
@click.option("--for", "length", type=Seconds(), metavar="DURATION", help="Instead of --until, e.g. 12h or 3d.")
@click.option("-m", "--reason", metavar="WHY", help="Why; whoever comes later reads it.")
@click.option("--off", is_flag=True, help="Hear of it again.")
@click.pass_context
def mute(ctx: click.Context, what: str, until: str | None, length: float | None, reason: str | None, off: bool) -> int:
    """Do not tell of WHAT (a certificate, a target, a condition's key) for a while. Void at its last safe moment."""
    from certbroker.standing import conditions, gather, minute
    from certbroker.store import MuteRow

    world, config, store = _at_hand(ctx)
    now = world.clock.now()
    paper = Paper(world)
    if off:
        if not store.drop_mute(what):
            raise UsageError(f"{what} is not muted", hint="certbroker alerts show lists what is")
        paper.line(f"{what} is told of again")
        return 0
    if (until is None) == (length is None) or not reason:
        raise UsageError(
            "a mute needs its end and a reason",
            hint=f"certbroker mute {what} --until 2026-12-24 -m 'the new zone comes on Monday'",
        )
    end = _moment(until) if until else now + timedelta(seconds=length or 0)
    if end <= now:
        raise UsageError(f"{minute(end)} is over already", hint="name a moment that is to come")
    known = {each.key for each in conditions(gather(store, config, now))}
    if what not in known | set(config.certificates) | set(config.targets) | set(config.solvers) | set(config.issuers):
        raise UsageError(
            f"nothing is called {what}", hint="certbroker alerts show --json lists the conditions with their keys"
        )
    store.put_mute(MuteRow(what, end, reason, world.actor, now))
    paper.line(f"nobody is told of {what} until {minute(end)}, or until its last safe moment if that comes first")
    return 0


def _at_hand(ctx: click.Context) -> tuple[World, Config, Store]:
    from certbroker import broker

    world: World = ctx.find_root().obj
    config = broker.read_config(world, ctx.find_root().meta.get("certbroker.config"))
    return world, config, ctx.with_resource(broker.open_store(world, config))


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text} is no date", hint="as in --until 2026-12-24, or 2026-12-24T08:00 (UTC)") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


COMMANDS = (alerts, mute)
