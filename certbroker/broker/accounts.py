"""Our accounts at the CAs: shown, made, their keys changed, ended, brought along from another client."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from certbroker.broker.desk import Desk, nearest
from certbroker.broker.report import State
from certbroker.broker.running import running
from certbroker.config import Config, IssuerSettings
from certbroker.errors import IssuanceError, IssuerUnavailable, NothingDone, UsageError
from certbroker.issuer import Issuer
from certbroker.model import KeyType
from certbroker.secret import Secret
from certbroker.store import Account, Store

MOST_BYTES = 64 * 1024
"""No private key file is larger."""


@dataclass(frozen=True, slots=True)
class AccountView:
    """One issuer of the file, or one that has left it and whose account is still held."""

    issuer: str
    directory: str
    in_file: bool
    eab: bool
    """The file has an external account binding for it."""
    state: State
    status: str
    """What the CA says, in words; `not asked` offline."""
    hint: str = ""
    uri: str | None = None
    key_type: KeyType | None = None
    bound: bool = False
    """Made with an external account binding."""
    made: datetime | None = None


def show_accounts(
    config: Config, store: Store, name: str | None = None, *, ask: Callable[[IssuerSettings], Issuer] | None = None
) -> list[AccountView]:
    """Every account, or those of issuer `name`. `ask` opens an issuer, whose CA is then asked; without it nobody is.

    Raises UsageError: nothing is called so.
    """
    found = [_view(settings, store, True, ask) for settings in config.issuers.values() if name in (None, settings.name)]
    left = [
        account for account in store.accounts() if not _declared(config, account) and name in (None, account.issuer)
    ]
    found += [_view(IssuerSettings(a.issuer, a.directory, agree_to_terms=True), store, False, ask) for a in left]
    if name is not None and not found:
        raise UsageError(f"no issuer is called {name}", hint=nearest(name, config.issuers))
    return found


def _declared(config: Config, account: Account) -> bool:
    known = config.issuers.get(account.issuer)
    return known is not None and known.directory == account.directory


def _view(
    settings: IssuerSettings, store: Store, in_file: bool, ask: Callable[[IssuerSettings], Issuer] | None
) -> AccountView:
    held = store.account(settings.name, settings.directory)
    state, status, hint = State.NONE, "none yet; the first order makes one", ""
    if held is not None:
        state, status, hint = (State.NONE, "not asked", "") if ask is None else _asked(ask(settings))
        held = store.account(settings.name, settings.directory)  # it may have been found at another address
    return AccountView(
        issuer=settings.name,
        directory=settings.directory,
        in_file=in_file,
        eab=settings.eab is not None,
        state=state,
        status=status,
        hint=hint,
        uri=held.uri if held else None,
        key_type=held.key_type if held else None,
        bound=held.bound if held else False,
        made=held.made if held else None,
    )


def _asked(issuer: Issuer) -> tuple[State, str, str]:
    try:
        return State.OK, issuer.account_status(), ""
    except IssuerUnavailable as error:
        return State.WARN, error.what, error.hint or ""
    except (IssuanceError, NothingDone) as error:
        return State.FAIL, error.what, error.hint or ""


def make_account(desk: Desk, name: str, why: str | None = None) -> str:
    """Make it now instead of with the first order; one that exists is left as it is. Returns its URI.

    Raises UsageError, NothingDone, IssuanceError.
    """
    return _change(desk, "account make", name, why, lambda issuer: issuer.account(), "there is an account")


def roll_over(desk: Desk, name: str, why: str | None = None) -> str:
    """Another key for the same account; killed anywhere, the next run goes on. Returns its URI, which stays.

    Raises UsageError, NothingDone, IssuanceError, LeaseHeld.
    """
    return _change(
        desk, "account rollover", name, why, lambda issuer: issuer.roll_over(), "a new key signs for the account"
    )


def deactivate_account(desk: Desk, name: str, why: str | None = None) -> str:
    """End it for ever, at the CA and here. Returns its URI. Raises UsageError, NothingDone, IssuanceError."""
    return _change(desk, "account deactivate", name, why, lambda issuer: issuer.deactivate(), "ended the account")


def import_account(
    desk: Desk, name: str, text: Secret, what: str, *, uri: str | None = None, why: str | None = None
) -> str:
    """Take over the account that another client made. Returns its URI.

    Args:
        text: its private key, PEM or JWK.
        what: how its file is called, for messages.
        uri: which account it is, if that is known.

    Raises UsageError, BadMaterial, NothingDone, IssuanceError.
    """
    return _change(
        desk, "account import", name, why, lambda issuer: issuer.adopt(text, what, uri), "imported the account"
    )


def users(config: Config, issuer: str) -> list[str]:
    """The certificates whose list names this issuer."""
    return [c.name for c in config.certificates.values() if issuer in c.issuers]


def _change(desk: Desk, command: str, name: str, why: str | None, act: Callable[[Issuer], str], done: str) -> str:
    """One change as a run of its own."""
    issuer = desk.issuer_by(_settings(desk, name))
    desk.check_vault()
    with running(desk, command, why) as run:
        uri = act(issuer)
        run.end(0, f"{done} at {name}")
    return uri


def _settings(desk: Desk, name: str) -> IssuerSettings:
    """From the file, else from the account that is still held. Raises UsageError."""
    if name in desk.config.issuers:
        return desk.config.issuers[name]
    held: Iterable[Account] = (account for account in desk.store.accounts() if account.issuer == name)
    left = next(iter(held), None)
    if left is None:
        raise UsageError(f"no issuer is called {name}", hint=nearest(name, desk.config.issuers))
    return IssuerSettings(name, left.directory, agree_to_terms=True)
