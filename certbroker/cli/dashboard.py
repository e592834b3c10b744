"""`dashboard`: the pages on a port, or as files."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import click

from certbroker.cli.command import Command
from certbroker.cli.paper import Paper, counted
from certbroker.errors import UsageError
from certbroker.world import World

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from certbroker.config import Config
    from certbroker.dashboard import Doorkeeper

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@click.command(cls=Command)
@click.option(
    "--listen", metavar="HOST:PORT", default="127.0.0.1:8321", show_default=True, help="Where browsers find it."
)
@click.option(
    "--export", "folder", metavar="DIR", help="Write the pages as files instead, for people without a server."
)
@click.option("--seconds", type=float, metavar="N", help="End by itself after so long.")
@click.pass_context
def dashboard(ctx: click.Context, listen: str, folder: str | None, seconds: float | None) -> int:
    """The expiry dashboard: what stands where and until when, worst first. Read-only; opens no private key."""
    from certbroker import broker
    from certbroker.dashboard import Source, export, make_app

    world: World = ctx.find_root().obj
    option = ctx.find_root().meta.get("certbroker.config")
    config = broker.read_config(world, option)
    host, port = _address(listen)
    keeper = None if folder else doorkeeper(world, config, host)
    store = ctx.with_resource(broker.open_store(world, config))
    source = Source(config, store, world.clock, lambda: broker.read_config(world, option))
    paper = Paper(world)
    if keeper is None:
        assert folder is not None
        place = broker.home_path(world, folder)
        many = export(source, place)
        paper.line(f"{counted(many, 'page')} in {place}, open index.html")
        return 0
    with _listening(host, port) as ear:
        shown = f"[{host}]" if ":" in host else host
        paper.line(f"http://{shown}:{ear.getsockname()[1]}/ · Ctrl-C ends it")
        world.stdout.flush()
        _serve(make_app(source, keeper), ear, seconds)
    return 0


def doorkeeper(world: World, config: Config, host: str) -> Doorkeeper:
    """Who is let in. Raises UsageError where everybody who reaches that address would be."""
    from urllib.parse import urlsplit

    from certbroker.dashboard import Doorkeeper

    settings = config.dashboard
    if host not in LOOPBACK and settings.token is None and settings.trusted_header is None:
        raise UsageError(
            f"{host} can be reached from elsewhere, and nothing says who may look",
            now="nothing listens",
            hint='give [dashboard] in the file a token = { env = "DASHBOARD_TOKEN" }, or the trusted_header of your proxy',
        )
    token = settings.token.resolve(world.environ, where=config.where(settings.token)) if settings.token else None
    hosts = {*settings.hosts, *LOOPBACK, "[::1]", host.lower(), f"[{host.lower()}]"}
    link = urlsplit(config.alerts.link or "").hostname
    return Doorkeeper(hosts | ({link} if link else set()), token, settings.trusted_header)


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise UsageError(f"--listen {listen} is no address", hint="as in --listen 127.0.0.1:8321 or [::1]:8321")
    return host, int(port)


def _listening(host: str, port: int) -> socket.socket:
    """Bound before anything is printed, so that the address that is told is true."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UsageError(
            f"nothing can listen on {host} port {port}: {error.strerror or error}",
            hint="name another with --listen; port 0 takes a free one",
        ) from None


def _serve(app: ASGIApp, ear: socket.socket, seconds: float | None) -> None:
    """Until Ctrl-C, or so long."""
    import threading

    from certbroker.dashboard.server import make_server

    server = make_server(app)
    if seconds is not None:
        timer = threading.Timer(seconds, setattr, (server, "should_exit", True))
        timer.daemon = True
        timer.start()
    server.run(sockets=[ear])


COMMANDS = (dashboard,)
