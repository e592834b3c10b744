"""The commands that tell whose a name is: who-owns, caa."""

from __future__ import annotations

import click

from certbroker.cli.command import Command, as_json
from certbroker.cli.paper import Paper
from certbroker.cli.runs import desk_of


@click.command("who-owns", cls=Command)
@click.argument("name")
@as_json
@click.pass_context
def who_owns(ctx: click.Context, name: str, as_json: bool) -> int:
    """Whose NAME is where CAs look: its challenge labels, CAA, and the certificates that platforms get by themselves.

    NAME is a certificate or any DNS name. Says which challenge works for us today, the records to change for the one that is wanted,
    and what that breaks for whom. Changes nothing. Ends 1 if what is wanted does not work, 3 if a record has to be created first.
    """
    from certbroker import broker

    found = broker.who_owns(desk_of(ctx), name)
    paper = Paper(ctx.find_root().obj)
    if as_json:
        paper.json(found)
        return found.exit_code
    paper.table(
        ("", "", "", ""),
        [
            (paper.sign(h.state.value), h.what, h.place, h.by if h.what != "caa" or not h.record else h.record)
            for h in found.holders
        ],
    )
    paper.line()
    rows = [
        (paper.sign(w.state.value), w.name, f"{w.method.value}{' (wanted)' if w.wanted else ''}", w.what)
        for w in found.ways
    ]
    paper.table(("", "", "", ""), rows)
    for text in found.unknown:
        paper.line(f"{paper.sign('warn')} {text}")
    if found.changes:
        paper.line()
    for change in found.changes:
        for sign, record in (("-", change.old), ("+", change.new)):
            if record:
                paper.line(f"{sign} {record}")
        paper.line(f"    {change.why}")
        for text in change.breaks:
            paper.line(f"    {text}")
    for trouble in found.troubles:
        paper.trouble(trouble.what, trouble.now, trouble.hint, kind="wait" if trouble.wait else "error")
    paper.line(found.sentence)
    return found.exit_code


@click.command(cls=Command)
@click.argument("name")
@as_json
@click.pass_context
def caa(ctx: click.Context, name: str, as_json: bool) -> int:
    """The CAA records that let only our accounts have certificates signed, by the methods in use.

    NAME is a certificate or a name that one is for. The answer is lines for the zone file; what stands now, and whom the records would
    keep from renewing, is said beside it. Ends 1 if what stands forbids an order of ours.
    """
    from certbroker import broker

    found = broker.permissions(desk_of(ctx), name)
    paper = Paper(ctx.find_root().obj)
    if as_json:
        paper.json(found)
        return found.exit_code
    for line in found.lines:
        if line.record:
            paper.line(line.record)
    said = [f"{paper.sign(line.state.value)} {line.issuer or 'all'}: {line.what}" for line in found.lines]
    for text in dict.fromkeys([*said, *found.stands, *(line.note for line in found.lines if line.note)]):
        paper.line(f"; {text}")
    for other in found.others:
        paper.line(f"; to have ours alone, remove  {other.record}")
        paper.line(f";   it {other.what}")
    for text in found.unknown:
        paper.line(f"; {text}")
    for trouble in found.troubles:
        paper.trouble(trouble.what, trouble.now, trouble.hint)
    for loser in found.losers:
        paper.trouble(loser.what, loser.now, loser.hint, kind="warn")
    return found.exit_code


COMMANDS = (who_owns, caa)
