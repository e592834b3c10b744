"""What is said to a CA besides orders: revoke."""

from __future__ import annotations

import re
from typing import Any

import click

from certbroker.cli.command import Command, as_json
from certbroker.cli.runs import desk_of, tell

REASONS = ("unspecified", "keyCompromise", "superseded", "cessationOfOperation")


class VersionNumber(click.ParamType[int]):
    """`v3`, or `3`."""

    name = "vN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"v?([1-9][0-9]{0,8})", str(value), re.ASCII)
        if not found:
            self.fail(f"{value!r} is not a version such as v3", param, ctx)
        return int(found[1])


@click.command(cls=Command)
@click.argument("name")
@click.option("--version", "number", type=VersionNumber(), metavar="vN", help="Not the wanted version but vN.")
@click.option("--key-type", metavar="TYPE", help="Which one, if the certificate has several key types.")
@click.option("--reason", "said", type=click.Choice(REASONS), default="unspecified", show_default=True)
@click.option("--with-certificate-key", is_flag=True, help="Sign with the certificate's own key: it is compromised.")
@click.option("--yes", is_flag=True, help="Also what is served now.")
@click.option("-m", "why", metavar="WHY", help="Why, for the history.")
@as_json
@click.pass_context
def revoke(
    ctx: click.Context,
    name: str,
    number: int | None,
    key_type: str | None,
    said: str,
    with_certificate_key: bool,
    yes: bool,
    why: str | None,
    as_json: bool,
) -> int:
    """Revoke certificate NAME; after a compromise, have one with a new key served at once."""
    from certbroker import broker
    from certbroker.model import RevocationReason

    report = broker.revoke(
        desk_of(ctx),
        name,
        RevocationReason(said),
        number=number,
        key_type=key_type,
        with_certificate_key=with_certificate_key,
        yes=yes,
        why=why,
    )
    return tell(ctx, report, as_json=as_json)


COMMANDS = (revoke,)
