"""From a platform's own certificate to ours and back: takeover, handback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from certbroker.cli.command import Command, as_json
from certbroker.cli.runs import Seconds, desk_of
from certbroker.errors import UsageError

if TYPE_CHECKING:
    from certbroker.broker.handover import Handover

_step = click.option("--step", type=click.IntRange(1), metavar="N", help="Carry out step N alone.")
_all = click.option("--all", "everything", is_flag=True, help="Carry out every step that is not done.")
_undo = click.option(
    "--undo",
    is_flag=False,
    flag_value="",
    metavar="[N]",
    help="Take back step N, or all that was begun, the last first; also after a crash.",
)
_wait = click.option(
    "--wait", type=Seconds(), metavar="DURATION", help="Stay and look at slow edges this long, e.g. 10m."
)
_reason = click.option("-m", "--reason", "why", metavar="WHY", help="Why, for the history.")


def _tell(ctx: click.Context, said: Handover, *, as_json: bool) -> int:
    from certbroker.broker import readable
    from certbroker.cli.paper import Paper

    paper = Paper(ctx.find_root().obj)
    if as_json:
        paper.json(said)
        return said.exit_code
    paper.line(f"{said.flow} of {said.certificate} · {', '.join(map(readable, said.names))}")
    for step in said.steps:
        asked = "on request: " if step.on_request and step.phase != "done" else ""
        paper.line(f" {paper.sign(step.state.value)} {step.number}  {asked}{step.what}")
        if step.why:
            paper.line(f"         {'why' if step.phase == 'open' else step.phase}: {step.why}")
        if step.hint and step.phase != "done":
            paper.line(f"         hint: {step.hint}")
        if step.way_back and step.phase != "undone":
            paper.line(f"         undo: {step.way_back}")
        if step.before:
            paper.line(f"         before: {step.before}")
            paper.line(f"         after:  {step.after}")
    for remark in said.remarks:
        paper.line(f"note: {remark}")
    for trouble in said.troubles:
        paper.trouble(trouble.what, trouble.now, trouble.hint, kind="wait" if trouble.wait else "error")
    paper.line(f"now:  {said.now}")
    paper.line(said.summary + (f" (exit {said.exit_code})" if said.exit_code else ""))
    if said.next and not said.troubles:
        paper.line(f"next: {said.next}")
    return said.exit_code


def _number(undo: str | None, *others: object) -> int | None:
    """The step to take back; None for all. Raises UsageError."""
    if any(others):
        raise UsageError("--undo goes back, --step and --all go on", hint="leave one of them out")
    if not undo:
        return None
    if not undo.isdigit():
        raise UsageError(f"--undo takes the number of a step, not {undo!r}", hint="alone it takes back all")
    return int(undo)


@click.command(cls=Command)
@click.argument("name")
@_step
@_all
@click.option("--retire", is_flag=True, help="With --all: also end what the platforms have of their own, last.")
@_undo
@_wait
@_reason
@as_json
@click.pass_context
def takeover(
    ctx: click.Context,
    name: str,
    step: int | None,
    everything: bool,
    retire: bool,
    undo: str | None,
    wait: float | None,
    why: str | None,
    as_json: bool,
) -> int:
    """Let certificate NAME take the place of certificates that Fastly or Fly manage. Alone it shows the steps.

    Each step has a handshake with every edge before and after it, and an undo. It may stop for a day and go on.
    """
    from certbroker.broker import handover

    if retire and not everything:
        raise UsageError("--retire goes with --all", hint="one step on request: --step N")
    if step is not None and everything:
        raise UsageError("--step is one step, --all is every step", hint="leave one of them out")
    if undo is not None:
        back = _number(undo, step, everything)
        return _tell(ctx, handover.take_back(desk_of(ctx), name, step=back, wait=wait, why=why), as_json=as_json)
    said = handover.takeover(desk_of(ctx), name, step=step, everything=everything, retire=retire, wait=wait, why=why)
    return _tell(ctx, said, as_json=as_json)


@click.command(cls=Command)
@click.argument("name")
@click.option("--target", required=True, metavar="TARGET", help="Where the platform's own is to be served again.")
@_step
@_all
@_undo
@_wait
@_reason
@as_json
@click.pass_context
def handback(
    ctx: click.Context,
    name: str,
    target: str,
    step: int | None,
    everything: bool,
    undo: str | None,
    wait: float | None,
    why: str | None,
    as_json: bool,
) -> int:
    """The way out: have TARGET's platform manage a certificate for NAME again. Alone it shows the steps.

    Ours is taken away only when the platform's own is there, and put back at once if an edge then serves nothing valid.
    """
    from certbroker.broker import handover

    if step is not None and everything:
        raise UsageError("--step is one step, --all is every step", hint="leave one of them out")
    if undo is not None:
        back = _number(undo, step, everything)
        return _tell(
            ctx, handover.take_back(desk_of(ctx), name, target, step=back, wait=wait, why=why), as_json=as_json
        )
    more: dict[str, Any] = {"step": step, "everything": everything, "wait": wait, "why": why}
    return _tell(ctx, handover.handback(desk_of(ctx), name, target, **more), as_json=as_json)


COMMANDS = (takeover, handback)
