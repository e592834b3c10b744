"""`inventory` and `watch`: what a watcher elsewhere is given, and the watcher."""

from __future__ import annotations

import logging
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from certbroker.cli.command import Command, as_json
from certbroker.cli.paper import Paper, counted
from certbroker.cli.runs import Seconds
from certbroker.cli.watched import show, show_test
from certbroker.errors import BadMaterial, StoreError, UsageError
from certbroker.saying import say
from certbroker.secret import SecretRef, expand
from certbroker.world import World

if TYPE_CHECKING:
    from certbroker.broker import Desk
    from certbroker.notices import Route
    from certbroker.watch.rounds import Watcher

log = logging.getLogger("certbroker")

MODE: Final = 0o644
"""Anybody may read an inventory: it holds no secret."""

SHORTEST: Final = 1.0
"""Seconds between two rounds."""


@contextmanager
def left_for_the_watcher(desk: Desk, path: Path) -> Iterator[None]:
    """However the command ended: if it began a run, what stands may have changed, and the watcher is told."""
    try:
        yield
    finally:
        if desk.began:
            wrong = _leave(desk, path)
            if wrong:
                say(desk.world.stderr, "note", f"no inventory in {path}: {wrong}")


def _leave(desk: Desk, path: Path) -> str:
    """What is in the way, in words; nothing that the run would have to know of is raised."""
    from certbroker import whole
    from certbroker.standing.inventory import inventory as made

    try:
        whole.put(path, made(desk.store, desk.config, desk.world.clock.now(), desk.world.host).text(), MODE)
    except (StoreError, BadMaterial) as error:
        return error.what
    except OSError as error:
        return error.strerror or str(error)
    except Exception as error:
        log.exception("a bug: no inventory")
        return f"a bug: {type(error).__name__}: {error}"
    return ""


@click.command(cls=Command)
@click.option("-o", "--output", metavar="FILE", help="Into FILE, in one piece, instead of onto the screen.")
@click.pass_context
def inventory(ctx: click.Context, output: str | None) -> int:
    """What `watch` is given: names, targets, edges, what each is to serve and until when. No key and no token is in it.

    From the store alone, as status. With [watch] inventory in the file, each run writes it by itself.
    """
    from certbroker import broker
    from certbroker.standing.inventory import inventory as made

    world: World = ctx.find_root().obj
    config = broker.read_config(world, ctx.find_root().meta.get("certbroker.config"))
    store = ctx.with_resource(broker.open_store(world, config))
    found = made(store, config, world.clock.now(), world.host)
    if output is None:
        world.stdout.write(found.text().decode())
        return 0
    from certbroker import whole

    path = _path(world, output)
    try:
        whole.put(path, found.text(), MODE)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror or error}") from None
    edges = {
        (at.target, edge.host, edge.port) for entry in found.certificates for at in entry.targets for edge in at.edges
    }
    Paper(world).line(
        f"{counted(len(found.certificates), 'certificate')} at {counted(len(edges), 'edge')}; certbroker watch {output}"
    )
    return 0


@click.command(cls=Command)
@click.argument("source", metavar="INVENTORY")
@click.option("--within", type=Seconds(), metavar="DURATION", help="Also tell of what ends so soon, e.g. 7d.")
@click.option("--every", type=Seconds(), metavar="DURATION", help="Stay, and look again and again, e.g. 10m.")
@click.option("--state", metavar="FILE", help="Remembers what was told, so that it is told once, daily, and when over.")
@click.option(
    "--page", multiple=True, metavar="WAY=WHERE", help="Whom to wake, e.g. webhook=env:PAGER_URL; repeatable."
)
@click.option(
    "--tell", multiple=True, metavar="WAY=WHERE", help="Whom to tell all the rest, e.g. slack=file:PATH; repeatable."
)
@click.option("--heartbeat", metavar="WHERE", help="A URL that hears of every round, e.g. env:HEARTBEAT_URL.")
@click.option("--mail-from", metavar="ADDRESS", help="Whom mails are from, with smtp=WHERE.")
@click.option("--mail-to", multiple=True, metavar="ADDRESS", help="Whom they are for; repeatable.")
@click.option("--test", is_flag=True, help="Send a test on every way, and look at nothing.")
@as_json
@click.pass_context
def watch(
    ctx: click.Context,
    source: str,
    within: float | None,
    every: float | None,
    state: str | None,
    page: tuple[str, ...],
    tell: tuple[str, ...],
    heartbeat: str | None,
    mail_from: str | None,
    mail_to: tuple[str, ...],
    test: bool,
    as_json: bool,
) -> int:
    """Look from anywhere whether every edge serves what INVENTORY (a path or an https URL) says. Needs no key and no token.

    Ends 1 if an edge disagrees, something ends soon or the inventory is old, 2 if the inventory cannot be read.
    """
    from certbroker.watch.memory import Memory
    from certbroker.watch.reading import shown
    from certbroker.watch.rounds import Ears, Watcher

    world: World = ctx.find_root().obj
    mail = (mail_from, mail_to)
    ears = Ears(
        tuple(_route(world, each, "--page", mail) for each in page),
        tuple(_route(world, each, "--tell", mail) for each in tell),
        _reference(world, heartbeat, "--heartbeat") if heartbeat else None,
    )
    if every is not None and every < SHORTEST:
        raise UsageError("--every is at least 1s", hint="as in --every 10m")
    if ears.anybody and state is None and every is None and not test:
        raise UsageError(
            "to tell a thing once, --page and --tell need something that remembers",
            hint="add --state FILE; or --every, which remembers as long as it runs",
        )
    ends = _Ends()
    memory = Memory.open(_path(world, state) if state else None, shown(source))
    limit = timedelta(seconds=within) if within is not None else None
    watcher = Watcher(world, source, memory, ears, within=limit, stopped=ends.stopped)
    if test:
        return show_test(Paper(world), watcher.test(), as_json=as_json)
    if every is None:
        done = watcher.round()
        assert done is not None
        show(Paper(world), done, shown(source), as_json=as_json)
        return done.exit_code
    ends.listen()
    return _stay(world, watcher, every, ends, as_json=as_json, source=shown(source))


def _stay(world: World, watcher: Watcher, every: float, ends: _Ends, *, as_json: bool, source: str) -> int:
    """Round after round until SIGTERM; what is told in full is what is new."""
    from certbroker.watch.patience import rest

    known: set[str] = set()
    while True:
        begun = world.clock.monotonic()
        done = watcher.round()
        if done is None:
            return 0
        show(Paper(world), done, source, as_json=as_json, known=known, lines=True)
        world.stdout.flush()
        world.stderr.flush()
        known = {each.key for each in done.conditions}
        if not rest(world.clock, max(0.0, every - (world.clock.monotonic() - begun)), ends.stopped):
            return 0


class _Ends:
    """SIGTERM asks for the end: the round under way tells nobody anything, and all is as the round before left it."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def listen(self) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: self._asked.set())

    def stopped(self) -> bool:
        return self._asked.is_set()


# ---- what was asked for ------------------------------------------------------------------------------------------------


def _path(world: World, text: str) -> Path:
    path = Path(expand(text, world.environ))
    return path if path.is_absolute() else world.cwd / path


def _reference(world: World, text: str, option: str) -> SecretRef:
    """Where a URL is found: it is a secret, so it does not stand on a command line, which everybody sees."""
    kind, _, rest = text.partition(":")
    if kind == "env" and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", rest):
        return SecretRef(env=rest)
    if kind == "file" and rest:
        return SecretRef(file=str(_path(world, rest)))
    raise UsageError(f"{option} does not say where its URL is found", hint="as env:NAME of a variable, or file:PATH")


def _route(world: World, text: str, option: str, mail: tuple[str | None, tuple[str, ...]]) -> Route:
    from certbroker.notices import Route

    way, _, where = text.partition("=")
    sender, to = mail
    match way:
        case "webhook" | "slack" | "apprise":
            return Route(way, _reference(world, where, option))
        case "smtp":
            addresses = [sender or "", *to]
            if not to or not all(re.fullmatch(r"[^\s<>,;\"@]+@[^\s<>,;\"@]+", each) for each in addresses):
                raise UsageError(
                    "smtp needs --mail-from and --mail-to", hint="each an address, as in someone@example.com"
                )
            return Route("smtp", _reference(world, where, option), sender, to)
    raise UsageError(
        f"{option} names no way to tell",
        hint=f"as in {option} webhook=env:PAGER_URL; there is webhook, slack, smtp and apprise",
    )


COMMANDS = (inventory, watch)
