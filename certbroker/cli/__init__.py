"""The command line. Each subcommand: parse, one call into the broker, print. `main(argv, world)` is the seam for tests.

The answer goes to stdout, the story to stderr. Exit codes: 0 all well, 1 something failed or disagrees, 2 usage or
configuration, 3 something waits for a person, 4 changes pending (`plan --exit-code`).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TextIO, cast

from certbroker.errors import CertbrokerError, ConfigError, IssuanceError, LeaseHeld, ProviderError, UsageError
from certbroker.saying import Aside, Kind, say
from certbroker.world import World, system_world

UNTOUCHED: Final = "nothing was touched"
"""What a command line that asks for what cannot be leaves behind."""

MOST_SHOWN: Final = 800
"""Signs of one line of an error."""


def run() -> None:
    """The entry point of the installed program.

    What is imported is never garbage: some 150,000 objects, and to look through them takes a tenth of a second. So no search
    begins before there are as many again; and none at the end, when the interpreter would look through everything once more.
    """
    gc.set_threshold(300_000)
    code = main(sys.argv[1:], system_world())
    gc.freeze()
    sys.exit(code)


def main(argv: Sequence[str], world: World) -> int:
    """Run one command line in `world`; returns the exit code. A bug crashes loudly with a traceback and exit 1."""
    import click

    from certbroker.cli.app import LOG_FORMAT, app

    aside = Aside(world.stderr, world.clock, as_json=world.environ.get(LOG_FORMAT) == "json")
    world = replace(world, stderr=cast("TextIO", aside))
    try:
        return int(app.main(list(argv), prog_name="certbroker", standalone_mode=False, obj=world) or 0)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.exceptions.Abort:
        say(world.stderr, "note", "interrupted; the next run goes on from here")
        return 1
    except click.UsageError as error:
        hint = f"{error.ctx.command_path} --help" if error.ctx else "certbroker --help"
        _say(world, error.format_message(), now=UNTOUCHED, hint=hint)
        return 2
    except LeaseHeld as held:
        _say(world, held.what, kind="note")
        return 0
    except ConfigError as error:
        *others, last = error.what.splitlines() or [""]
        for line in others:
            _say(world, line)
        _say(world, last, hint=error.hint or "certbroker config check")
        return 2
    except CertbrokerError as error:
        now = error.now or (UNTOUCHED if isinstance(error, UsageError) else None)
        _say(world, error.what, now=now, hint=error.hint)
        return 1 if isinstance(error, IssuanceError | ProviderError) else 2
    except BrokenPipeError:  # `certbroker history | head`
        return 0


def _say(world: World, what: str, *, now: str | None = None, hint: str | None = None, kind: Kind = "error") -> None:
    say(world.stderr, kind, *(_tame(text or "") for text in (what, now, hint)))


def _tame(text: str) -> str:
    """What was typed is repeated, but no terminal obeys it and no page is filled with it."""
    shown = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
    return shown if len(shown) <= MOST_SHOWN else shown[:MOST_SHOWN] + "…"
