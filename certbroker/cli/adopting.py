"""What exists already becomes ours: import."""

from __future__ import annotations

import click

from certbroker.cli.command import Command, as_json
from certbroker.cli.runs import desk_of, tell

KINDS = ("pem", "certbot", "lego", "acme.sh", "kubernetes", "pkcs12")


@click.command("import", cls=Command)
@click.argument("name")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--from", "kind", type=click.Choice(KINDS), help="What SOURCE is; default: what it looks like.")
@click.option("--passphrase-env", metavar="VARIABLE", help="Where the passphrase of the key or PKCS#12 is.")
@click.option(
    "--issuer", metavar="NAME", help="Whom in the file it is from; default: whoever signed it, if that shows."
)
@click.option(
    "--account", is_flag=True, help="The account comes along that certbot, lego or acme.sh has at that issuer."
)
@click.option("--yes", is_flag=True, help="Also where there is a version already that ends earlier.")
@click.option("-m", "--reason", metavar="WHY", help="Why, for the history.")
@as_json
@click.pass_context
def import_(
    ctx: click.Context,
    name: str,
    sources: tuple[str, ...],
    kind: str | None,
    passphrase_env: str | None,
    issuer: str | None,
    account: bool,
    yes: bool,
    reason: str | None,
    as_json: bool,
) -> int:
    """Make an existing certificate with its key the first version of NAME.

    SOURCE is one or more PEM files, or a folder of certbot, lego or acme.sh, a Kubernetes Secret or a PKCS#12. Nothing is
    ordered until it is due; the next renew pushes it.
    """
    from certbroker.broker.adopting import adopt

    report = adopt(
        desk_of(ctx),
        name,
        sources,
        kind=kind,
        passphrase_env=passphrase_env,
        issuer=issuer,
        account=account,
        yes=yes,
        why=reason,
    )
    return tell(ctx, report, as_json=as_json)


COMMANDS = (import_,)
