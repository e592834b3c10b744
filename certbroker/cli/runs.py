"""The commands that may change something: renew, issue, push."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import click

from certbroker.cli.command import Command, as_json
from certbroker.errors import CertbrokerError
from certbroker.events import Emit
from certbroker.saying import Aside, say
from certbroker.secret import Secret, SecretRef
from certbroker.world import World

if TYPE_CHECKING:
    from certbroker.alerts import Herald
    from certbroker.broker import Desk, Report
    from certbroker.config import Config

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Seconds(click.ParamType[float]):
    """A duration: `90s`, `10m`, `2h`."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"(\d+)([smhd]?)", str(value))
        if not found:
            self.fail(f"{value!r} is not a duration such as 90s, 10m or 2h", param, ctx)
        return float(int(found[1]) * _UNITS[found[2] or "s"])


def desk_of(ctx: click.Context, config: Config | None = None) -> Desk:
    """The desk of this command line, with the listeners it asked for. Its store is closed when the command ends."""
    from certbroker.broker import open_desk
    from certbroker.telemetry import fan_out

    world: World = ctx.find_root().obj
    listeners: list[Emit] = []
    desk = open_desk(world, config or config_of(ctx), fan_out(listeners))
    ctx.with_resource(desk.store)
    listeners += _listeners(ctx, world, desk)  # the list that the desk tells: they want to know its run
    if desk.config.inventory is not None:
        from certbroker.cli.watching import left_for_the_watcher

        ctx.with_resource(left_for_the_watcher(desk, desk.config.inventory))
    return desk


def _listeners(ctx: click.Context, world: World, desk: Desk) -> Iterator[Emit]:
    """Who hears of this command's events; what traces are left is sent when it ends."""
    from certbroker import telemetry

    def run() -> str | None:
        return desk.store.run

    if isinstance(world.stderr, Aside) and world.stderr.as_json:
        yield telemetry.JsonLog(world.stderr, run)
    elif ctx.find_root().meta.get("certbroker.verbose", 0):
        yield telemetry.Story(world.stderr)
    try:
        collector = telemetry.collector(world)
    except telemetry.NotSent as error:
        say(world.stderr, "note", f"traces cannot be sent: {error.what}", hint=error.hint)
        return
    if collector is not None:
        yield ctx.with_resource(telemetry.Traces(collector, world, desk.config.network.connect_to, run))


def config_of(ctx: click.Context) -> Config:
    """The file of this command line."""
    from certbroker.broker import read_config

    return read_config(ctx.find_root().obj, ctx.find_root().meta.get("certbroker.config"))


def herald_of(world: World, config: Config) -> Herald:
    """Whoever tells people of it; needs no store to be had."""
    from certbroker.alerts import Herald, Spare
    from certbroker.broker import beside_store

    @cache
    def resolve(ref: SecretRef) -> Secret:
        return ref.resolve(world.environ, where=config.where(ref))

    return Herald(world, config, Spare(beside_store(world, config)), resolve)


def tell(ctx: click.Context, report: Report, *, as_json: bool) -> int:
    """A report on paper; returns its exit code."""
    from certbroker.broker import minute
    from certbroker.cli.paper import Paper

    paper = Paper(ctx.find_root().obj)
    if as_json:
        paper.json(report)
        return report.exit_code
    if report.entries:
        paper.line(f"run {report.run} · file {report.digest[:7]} · store {report.store} · {minute(report.at)}")
    for entry in report.entries:
        paper.line(f"{entry.certificate} · {entry.heading}" if entry.heading else entry.certificate)
        for line in entry.lines:
            took = f"{line.seconds:8.1f} s" if line.seconds is not None else ""
            paper.line(f" {paper.sign(line.state.value)} {line.subject:<20} {line.text:<44} {took}".rstrip())
    for note in report.notes:
        paper.line(f"note: {note}")
    for trouble in report.troubles:
        paper.trouble(trouble.what, trouble.now, trouble.hint, kind="wait" if trouble.wait else "error")
    paper.line(
        f"{report.summary} · run {report.run}, {report.seconds:.1f} s"
        + (f" (exit {report.exit_code})" if report.exit_code else "")
    )
    return report.exit_code


@contextmanager
def _announced(ctx: click.Context) -> Iterator[tuple[Desk, list[int]]]:
    """The desk, opened where its refusal is heard of, too. What tells people is imported only where the file names somebody."""
    config, world = config_of(ctx), ctx.find_root().obj
    if not config.alerts.anybody:
        yield desk_of(ctx, config), []
        return
    from certbroker.alerts import announced

    herald = herald_of(world, config)
    with announced(world, herald) as codes:
        desk = desk_of(ctx, config)
        herald.listen(desk.store)
        yield desk, codes


_reason = click.option("-m", "--reason", metavar="WHY", help="Why, for the history.")
_yes = click.option("--yes", is_flag=True, help="Replace certificates that are not ours; asked for once.")
_wait = click.option(
    "--wait", type=Seconds(), metavar="DURATION", help="Stay and look at slow edges this long, e.g. 10m."
)


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_yes
@click.option("--refresh-ari", is_flag=True, help="Ask the CA for every renewal window now.")
@_reason
@as_json
@click.pass_context
def renew(
    ctx: click.Context, names: tuple[str, ...], yes: bool, refresh_ari: bool, reason: str | None, as_json: bool
) -> int:
    """Do what is due and nothing else. This is what cron runs, every hour.

    With NAMEs: reconcile those certificates now, whatever is due.
    """
    from certbroker import broker

    with _announced(ctx) as (desk, codes):
        try:
            report = broker.renew(desk, names, yes=yes, refresh_windows=refresh_ari, reason=reason)
            codes.append(report.exit_code)
        except CertbrokerError:
            for note in _measure(desk):
                say(ctx.find_root().obj.stderr, "note", note)
            raise
    return tell(ctx, replace(report, notes=(*report.notes, *_measure(desk))), as_json=as_json)


def _measure(desk: Desk) -> tuple[str, ...]:
    """Metrics into the file's textfile, if it names one, however the run ended; what went wrong, as a note."""
    if desk.config.textfile is None:
        return ()
    from certbroker.metrics import keep

    wrong = keep(desk.config.textfile, desk.store, desk.config, desk.world.clock.now())
    return (wrong,) if wrong else ()


@click.command(cls=Command)
@click.argument("name")
@click.option("--staging", is_flag=True, help="Rehearse with a test CA: a version that no target ever gets.")
@_wait
@_yes
@_reason
@as_json
@click.pass_context
def issue(
    ctx: click.Context, name: str, staging: bool, wait: float | None, yes: bool, reason: str | None, as_json: bool
) -> int:
    """Order certificate NAME now, by hand, and push it."""
    from certbroker import broker

    return tell(
        ctx, broker.issue(desk_of(ctx), name, staging=staging, wait=wait, yes=yes, reason=reason), as_json=as_json
    )


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--target", "targets", multiple=True, metavar="TARGET", help="Only to this target; may be repeated.")
@_wait
@_yes
@_reason
@as_json
@click.pass_context
def push(
    ctx: click.Context,
    names: tuple[str, ...],
    targets: tuple[str, ...],
    wait: float | None,
    yes: bool,
    reason: str | None,
    as_json: bool,
) -> int:
    """Push the present versions to their targets again where they are not served. Orders nothing."""
    from certbroker import broker

    return tell(
        ctx, broker.push(desk_of(ctx), names, targets=targets, wait=wait, yes=yes, reason=reason), as_json=as_json
    )


COMMANDS = (renew, issue, push)
