"""An inventory from a file or over HTTPS."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from certbroker.errors import Unavailable, UsageError
from certbroker.secret import expand
from certbroker.watch.inventory import Inventory, parse
from certbroker.watch.patience import Stopped, rest
from certbroker.world import World

MOST: Final = 256 * 1024 * 1024
"""Bytes. A hundred thousand names take a tenth of it."""

PAUSES: Final = (3.0, 12.0)
"""Seconds before what did not answer is asked again."""

CONNECT: Final = 10.0
WHOLE: Final = 60.0
"""Seconds for all of one answer."""

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def shown(source: str) -> str:
    """As people are told it: of a URL without its query, which may be a signature."""
    return source.partition("?")[0] if "://" in source else source


def read(source: str, world: World, stopped: Stopped) -> Inventory:
    """Raises UsageError or ConfigError for what is wrong in itself, and Unavailable for what may be there again later."""
    text = _fetch(source, world, stopped) if "://" in source else _open(source, world)
    return parse(text, shown(source))


def _open(source: str, world: World) -> bytes:
    path = Path(expand(source, world.environ))
    path = path if path.is_absolute() else world.cwd / path
    try:
        with path.open("rb") as file:
            text = file.read(MOST + 1)
    except OSError as error:
        hint = "certbroker inventory -o FILE writes one where the store is at hand"
        raise UsageError(f"{source} cannot be read: {error.strerror or error}", hint=hint) from None
    if len(text) > MOST:
        raise _too_large(source)
    return text


def _too_large(source: str) -> UsageError:
    return UsageError(f"{shown(source)} is larger than {MOST // 1024 // 1024} MiB, which no inventory is")


def _fetch(source: str, world: World, stopped: Stopped) -> bytes:
    try:
        parts = urlsplit(source)
        host, _port, person = parts.hostname, parts.port, parts.username
    except ValueError:
        raise UsageError("that is no URL", hint="as in https://status.example.com/inventory.json") from None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)):
        raise UsageError(f"{shown(source) if host else 'that'} does not begin with https://")
    if person is not None or parts.password is not None:
        raise UsageError(
            "a password does not belong on a command line", hint="an inventory is no secret: let it be read"
        )
    for pause in (*PAUSES, None):
        try:
            return _once(source, world)
        except Unavailable:
            if pause is None or not rest(world.clock, pause, stopped):
                raise
    raise AssertionError("the last try returns or raises")


def _once(source: str, world: World) -> bytes:
    import requests

    from certbroker.transport import Transport

    text = bytearray()
    with requests.Session() as session:
        session.mount("https://", Transport(world.network))
        session.mount("http://", Transport(world.network))
        try:
            with session.get(source, timeout=(CONNECT, WHOLE), allow_redirects=False, stream=True) as answer:
                if answer.status_code != 200:
                    raise Unavailable(f"{shown(source)} answers {answer.status_code}", status=answer.status_code)
                for piece in answer.iter_content(65536):
                    text += piece
                    if len(text) > MOST:
                        raise _too_large(source)
        except requests.RequestException as error:
            raise Unavailable(f"{shown(source)} cannot be reached ({type(error).__name__})") from None
        except OSError as error:
            what = error.strerror or type(error).__name__
            raise Unavailable(f"{shown(source)} cannot be reached ({what})") from None
    return bytes(text)
