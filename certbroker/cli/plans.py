"""plan: what renew would do, on a terminal, as JSON, or as Markdown for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from certbroker.cli.command import Command, as_json
from certbroker.cli.runs import desk_of
from certbroker.errors import UsageError

if TYPE_CHECKING:
    from certbroker.broker import Plans
    from certbroker.cli.paper import Paper
    from certbroker.plan import Plan, Step

MOST_CHARACTERS: Final = 50_000
"""A comment on a pull request takes 65,536 (GitHub); the rest of the table is counted instead."""

ALIKE: Final = 3
"""So many certificates to which the same happens are told once."""

FEW: Final = 5
"""So many of what left the file are told."""


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--target", "targets", multiple=True, metavar="TARGET", help="Only for this target; may be repeated.")
@click.option("--offline", is_flag=True, help="The file against what is known: no token, no network.")
@click.option("--all", "everything", is_flag=True, help="Also list what needs nothing.")
@click.option("--exit-code", is_flag=True, help="Exit 4 if something would change.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "markdown")),
    default="text",
    help="markdown: a table for a pull request.",
)
@as_json
@click.pass_context
def plan(
    ctx: click.Context,
    names: tuple[str, ...],
    targets: tuple[str, ...],
    offline: bool,
    everything: bool,
    exit_code: bool,
    form: str,
    as_json: bool,
) -> int:
    """Show what renew would do, and why. Changes nothing."""
    from certbroker import broker
    from certbroker.cli.paper import Paper

    if offline and targets:
        raise UsageError("--offline plans the whole file, not a target", hint="leave out --target")
    if as_json and form != "text":
        raise UsageError("--json and --format are two answers", hint="leave one of them out")
    desk = desk_of(ctx)
    found = broker.show(desk, names, targets=targets, offline=offline)
    paper = Paper(ctx.find_root().obj)
    code = found.exit_code if found.exit_code != 4 or exit_code else 0
    if as_json:
        paper.json(found)
    elif form == "markdown":
        for line in markdown(found, desk.config.file):
            paper.line(line)
    else:
        _text(paper, found, desk.config.file, everything=everything)
        for trouble in found.troubles:
            paper.trouble(trouble.what, trouble.now, trouble.hint)
    return code


# ---- text ----------------------------------------------------------------------------------------------------------------


def _text(paper: Paper, found: Plans, file: str, *, everything: bool) -> None:
    from certbroker.broker import readable

    if found.change.words:
        paper.line(f"{file} · {_changed(found)}")
        for word in found.change.words:
            paper.line(f" {word}")
    alike: dict[tuple[str, ...], list[Plan]] = {}
    for p in found.plans:
        if everything or p.steps or p.remarks:
            own = (p.certificate.name,) if everything else ()
            alike.setdefault((*_body(paper, p), *own), []).append(p)
    for plans in alike.values():
        if len(plans) < ALIKE:
            for p in plans:
                _one(paper, p, f"{p.certificate.name} · {', '.join(map(readable, p.certificate.names))}")
        else:
            _one(paper, plans[0], f"{len(plans)} alike · {plans[0].certificate.name} and {len(plans) - 1} more (--all)")
    for orphan in found.orphans if everything else found.orphans[:FEW]:
        paper.line(f"{paper.sign('none')} {orphan.what}")
    if len(found.orphans) > FEW and not everything:
        paper.line(f"{paper.sign('none')} {len(found.orphans) - FEW} more are no longer in the file (--all)")
    paper.line(_sum(found))
    for text in _limits(found):
        paper.line(text)
    if found.command:
        asked = f"      asked for once: {' and '.join(found.asks)}; renewals of what stands here never ask"
        paper.line(f"To do it: {found.command}{asked if found.asks else ''}")


def _one(paper: Paper, p: Plan, heading: str) -> None:
    paper.line(heading)
    for line in _body(paper, p):
        paper.line(line)


def _body(paper: Paper, p: Plan) -> tuple[str, ...]:
    """Line by line, without its name: those of certificates to which the same happens are the same."""
    from certbroker.broker import minute

    lines = []
    for step in p.steps:
        mark, kind, where, why, more = told(step)
        sign = paper.sign(mark) if mark in ("fail", "wait") else mark
        first = f"{where}," if kind == "order" else where
        lines.append(f" {sign} {kind:<7} {_columns(step, first)}{why}".rstrip())
        lines += [f"   {label + ':':<7} {text}" for label, text in more]
    lines += [f" · {remark}" for remark in p.remarks]
    if not p.steps and p.next_look:
        lines.append(f" · nothing to do until {minute(p.next_look)}")
    return tuple(lines)


def _columns(step: Step, first: str) -> str:
    from certbroker.plan import Order, Push

    if isinstance(step, Order):
        return f"{first} {_label(step):<14} "
    if isinstance(step, Push):
        return f"{first:<16} {_label(step):<12} "
    return f"{first:<16} "


def told(step: Step) -> tuple[str, str, str, str, list[tuple[str, str]]]:
    """Mark, kind, where, why, and what else is to be said of it, each with a label."""
    from certbroker.broker import minute
    from certbroker.plan import Hold, Order, Push, Restore

    match step:
        case Order():
            more = [("key", step.key_why), ("note", step.instead)]
            return "+", "order", step.issuer, step.why, [(label, text) for label, text in more if text]
        case Push():
            return "~" if step.foreign else "+", "push", step.assignment.target, step.why, []
        case Hold():
            until = f" until {minute(step.until)}" if step.until else ""
            hint = [("hint", step.hint)] if step.hint else []
            return "fail" if step.failed else "wait", "hold", step.target or "order", f"{step.why}{until}", hint
        case Restore():
            return "~", "restore", step.assignment.target, f"what the push of {step.version.label} made worse", []
        case _:
            return "·", "verify", step.assignment.target, step.version.label, []


def _label(step: Step) -> str:
    from certbroker.plan import Order, Push

    if isinstance(step, Order):
        return step.key_type.value
    if isinstance(step, Push):
        return step.version.label if step.version else "the new one"
    return ""


def _changed(found: Plans) -> str:
    shares = ((found.change.names, "names"), (found.change.targets, "targets"))
    counts = [f"{share.touched} of {share.total} {what}" for share, what in shares if share.touched]
    return f"changes {' and '.join(counts)}".rstrip()


def _sum(found: Plans) -> str:
    from certbroker.cli.paper import counted

    said = f"{counted(found.orders, 'order')}, {counted(found.pushes, 'push', 'pushes')}, nothing removed."
    if found.foreign:
        verb = "push replaces" if found.foreign == 1 else "pushes replace"
        said += f" {found.foreign} {verb} (~) a certificate that is not ours."
    return said


def _limits(found: Plans) -> Iterator[str]:
    for issuer, taken in found.limits.items():
        yield f"Limits{f' of {issuer}' if len(found.limits) > 1 else ''}: {taken}."


# ---- Markdown ------------------------------------------------------------------------------------------------------------


def markdown(found: Plans, file: str) -> Iterator[str]:
    """A sentence, a table, the rest folded away. Whatever came from outside is shown as text: no link, no mention, no markup."""
    yield f"**{plainly(_sum(found))}**"
    yield ""
    if found.command:
        asked = f" (asked for once: {plainly(' and '.join(found.asks))})" if found.asks else ""
        yield f"To do it: `{found.command}`{asked}"
    yield ""
    for trouble in found.troubles:
        yield f"- **{plainly(trouble.what)}**. Now: {plainly(trouble.now)}. Hint: {plainly(trouble.hint)}"
    if found.change.words:
        yield from _folded(
            f"{plainly(file)} {_changed(found)}", [f"`{word[0]}` {plainly(word[2:])}" for word in found.change.words]
        )
    rows = [row for p in found.plans for step in p.steps for row in [_row(p, step)]]
    if rows:
        yield "| | certificate | step | where | what | why |"
        yield "|---|---|---|---|---|---|"
        shown = 0
        for count, row in enumerate(rows):
            shown += len(row)
            if shown > MOST_CHARACTERS:
                yield f"\n{len(rows) - count} more steps: `certbroker plan` shows them."
                break
            yield row
        yield ""
    if found.orphans:
        yield from _folded("What left the file and stays", [plainly(orphan.what) for orphan in found.orphans[:200]])
    remarks = [f"{plainly(p.certificate.name)}: {plainly(remark)}" for p in found.plans for remark in p.remarks]
    if remarks:
        yield from _folded("Remarks", remarks[:200])
    quiet = [_quiet(p) for p in found.plans if not p.steps]
    if quiet:
        yield from _folded(
            f"{len(quiet)} {'certificate needs' if len(quiet) == 1 else 'certificates need'} nothing", quiet[:200]
        )
    for text in _limits(found):
        yield plainly(text)


def _row(p: Plan, step: Step) -> str:
    mark, kind, where, why, more = told(step)
    whole = "; ".join([why, *(f"{label}: {text}" for label, text in more)])
    sign = {"fail": "✗", "wait": "…"}.get(mark, mark)
    cells = (sign, p.certificate.name, kind, where, _label(step), whole)
    return "| " + " | ".join(plainly(cell) for cell in cells) + " |"


def _quiet(p: Plan) -> str:
    from certbroker.broker import minute

    return plainly(p.certificate.name + (f": nothing to do until {minute(p.next_look)}" if p.next_look else ""))


def _folded(summary: str, lines: list[str]) -> Iterator[str]:
    yield f"<details><summary>{summary}</summary>"
    yield ""
    yield from (f"- {line}" for line in lines)
    yield ""
    yield "</details>"
    yield ""


def plainly(text: str) -> str:
    """Text that Markdown (GitHub's, in a table cell too) shows as it is, on one line."""
    escaped = re.sub(r"([\\`*_{}\[\]<>|~!&])", r"\\\1", " ".join(text.split()))
    return re.sub(r"([@#])(?=\w)", r"\1<!-- -->", escaped)  # neither a mention nor a link to an issue


COMMANDS = (plan,)
