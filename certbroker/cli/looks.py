"""The commands that look: check, challenges, probe, drift, ready, status, history, explain."""

from __future__ import annotations

import click

from certbroker.cli.command import Command, as_json
from certbroker.cli.paper import Paper
from certbroker.cli.runs import desk_of, tell
from certbroker.errors import UsageError
from certbroker.world import World


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--write", is_flag=True, help="Also try that solvers and targets may write (a record is added and removed)."
)
@as_json
@click.pass_context
def check(ctx: click.Context, names: tuple[str, ...], write: bool, as_json: bool) -> int:
    """Who are we, what may we do, what stands in the way: credentials, delegation, CAA, edges."""
    from certbroker import broker

    findings = broker.check(desk_of(ctx), names, write=write)
    paper = Paper(ctx.find_root().obj)
    failed = [finding for finding in findings if finding.state.value == "fail"]
    if as_json:
        paper.json({"findings": findings, "exit_code": 1 if failed else 0})
        return 1 if failed else 0
    paper.table(("", "", "", ""), [(paper.sign(f.state.value), f.kind, f.name, f.what) for f in findings])
    for finding in failed:
        paper.trouble(f"{finding.kind} {finding.name}: {finding.what}", finding.now, finding.hint)
    paper.line(
        f"{len(failed)} of {len(findings)} checks failed"
        if failed
        else f"all {len(findings)} checks passed or only remark something"
    )
    return 1 if failed else 0


@click.command(cls=Command)
@click.argument("name")
@as_json
@click.pass_context
def challenges(ctx: click.Context, name: str, as_json: bool) -> int:
    """Every record that a person creates once for certificate NAME, and how each stands.

    Delegations, standing permissions, CAA. Ends 3 if something is to be created, 1 if something else stands in its place.
    """
    from certbroker import broker

    found = broker.challenges(desk_of(ctx), name)
    paper = Paper(ctx.find_root().obj)
    if as_json:
        paper.json(found)
        return found.exit_code
    for each in found.records:
        about = f"{each.purpose}, {each.issuer}" if each.issuer else each.purpose
        paper.line(f"{paper.sign(each.state.value)} {about}: {each.what}")
        if each.record:
            paper.line(f"     {each.record}")
    counts = {state: sum(each.state.value == state for each in found.records) for state in ("wait", "fail")}
    if found.exit_code:
        paper.line(f"{counts['wait']} to be created, {counts['fail']} wrong (exit {found.exit_code})")
    else:
        paper.line(f"{name} is proven by {found.challenge.value}; nothing has to be created")
    return found.exit_code


@click.command(cls=Command)
@click.argument("name")
@as_json
@click.pass_context
def probe(ctx: click.Context, name: str, as_json: bool) -> int:
    """Look at every edge of certificate NAME now, by TLS handshake."""
    from certbroker import broker

    looks = broker.probe(desk_of(ctx), name)
    paper = Paper(ctx.find_root().obj)
    bad = [look for look in looks if look.state.value == "fail"]
    if as_json:
        paper.json({"looks": looks, "exit_code": 1 if bad else 0})
        return 1 if bad else 0
    paper.table(
        ("", "target", "name", "edge", "serves"),
        [(paper.sign(k.state.value), k.target, k.name, k.edge, k.what) for k in looks],
    )
    good = sum(1 for look in looks if look.state.value == "ok")
    paper.line(
        f"{good} of {len(looks)} looks see the wanted version"
        if looks
        else "nobody can look: no target of it has an edge"
    )
    return 1 if bad else 0


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--heal", is_flag=True, help="Push the present versions where that helps; nothing is ordered.")
@click.option("--yes", is_flag=True, help="With --heal: also replace certificates that are not ours; asked for once.")
@click.option("-m", "--reason", metavar="WHY", help="With --heal: why, for the history.")
@as_json
@click.pass_context
def drift(ctx: click.Context, names: tuple[str, ...], heal: bool, yes: bool, reason: str | None, as_json: bool) -> int:
    """What is wanted, what the platforms say, what the edges serve; where they differ, why. Exit 1 if they do."""
    from certbroker import broker

    if (yes or reason) and not heal:
        raise UsageError(f"{'--yes' if yes else '--reason'} goes with --heal", hint="certbroker drift --heal")
    found = broker.drift(desk_of(ctx), names, heal=heal, yes=yes, reason=reason)
    paper = Paper(ctx.find_root().obj)
    if as_json:
        paper.json(found)
        return found.exit_code
    paper.table(
        ("", "certificate", "target", "name", "wanted", "platform", "edges", "cause"),
        [
            (paper.sign(d.state.value), d.certificate, d.target, d.name, d.wanted, d.said, d.served, d.cause.value)
            for d in found.differences
        ],
    )
    for trouble in found.troubles:
        paper.trouble(trouble.what, trouble.now, trouble.hint, kind="wait" if trouble.wait else "error")
    fine = sum(1 for d in found.differences if d.cause.fine)
    unknown = sum(1 for d in found.differences if d.cause.unknown)
    left = f", {unknown} cannot be known now" if unknown else ""
    paper.line(f"{fine} of {len(found.differences)} names are as wanted{left}")
    if found.healed is not None:
        tell(ctx, found.healed, as_json=False)
    return found.exit_code


@click.command(cls=Command)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@as_json
@click.pass_context
def ready(ctx: click.Context, targets: tuple[str, ...], as_json: bool) -> int:
    """Exit 0 only if pointing DNS at TARGET right now would serve valid TLS for each of its names.

    Every edge is looked at; without TARGET, those of the targets with standby = true, else of all.
    """
    from certbroker import broker

    found = broker.ready(desk_of(ctx), targets)
    paper = Paper(ctx.find_root().obj)
    states = {each.state.value for each in found}
    code = 1 if "fail" in states else 3 if "wait" in states else 0
    if as_json:
        paper.json({"targets": found, "exit_code": code})
        return code
    paper.table(
        ("", "target", "certificate", ""), [(paper.sign(r.state.value), r.target, r.certificate, r.what) for r in found]
    )
    for each in found:
        if each.state.value != "ok":
            what = f"{each.target} is not ready for {each.certificate}: {each.what}"
            paper.trouble(what, each.now, each.hint, kind="wait" if each.state.value == "wait" else "error")
    good = sum(1 for each in found if each.state.value == "ok")
    paper.line(f"ready: {good} of {len(found)}")
    return code


@click.command(cls=Command)
@as_json
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> int:
    """What is known, worst first: from the store alone, no network, no secret."""
    from certbroker import broker
    from certbroker.cli.standing import show

    world: World = ctx.find_root().obj
    config = broker.read_config(world, ctx.find_root().meta.get("certbroker.config"))
    store = ctx.with_resource(broker.open_store(world, config))
    found = broker.status(store, config, world.clock.now(), whole=as_json)
    paper = Paper(world)
    if as_json:
        paper.json(found)
    else:
        show(paper, found)
    return found.exit_code


@click.command(cls=Command)
@click.argument("certificate", required=False)
@click.option("--target", metavar="TARGET", help="Only what happened there.")
@click.option("--limit", default=40, show_default=True, help="The newest so many.")
@as_json
@click.pass_context
def history(ctx: click.Context, certificate: str | None, target: str | None, limit: int, as_json: bool) -> int:
    """What happened, newest last."""
    from certbroker import broker
    from certbroker.broker import minute
    from certbroker.standing.told import of_row, told

    world: World = ctx.find_root().obj
    config = broker.read_config(world, ctx.find_root().meta.get("certbroker.config"))
    rows = ctx.with_resource(broker.open_store(world, config)).history(
        certificate=certificate, target=target, limit=limit
    )
    paper = Paper(world)
    if as_json:
        paper.json({"history": [of_row(row) for row in reversed(rows)]})
        return 0
    for row in reversed(rows):
        about = f"{row.certificate}: " if row.certificate else ""
        paper.line(f"{minute(row.at)}  {row.run or '-':<6}  {about}{told(row.kind, row.target, row.name, row.data)}")
    if not rows:
        paper.line("nothing has happened yet")
    return 0


@click.command(cls=Command)
@click.argument("name")
@as_json
@click.pass_context
def explain(ctx: click.Context, name: str, as_json: bool) -> int:
    """Why a certificate, target, solver or issuer is as it is, and what happened to it last."""
    from certbroker import broker
    from certbroker.events import Attempted
    from certbroker.standing.told import of_row

    world: World = ctx.find_root().obj
    config = broker.read_config(world, ctx.find_root().meta.get("certbroker.config"))
    store = ctx.with_resource(broker.open_store(world, config))
    lines = broker.explain(store, config, name, world.clock.now())
    paper = Paper(world)
    if as_json:
        attempts = store.history(certificate=name, kind=Attempted.kind, limit=1) if name in config.certificates else []
        paper.json({"name": name, "lines": lines, "attempt": next(map(of_row, attempts), None)})
        return 0
    for line in lines:
        paper.line(line)
    return 0


COMMANDS = (check, challenges, probe, drift, ready, status, history, explain)
