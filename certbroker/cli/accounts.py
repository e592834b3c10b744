"""What is said to a CA besides orders: account, revoke."""

from __future__ import annotations

import re
from typing import Any

import click

from certbroker.cli.command import Command, Group, as_json
from certbroker.cli.paper import Paper
from certbroker.cli.runs import desk_of, tell
from certbroker.errors import UsageError
from certbroker.world import World

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


_why = click.option("-m", "why", metavar="WHY", help="Why, for the history.")


@click.group(cls=Group)
def account() -> None:
    """The accounts at the CAs: show, make, change the key, end, bring along."""


@account.command("show")
@click.argument("issuer", required=False)
@click.option("--offline", is_flag=True, help="What the store knows: no CA is asked, no secret is read.")
@as_json
@click.pass_context
def account_show(ctx: click.Context, issuer: str | None, offline: bool, as_json: bool) -> int:
    """Which accounts there are, with what key, and whether the CAs know them."""
    from certbroker import broker

    world: World = ctx.find_root().obj
    if offline:
        config = broker.read_config(world, ctx.find_root().meta.get("certbroker.config"))
        store = ctx.with_resource(broker.open_store(world, config))
        views = broker.show_accounts(config, store, issuer)
    else:
        desk = desk_of(ctx)
        views = broker.show_accounts(desk.config, desk.store, issuer, ask=desk.issuer_by)
    paper = Paper(world)
    code = 1 if any(view.state is broker.State.FAIL for view in views) else 0
    if as_json:
        paper.json({"accounts": views})
        return code
    for view in views:
        paper.line(f"{paper.sign(view.state.value)} {view.issuer}  {view.status}")
        if view.uri is not None and view.key_type is not None and view.made is not None:
            bound = ", bound to one at the CA (eab)" if view.bound else ""
            paper.line(f"       {view.uri}")
            paper.line(f"       {view.key_type.value} key{bound}, made {broker.day(view.made)}")
        elif view.eab:
            paper.line("       will be bound to one at the CA (eab)")
        if not view.in_file:
            paper.line("       not in the file any more")
        if view.hint:
            paper.line(f"       hint: {view.hint}")
    if not views:
        paper.line("the file names no issuer, and no account is held")
    return code


@account.command("make")
@click.argument("issuer")
@_why
@click.pass_context
def account_make(ctx: click.Context, issuer: str, why: str | None) -> int:
    """Make the account now, before credentials of a binding lapse; the first order does it too."""
    from certbroker import broker

    uri = broker.make_account(desk_of(ctx), issuer, why)
    Paper(ctx.find_root().obj).line(f"there is an account at {issuer}: {uri}")
    return 0


@account.command("rollover")
@click.argument("issuer")
@_why
@click.pass_context
def account_rollover(ctx: click.Context, issuer: str, why: str | None) -> int:
    """Change the account's key; its address stays, and so do records that name it. Killed anywhere, the next run goes on."""
    from certbroker import broker

    uri = broker.roll_over(desk_of(ctx), issuer, why)
    Paper(ctx.find_root().obj).line(f"a new key signs for {uri}; the old one is forgotten here and at the CA")
    return 0


@account.command("deactivate")
@click.argument("issuer")
@click.option("--yes", is_flag=True, help="I mean it: no CA takes an account back.")
@_why
@click.pass_context
def account_deactivate(ctx: click.Context, issuer: str, yes: bool, why: str | None) -> int:
    """End the account for ever; certificates stay valid."""
    from certbroker import broker
    from certbroker.broker.accounts import users

    desk = desk_of(ctx)
    if not yes:
        raise UsageError(
            f"the account at {issuer} would be ended for ever", hint=f"certbroker account deactivate {issuer} --yes"
        )
    uri = broker.deactivate_account(desk, issuer, why)
    paper = Paper(ctx.find_root().obj)
    paper.line(f"ended {uri}; its key is forgotten")
    if names := users(desk.config, issuer):
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        paper.line(f"note: {shown} may be ordered there again, and a new account is then made")
    return 0


@account.command("import")
@click.argument("issuer")
@click.argument("file", metavar="FILE")
@click.option("--uri", metavar="URI", help="Which account it is; else the CA is asked to find it.")
@_why
@click.pass_context
def account_import(ctx: click.Context, issuer: str, file: str, uri: str | None, why: str | None) -> int:
    """Take over the account of another client by its key: certbot's private_key.json, or PEM as lego and acme.sh keep it."""
    from certbroker import broker
    from certbroker.broker.accounts import MOST_BYTES
    from certbroker.secret import Secret

    world: World = ctx.find_root().obj
    try:
        with broker.home_path(world, file).open("rb") as stream:
            text = stream.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise UsageError(f"{file} is larger than any private key; is it the right file?")
        key = Secret(text.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no text, so it is neither PEM nor a JWK") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "that is no path"
        raise UsageError(f"{file} cannot be read: {reason}") from None
    found = broker.import_account(desk_of(ctx), issuer, key, file, uri=uri, why=why)
    Paper(world).line(f"imported {found}; its key is sealed in the store, and {file} is needed here no more")
    return 0


COMMANDS = (account, revoke)
